"""Fuzzing: whatever a provider answers, a file holds or a task gives, a command ends as it should.

That is: with an exit code that stands for something and without a traceback, with a key neither in
what is shown nor in what is kept, in a gigabyte of memory and a bounded time. A run ends, or it is
resumed. Together they are 2,000. What is damaged are files of real runs, so that no case is quite
the same the next time: this is apart from the checks of every change (`pytest -m fuzz`).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.fork_server import Done, ForkServer, Kill
from helpers.fuzzed_answers import REPLIES, answering
from helpers.fuzzed_files import copied, damage, of_bytes, of_cells
from helpers.fuzzed_task import PARTS, VALUES
from helpers.fuzzed_values import DEEP, KEY, NUMBERS, ODD, TEXTS, fuzzed, shows_key
from helpers.openai_server import Behaviour, OpenAIServer, Reply, repeating, teach
from helpers.small_runs import Runner
from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.runtime.errors import NO_ANSWER

pytestmark = pytest.mark.fuzz

ANSWERS: Final = 800
RUNS, MOST = 50, 24
"""The runs that these answers are given in, and the most odd ones in each; the rest is good."""

TRACES, FOLDERS, CONFIGS, TASKS = 500, 300, 300, 100
assert ANSWERS + TRACES + FOLDERS + CONFIGS + TASKS == 2000

MEMORY: Final = 1 << 30
SECONDS: Final = 60

ASKING: Final[dict[str, Any]] = {
    "steps": 4 * 64,
    "num_envs": 8,
    "weaning__schedule": "constant",
    "wait": True,
    "teacher__max_tries": 2,
    "teacher__backoff_s": 0.0,
    "teacher__timeout_s": 5,
    "ppo__epochs": 1,
    "ppo__advised_epochs": 1,
    "student__hidden": 16,
    "evaluation__every": 10**6,
    "evaluation__final_episodes": 1,
}


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """Command lines in an environment with a key in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", KEY)
        # Each thread would take address space for itself, which is no memory.
        patch.setenv("MALLOC_ARENA_MAX", "2")
        with ForkServer() as server:
            yield server


def typed(server: ForkServer, *arguments: str | Path) -> Done:
    """A command within its bounds, which ended as it should."""
    given = [str(argument) for argument in arguments]
    done = server.run(given, memory=MEMORY, limits={"RLIMIT_CPU": SECONDS})
    said = f"{given}: {done.code}\n{done.out[-500:]}\n{done.err[-3000:]}"
    assert "Traceback" not in done.err + done.out, said
    assert "Pydantic" not in done.err, said  # whose warnings quote what was sent
    assert done.code in (0, 1, 2, NO_ANSWER), said
    assert done.code != 1 or "tutelage: " not in done.err, said
    if done.code == 2:
        assert done.err.strip(), said
    assert not shows_key(done.out + done.err + done.progress), said
    return done


def kept(folder: Path) -> str:
    """All that stands in the files of a folder, the cells of databases each by itself."""
    texts = []
    for path in folder.rglob("*"):
        if path.suffix == ".sqlite":
            with closing(sqlite3.connect(path)) as connection:
                texts += list(connection.iterdump())
        elif path.is_file():
            texts.append(path.read_bytes().decode("latin-1"))
    return "\n|\n".join(texts)


