"""The cases of the fuzzing: what is typed, and what lies there when it is.

Each is made of what is drawn and of the kept run alone, so that it is the same in each process. Run
as a program, with a number, this file says digests of so many cases of each shard; 0 is all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hypothesis import assume
from hypothesis import strategies as st

from helpers.fuzzed_answers import REPLIES
from helpers.fuzzed_files import damage, of_bytes, of_cells
from helpers.fuzzed_task import PARTS, VALUES
from helpers.fuzzed_values import DEEP, NUMBERS, ODD, TEXTS, Draw, try_each
from helpers.kept_run import NOBODY, lay_out
from helpers.openai_server import Reply
from helpers.small_runs import SMALL
from tutelage.graphs.config.config import RunConfig

MOST: Final = 24
"""Odd answers in a run, at the most; the rest is good."""


@dataclass(frozen=True)
class Case:
    """arguments: a command line, typed in the folder.

    replies: of the provider that it asks, None for a good one; all that follow are good.
    """

    arguments: list[str]
    replies: list[Reply | None] = field(default_factory=list)


@dataclass(frozen=True)
class Kind:
    """make: makes a case in an empty folder. cases: how many there are.

    shards: the tests that they are divided into, to be spread over workers.
    """

    make: Callable[[Draw, Path], Case]
    cases: int
    shards: int


def run_arguments(*options: str, **settings_: Any) -> list[str]:
    """The command line of a small run. settings_: fields of the configuration, `ppo__epochs=1`."""
    given = {name.replace("__", "."): value for name, value in settings_.items()}
    arguments = ["run", "--run-dir", "run", *options]
    for name, value in {**SMALL, "cache": "plans.sqlite", **given}.items():
        arguments += ["--set", f"{name}={value}"]
    return arguments


ASKING: Final = run_arguments(
    *("--env", "ColoredDoorKey", "--provider", "openai:test-model"),
    steps=4 * 64,
    num_envs=8,
    weaning__schedule="constant",
    wait=True,
    # One request at a time: which of them gets which answer is no matter of chance.
    teacher__concurrency=1,
    teacher__max_tries=2,
    teacher__backoff_s=0.0,
    teacher__timeout_s=5,
    ppo__epochs=1,
    ppo__advised_epochs=1,
    student__hidden=16,
    evaluation__every=10**6,
    evaluation__final_episodes=1,
)


def _answers(draw: Draw, _: Path) -> Case:
    replies = draw(st.lists(REPLIES, min_size=MOST, max_size=MOST))
    # A good one with each two odd ones, most often before them: a run soon gives up without any.
    good = 2 if draw(st.integers(0, 4)) == 0 else 0
    for at in range(good, MOST + MOST // 2, 3):
        replies.insert(at, None)
    return Case(ASKING, replies)


READING: Final = (
    *(["trace", verb, "run"] for verb in ("list", "stats", "export")),
    *(["trace", "list", "run", "calls"], ["trace", "list", "run", "--json"]),
    *(["trace", "show", "run", each] for each in ("1", "c1", "c2")),
    *(["trace", "diff", "run:c1", "run:c2"], ["trace", "diff", "run", "run"]),
)


def _trace(draw: Draw, folder: Path) -> Case:
    lay_out(folder / "run")
    damaging = draw(st.sampled_from([of_cells, of_cells, of_cells, of_bytes]))
    damaging(draw, folder / "run" / "trace.sqlite")
    return Case(draw(st.sampled_from(READING)))


LOOKING: Final = (
    *(["runs", verb, "run"] for verb in ("show", "compare", "plot")),
    *(["runs", "list", "."], ["runs", "list", ".", "--json"], ["trace", "list", "run"]),
    *(["config", "show", "--diff", "run"], ["trace", "stats", "run"]),
    *(["eval", "run", "--episodes", "2"], ["report", "run", "--out", "page.html"]),
    *[["resume", "run", "--base-url", NOBODY]] * 3,
)


def _run_folder(draw: Draw, folder: Path) -> Case:
    lay_out(folder / "run")
    damage(draw, folder / "run")
    return Case(draw(st.sampled_from(LOOKING)))


def _fields(model: Any = RunConfig, before: str = "") -> Iterator[str]:
    """The names of all fields of the configuration, with their sections."""
    for name, field_ in model.model_fields.items():
        inner = field_.annotation
        if hasattr(inner, "model_fields"):
            yield from _fields(inner, f"{before}{name}.")
        yield f"{before}{name}"


FIELDS: Final = tuple(_fields())


def _configuration(draw: Draw, folder: Path) -> Case:
    path = folder / "fuzzed.json"
    arguments = ["config", "show"]
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
        arguments += ["--config", path.name]
    for name in draw(st.lists(st.sampled_from((*FIELDS, "env.x", "", "no")), max_size=3)):
        value = draw(st.one_of(TEXTS, NUMBERS.map(json.dumps), ODD.map(json.dumps)))
        # As a shell passes it on: bytes, with none that is 0.
        typed = f"{name}={value}".replace("\0", "").encode("utf-8", "surrogatepass")
        arguments += ["--set", os.fsdecode(typed)]
    return Case(arguments)


def _task(draw: Draw, _: Path) -> Case:
    arguments = run_arguments(
        *("--env", "helpers.fuzzed_task:make", "--provider", "offline"),
        steps=64,
        evaluation__every=10**6,
        env__part=draw(st.sampled_from(PARTS)),
        env__value=draw(st.integers(0, len(VALUES) - 1)),
        env__after=draw(st.sampled_from([0, 0, 1, 40])),
    )
    return Case(arguments)


KINDS: Final = {
    "answers": Kind(_answers, 55, 5),
    "traces": Kind(_trace, 536, 4),
    "run folders": Kind(_run_folder, 320, 4),
    "configurations": Kind(_configuration, 304, 2),
    "tasks": Kind(_task, 102, 2),
}
"""Of the first kind a case is a run, and its odd answers are counted. All shards of a kind begin
with the same few simple cases: there are some more than 500, 300, 300 and 100, so that so many
differ."""


def try_shard(
    kind: str, shard: int, folder: Path, try_it: Callable[[Case], object], most: int = 0
) -> None:
    """Try the cases of a shard, or no more than so many of them.

    folder: where each is laid out and typed; it may not be there, and holds the last case after.
    """

    def one(draw: Draw) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        case = of.make(draw, folder)
        made = digest(folder, case)
        assume(made not in seen)  # not all that is drawn is damage
        seen.add(made)
        try_it(case)

    of = KINDS[kind]
    seen: set[str] = set()
    cases = of.cases // of.shards
    try_each(f"{kind} {shard}", min(cases, most or cases), one)


def digest(folder: Path, case: Case) -> str:
    """A digest of all that a case is made of."""
    made = hashlib.sha256(repr(case).encode("utf-8", "surrogatepass"))
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
        made.update(f"{path.relative_to(folder)} {kind} {len(content)}\n".encode() + content)
    return made.hexdigest()


def say_digests(most: int) -> None:
    """Print digests of the first cases of each shard."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "case"
        for kind, of in KINDS.items():
            for shard in range(of.shards):
                try_shard(kind, shard, folder, lambda case: print(digest(folder, case)), most)


if __name__ == "__main__":
    say_digests(int(sys.argv[1]))
