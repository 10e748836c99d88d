"""Fuzzing: whatever a provider answers, a file holds or a task gives, a command ends as it should.

That is: with an exit code that stands for something and without a traceback, with a key neither in
what is shown nor in what is kept, in a gigabyte of memory and a bounded time. A run ends, or it is
resumed. Together they are 2,000, and the same ones each time.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from helpers.fork_server import Done, ForkServer
from helpers.fuzzed_answers import answering
from helpers.fuzzed_cases import KINDS, LOOKING, READING, Case, try_shard
from helpers.kept_run import lay_out, make, shape
from helpers.key_forms import KEY, shows_key
from helpers.openai_server import OpenAIServer, repeating, teach
from helpers.tiny_runs import IMPORTABLE
from tutelage.graphs.runtime.errors import NO_ANSWER

pytestmark = pytest.mark.slow

ANSWERS: Final = 800
MEMORY: Final = 1 << 30
SECONDS: Final = 60
EACH: Final = 10
"""Cases of each shard that are compared between two processes."""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """Command lines in an environment with a key in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", KEY)
        # Each thread would take address space for itself, which is no memory.
        patch.setenv("MALLOC_ARENA_MAX", "2")
        with ForkServer() as server:
            yield server


def typed(server: ForkServer, folder: Path, arguments: Sequence[str]) -> Done:
    """A command within its bounds, which ended as it should."""
    limits = {"RLIMIT_CPU": SECONDS}
    done = server.run([*arguments], memory=MEMORY, limits=limits, cwd=str(folder))
    said = f"{arguments}: {done.code}\n{done.out[-500:]}\n{done.err[-3000:]}"
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


def shards(kind: str) -> pytest.MarkDecorator:
    """The numbers of a kind's shards."""
    return pytest.mark.parametrize("shard", range(KINDS[kind].shards))


@shards("answers")
def test_answers_of_a_provider(server: ForkServer, tmp_path: Path, shard: int) -> None:
    odd: list[int] = []

    def try_it(case: Case) -> None:
        asked = run_asks(server, tmp_path, case)
        odd.append(sum(reply is not None for reply in case.replies[:asked]))

    try_shard("answers", shard, tmp_path, try_it)
    assert sum(odd) >= ANSWERS // KINDS["answers"].shards


def run_asks(server: ForkServer, folder: Path, case: Case) -> int:
    """A run with these answers, which ends or is resumed. Returns how many requests it made."""
    good = repeating(teach(), KEY)
    behaviours = [good if reply is None else answering(reply) for reply in case.replies]
    with OpenAIServer(*behaviours, good) as teacher:
        there = ["--base-url", teacher.base_url]
        done = typed(server, folder, [*case.arguments, *there])
        asked = len(teacher.requests)
        if done.code not in (0, NO_ANSWER):
            assert typed(server, folder, ["resume", "run", *there]).code in (0, NO_ANSWER)
    for command in (["trace", "list"], ["trace", "stats"], ["runs", "show"]):
        assert typed(server, folder, [*command, "run"]).code == 0
    assert not shows_key(kept(folder))
    return asked


@shards("traces")
def test_traces(server: ForkServer, tmp_path: Path, shard: int) -> None:
    try_shard("traces", shard, tmp_path, lambda case: typed(server, tmp_path, case.arguments))


@shards("run folders")
def test_run_folders(server: ForkServer, tmp_path: Path, shard: int) -> None:
    try_shard("run folders", shard, tmp_path, lambda case: typed(server, tmp_path, case.arguments))


@shards("configurations")
def test_configurations(server: ForkServer, tmp_path: Path, shard: int) -> None:
    try_shard(
        "configurations", shard, tmp_path, lambda case: typed(server, tmp_path, case.arguments)
    )


@shards("tasks")
def test_tasks(server: ForkServer, tmp_path: Path, shard: int) -> None:
    def try_it(case: Case) -> None:
        typed(server, tmp_path, case.arguments)
        assert not shows_key(kept(tmp_path))

    try_shard("tasks", shard, tmp_path, try_it)


class TestCases:
    def test_they_are_2000(self) -> None:
        cases = [of.cases for kind, of in KINDS.items() if kind != "answers"]
        assert ANSWERS + sum(cases) >= 2000

    def test_they_are_the_same_in_each_process(self, tmp_path: Path) -> None:
        """Whatever is loaded, however texts are hashed, wherever temporary files lie."""
        processes = []
        for number, loaded in enumerate(["helpers.fuzzed_cases", "tutelage.graphs.runtime.run"]):
            place = tmp_path / ("x" * (1 + 20 * number))
            place.mkdir()
            variables = {"PYTHONPATH": IMPORTABLE, "TMPDIR": str(place)}
            code = f"import {loaded}, helpers.fuzzed_cases as cases; cases.say_digests({EACH})"
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", code],
                    env={**os.environ, **variables, "PYTHONHASHSEED": str(number)},
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        first, second = (process.communicate()[0].split() for process in processes)
        assert [process.returncode for process in processes] == [0, 0]
        assert len(first) == EACH * sum(of.shards for of in KINDS.values())
        assert first == second


class TestKeptRun:
    """`PYTHONPATH=.package:tests python -m helpers.kept_run` makes it anew."""

    def test_it_is_what_is_written_today(self, tmp_path: Path) -> None:
        lay_out(tmp_path / "kept")
        assert shape(tmp_path / "kept") == shape(make(tmp_path)), self.__class__.__doc__

    def test_it_is_read_without_complaint(self, server: ForkServer, tmp_path: Path) -> None:
        lay_out(tmp_path / "run")
        commands = dict.fromkeys(map(tuple, [*READING, *LOOKING]))
        # Resumed first: only runs that are finished are compared.
        for arguments in sorted(commands, key=lambda each: each[0] != "resume"):
            done = typed(server, tmp_path, arguments)
            assert (done.code, done.err) == (0, ""), arguments
