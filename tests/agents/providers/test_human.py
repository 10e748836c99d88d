"""The person at the terminal as the teacher, at a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.fork_server import Child, ForkServer
from helpers.tiny_runs import tiny_arguments
from helpers.toy_task import OPTIONS, PULL_IT, WALK_TO_EXIT, WALK_TO_LEVER
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.terminal.run.dialogue import _read

LIMIT_S = 120.0
PROMPT = "your plan (numbers in order, ? for help, q to quit): "
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Terminal:
    """A command line at a terminal of its own."""

    child: Child
    master: int
    slave: int | None
    seen: str = ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read_until(self, *wanted: str) -> str:
        """All that was shown since the last call, up to and with the first that is wanted."""
        end = time.monotonic() + LIMIT_S
        while not any(each in self.seen for each in wanted):
            assert time.monotonic() < end, self.seen[-2000:]
            assert self._read(), self.seen[-2000:]
        first = min((w for w in wanted if w in self.seen), key=self.seen.index)
        before, found, self.seen = self.seen.partition(first)
        return before + found

    def finish(self) -> tuple[int, str]:
        """The exit code, and all that was left to be shown."""
        end = time.monotonic() + LIMIT_S
        while self._read():
            assert time.monotonic() < end, self.seen[-2000:]
        return self.child.wait().code, self.seen

    def close(self) -> None:
        for descriptor in (self.master, self.slave):
            if descriptor is not None:
                os.close(descriptor)

    def _read(self) -> bool:
        """Whether there may be more."""
        ready, _, _ = select.select([self.master], [], [], 1.0)
        if not ready:
            return True
        try:
            chunk = os.read(self.master, 65536)
        except OSError:  # how Linux says that the other end was closed
            return False
        if self.slave is not None:  # the child has opened it by now
            os.close(self.slave)
            self.slave = None
        self.seen += _ESCAPES.sub("", chunk.decode("utf-8", "replace")).replace("\r", "")
        return bool(chunk)


OpenTerminal = Callable[..., Terminal]


@pytest.fixture
def at_terminal(server: ForkServer) -> Iterator[OpenTerminal]:
    opened: list[Terminal] = []

    def start(*words: str | Path) -> Terminal:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
        child = server.start([str(word) for word in words], terminal=os.ttyname(slave))
        opened.append(Terminal(child, master, slave))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


@pytest.fixture
def run(at_terminal: OpenTerminal, tmp_path: Path) -> Terminal:
    words = ("--env", "helpers.toy_task:Corridor", "--provider", "human")
    return at_terminal("run", *tiny_arguments(tmp_path), *words)


def number_of(shown: str, option: str) -> str:
    found = re.search(rf"(\d+)  {re.escape(option)}", shown)
    assert found, shown
    return found[1]


def test_a_person_teaches_beside_the_live_view(run: Terminal, tmp_path: Path) -> None:
    given: dict[str, str] = {}
    shown = run.read_until(PROMPT)
    assert "you are the teacher" in shown
    assert "such a state" in shown
    assert "@" in shown
    run.type("?\n")
    told = run.read_until(PROMPT)
    assert "Type the numbers" in told
    assert "walk_to: Walk there; finished once it is reached." in told
    assert "pull: Carry out the task's option 'pull'." in told
    for wrong, says in (
        ("99\n", "numbers from 1 to"),
        ("x y\n", "no plan"),
        ("1 " * 6 + "\n", "too"),
    ):
        run.type(wrong)
        assert says in run.read_until(PROMPT)
    while True:
        place = "lever (down)" if "lever (down)" in shown else "lever (up)"
        wanted = "walk_to(exit)" if place == "lever (down)" else "pull()"
        numbers = [number_of(shown, wanted)]
        if place == "lever (up)" and "in the corridor" in shown:
            numbers.insert(0, number_of(shown, "walk_to(lever)"))
        given[shown.split("place: ")[1].split("│")[0].strip() + place] = wanted
        run.type(f"{', '.join(numbers)}\n")
        answered = run.read_until("→ ")
        assert wanted not in answered
        more = run.read_until(PROMPT, "trace list")
        if PROMPT not in more:
            break
        shown = more
    code, said = run.finish()
    assert code == 0, said
    folder = RunFolder.open(tmp_path / "run")
    summary = folder.read_summary()
    assert summary is not None
    assert summary.status == "finished"
    assert (summary.llm.failures, summary.llm.cost_usd) == (0, 0.0)
    assert summary.llm.situations == len(given)
    with TraceReader(folder.trace) as trace:
        plans = {s.situation_id: s.plans for s in trace.situations()}
    assert plans[0] == [{"plan": [["walk_to", "lever"], ["pull", None]], "p": 1.0}]
    assert plans[2] == [{"plan": [["pull", None]], "p": 1.0}]


def test_a_person_who_acts_is_shown_the_state_that_they_are_asked_about(
    at_terminal: OpenTerminal, tmp_path: Path
) -> None:
    words = ("--env", "helpers.toy_task:Corridor", "--provider", "human")
    own = ("--graph", "teacher_only", "--run-dir", str(tmp_path / "run"))
    run = at_terminal("run", *words, *own, "--set", "evaluation.final_episodes=2")
    shown = run.read_until(PROMPT)
    assert "such a state" in shown
    assert "@" in shown
    run.type("q\n")
    code, said = run.finish()
    assert code == 130, said
    assert "Traceback" not in said


@pytest.mark.parametrize("leaving", ["q\n", "\x03", "\x04"], ids=["q", "ctrl-c", "ctrl-d"])
def test_leaving_saves_the_run_which_can_be_resumed(
    leaving: str, run: Terminal, at_terminal: OpenTerminal, tmp_path: Path
) -> None:
    run.read_until(PROMPT)
    run.type(leaving)
    code, said = run.finish()
    assert code == 130, said
    assert "SIGINT: stopping" in said
    assert "python cli.py resume" in said
    assert "Traceback" not in said
    assert "Fatal" not in said
    summary = RunFolder.open(tmp_path / "run").read_summary()
    assert summary is not None
    assert summary.status == "interrupted"
    assert summary.llm.failures == 0
    if leaving == "q\n":
        again = at_terminal("resume", tmp_path / "run")
        assert "you are the teacher" in again.read_until(PROMPT)
        again.type("q\n")
        assert again.finish()[0] == 130


def test_a_person_can_be_checked(at_terminal: OpenTerminal) -> None:
    terminal = at_terminal("providers", "check", "human", "--env", "helpers.toy_task:Corridor")
    assert "such a state" in terminal.read_until(PROMPT)
    terminal.type("1\n")
    code, said = terminal.finish()
    assert code == 0, said
    assert "1.00" in said


def test_what_is_typed_is_a_plan_or_the_reason_is_given() -> None:
    assert _read("3", OPTIONS, 5) == (WALK_TO_EXIT,)
    assert _read("1, 2;3", OPTIONS, 5) == (WALK_TO_LEVER, PULL_IT, WALK_TO_EXIT)
    for wrong in ("0", "5", "-1", "1 x", "²", "1.5", "9" * 4301, "١٢٣٤٥٦"):
        assert "allowed: numbers from 1 to 4" in _read(wrong, OPTIONS, 5)
    assert "at most 2" in _read("1 2 3", OPTIONS, 2)