@pytest.fixture(scope="module")
def halted(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that asked a server and was stopped after its checkpoints 2 and 4."""
    folder = tmp_path_factory.mktemp("halted")
    with OpenAIServer(repeating(teach(), KEY)) as teacher:
        options = ["--env", "helpers.toy_task:Corridor", "--provider", "openai:test-model"]
        runner = Runner(server, [*options, "--base-url", teacher.base_url])
        stop = Kill(4, "RunFolder.append_metrics:after", number=15)
        assert runner.run(folder, {"wait": True}, kill=stop).code == 143
    return folder


def alternating(odd: Iterable[Behaviour], good: Behaviour) -> Iterator[Behaviour]:
    """A good answer after each two odd ones, and at the end: a run soon gives up without any."""
    for place, behaviour in enumerate(odd):
        yield behaviour
        if place % 2:
            yield good


def test_answers_of_a_provider(
    server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    odd: list[int] = []

    @fuzzed(RUNS)
    @given(replies=st.lists(REPLIES, min_size=MOST, max_size=MOST))
    def whatever_it_answers(replies: list[Reply]) -> None:
        asked = a_run_asks(server, tmp_path_factory.mktemp("answers"), replies)
        odd.append(min(asked - asked // 3, MOST))

    whatever_it_answers()
    assert sum(odd) >= ANSWERS


def a_run_asks(server: ForkServer, folder: Path, replies: list[Reply]) -> int:
    """A run with these answers, which ends or is resumed. Returns how many requests it made."""
    good = repeating(teach(), KEY)
    with OpenAIServer(*alternating(map(answering, replies), good)) as teacher:
        options = ["--env", "ColoredDoorKey", "--provider", "openai:test-model"]
        runner = Runner(server, [*options, "--base-url", teacher.base_url])
        done = typed(server, *runner.arguments(folder, **ASKING))
        asked = len(teacher.requests)
        if done.code not in (0, NO_ANSWER):
            again = ["resume", folder / "run", "--base-url", teacher.base_url]
            assert typed(server, *again).code in (0, NO_ANSWER)
    for command in (["trace", "list"], ["trace", "stats"], ["runs", "show"]):
        assert typed(server, *command, folder / "run").code == 0
    assert not shows_key(kept(folder))
    return asked


READING: Final = (
    *(["trace", verb, "{run}"] for verb in ("list", "stats", "export")),
    *(["trace", "list", "{run}", "--calls"], ["trace", "list", "{run}", "--json"]),
    *(["trace", "show", "{run}", each] for each in ("1", "c1", "c2")),
    *(["trace", "diff", "{run}:c1", "{run}:c2"], ["trace", "diff", "{run}", "{run}"]),
)


@fuzzed(TRACES)
@given(data=st.data())
def test_traces(server: ForkServer, halted: Path, tmp_path_factory: Any, data: Any) -> None:
    folder = copied(halted, tmp_path_factory.getbasetemp() / "trace")
    draw = data.draw
    draw(st.sampled_from([of_cells, of_cells, of_cells, of_bytes]))(
        draw, folder / "run" / "trace.sqlite"
    )
    command = draw(st.sampled_from(READING))
    typed(server, *(part.format(run=folder / "run") for part in command))


LOOKING: Final = (
    *(["runs", verb, "{run}"] for verb in ("show", "compare", "plot")),
    *(["runs", "list", "{root}"], ["runs", "list", "{root}", "--json"], ["trace", "list", "{run}"]),
    *(["config", "show", "--diff", "{run}"], ["trace", "stats", "{run}"]),
    *(["eval", "{run}", "--episodes", "2"], ["report", "{run}", "--out", "{root}/page.html"]),
    *([["resume", "{run}"]] * 3),
)


@fuzzed(FOLDERS)
@given(data=st.data())
def test_run_folders(server: ForkServer, halted: Path, tmp_path_factory: Any, data: Any) -> None:
    folder = copied(halted, tmp_path_factory.getbasetemp() / "folder")
    damage(data.draw, folder / "run")
    command = data.draw(st.sampled_from(LOOKING))
    typed(server, *(part.format(run=folder / "run", root=folder) for part in command))


def fields(model: Any = RunConfig, before: str = "") -> Iterator[str]:
    """The names of all fields of the configuration, with their sections."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if hasattr(inner, "model_fields"):
            yield from fields(inner, f"{before}{name}.")
        yield f"{before}{name}"


FIELDS: Final = tuple(fields())


@fuzzed(CONFIGS)
@given(data=st.data())
def test_configuration(server: ForkServer, tmp_path_factory: Any, data: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    draw = data.draw
    arguments: list[str | Path] = ["config", "show"]
    if draw(st.booleans()):
        content: dict[str, Any] = {}
        for name in draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4)):
            *sections, last = name.split(".")
            place = content
            for section in sections:
                inner = place.setdefault(section, {})
                place = inner if isinstance(inner, dict) else content
            place[last] = draw(st.one_of(ODD, DEEP))
        path.write_bytes(json.dumps(content).encode())
        if draw(st.integers(0, 5)) == 0:
            of_bytes(draw, path)
        arguments += ["--config", path]
    for name in draw(st.lists(st.sampled_from((*FIELDS, "env.x", "", "no")), max_size=3)):
        value = draw(st.one_of(TEXTS, NUMBERS.map(str_of), ODD.map(json.dumps)))
        arguments += ["--set", f"{name}={value}".replace("\0", "")]
    with suppress(UnicodeEncodeError):  # no shell could pass this on
        [os.fsencode(argument) for argument in arguments]
        typed(server, *arguments)


def str_of(number: Any) -> str:
    """A number as people type it; Python itself refuses to write the longest."""
    return json.dumps(number)


@fuzzed(TASKS)
@given(
    part=st.sampled_from(PARTS),
    value=st.integers(0, len(VALUES) - 1),
    after=st.sampled_from([0, 0, 1, 40]),
)
def test_tasks(
    server: ForkServer, tmp_path_factory: pytest.TempPathFactory, part: str, value: int, after: int
) -> None:
    folder = tmp_path_factory.mktemp("task")
    runner = Runner(server, ["--env", "helpers.fuzzed_task:make", "--provider", "offline"])
    arguments = runner.arguments(folder, steps=64, evaluation__every=10**6)
    for name, number in {"part": part, "value": value, "after": after}.items():
        arguments += ["--set", f"env.{name}={number}"]
    typed(server, *arguments)
    assert not shows_key(kept(folder))
