"""`trace follow`: a trace that is written, cut and ended while somebody follows it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.tiny_runs import CLI, environment, make_run
from helpers.trace_rows import CALL, visit
from tutelage.agents.common.files import RunFolderError
from tutelage.agents.common.invocation import command
from tutelage.graphs.analysis.trace_following import Item, follow
from tutelage.graphs.records.lock import in_use, locked
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.records import EventRecord
from tutelage.graphs.records.trace.writer import TraceWriter


class Writer:
    """A run that does, each time that its follower pauses, the next of its steps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps: list[Callable[[], Any]] = []
        self._holds = ExitStack()
        self.trace: TraceWriter

    def __call__(self, _seconds: float) -> None:
        assert self.steps, "the follower waits for what will never come"
        self.steps.pop(0)()

    def make(self) -> None:
        RunFolder.create(self.path).write_config({})

    def begin(self) -> None:
        self._holds.enter_context(locked(RunFolder(self.path)))
        self.trace = self._holds.enter_context(TraceWriter(RunFolder(self.path).trace))

    def iterate(self, *iterations: int, began: float = 0.0) -> None:
        for i in iterations:
            self.trace.situations({i: f"situation {i}"})
            self.trace.calls([replace(CALL, iteration=i, situation_id=i, started_at=began + i)])
            self.trace.visits([visit(i, i)])
            self.trace.events([EventRecord(i, i, "planner", "note", f"{i}")])
            self.trace.commit()

    def end(self) -> None:
        self._holds.close()

    def killed_and_resumed_at(self, iteration: int) -> None:
        self.end()
        self.begin()
        self.trace.cut(iteration, lambda situation_id: f"situation {situation_id}")


@pytest.fixture
def run(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "run")


def told(items: list[Item], kind: str) -> list[int]:
    return [item["iteration"] for item in items if item["type"] == kind]


def notices(items: list[Item]) -> list[str]:
    return [item["message"] for item in items if item["type"] == "notice"]


def test_a_run_is_followed_from_before_its_beginning_to_its_end(run: Writer) -> None:
    run.steps = [
        lambda: None,
        run.make,
        run.begin,
        lambda: run.iterate(0, 1),
        lambda: None,
        lambda: run.iterate(2),
        lambda: (run.iterate(3), run.end()),
    ]
    items = list(follow(run.path, 10, run))
    for kind in ("call", "event", "iteration"):
        assert told(items, kind) == [0, 1, 2, 3]
    first, last = notices(items)
    assert first == f"waiting for {run.path} to begin"
    assert last == f"the run does not go on; go on with it: {command()} resume {run.path}"
    assert [item["text"] for item in items if item["type"] == "call"][:2] == [
        "situation 0",
        "situation 1",
    ]


def test_only_the_last_of_what_is_there_is_told(run: Writer) -> None:
    run.make()
    run.begin()
    run.iterate(*range(20))
    run.steps = [lambda: run.iterate(20), run.end]
    items = list(follow(run.path, 2, run))
    for kind in ("call", "event", "iteration"):
        assert told(items, kind) == [18, 19, 20]
    run.begin()
    run.steps = [lambda: run.iterate(21), run.end]
    assert told(list(follow(run.path, 0, run)), "call") == [21]


def test_what_is_done_again_after_a_kill_is_told_again(run: Writer) -> None:
    """Numbers of calls begin again where the trace was cut, so they do not say what is new."""
    run.make()
    run.begin()
    run.steps = [
        lambda: run.iterate(0, 1, 2, 3),
        lambda: (run.killed_and_resumed_at(1), run.iterate(2, 3, 4, began=100.0)),
        run.end,
    ]
    items = list(follow(run.path, 10, run))
    assert told(items, "call") == [0, 1, 2, 3, 2, 3, 4]
    assert any("resumed" in notice for notice in notices(items))
    run.begin()
    run.steps = [lambda: run.killed_and_resumed_at(2), lambda: run.iterate(3), run.end]
    items = list(follow(run.path, 1, run))
    assert told(items, "iteration") == [4, 3]
    assert told(items, "event") == [4, 3]


def test_a_real_run_is_followed_by_another_thread_to_the_last_row(tmp_path: Path) -> None:
    items: list[Item] = []
    tick = threading.Event()

    def watch() -> None:
        items.extend(follow(tmp_path / "run", 10, lambda _: tick.wait(0.01)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    made = make_run(tmp_path, env="helpers.toy_task:Corridor")
    watcher.join(60)
    assert not watcher.is_alive()
    with made.trace() as reader:
        assert [i["id"] for i in items if i["type"] == "call"] == [c.id for c in reader.calls()]
    assert told(items, "iteration") == [row.iteration for row in made.rows]
    assert notices(items)[-1].startswith("the run has finished after ")


def test_looking_whether_a_run_goes_on_leaves_it_alone(run: Writer) -> None:
    assert not in_use(run.path)
    run.make()
    assert not in_use(run.path)
    assert not (run.path / ".lock").exists()
    with locked(RunFolder(run.path)):
        assert in_use(run.path)
        with pytest.raises(RunFolderError, match="in use"), locked(RunFolder(run.path)):
            pass
    assert not in_use(run.path)


def test_ctrl_c_leaves_quietly(tmp_path: Path) -> None:
    # A shell starts what runs in its background deaf to Ctrl-C, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, str(CLI), "trace", "follow", str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment({}),
    )
    assert process.stdout is not None
    assert b"waiting for" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")
