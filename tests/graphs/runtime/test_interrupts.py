"""Ctrl-C and SIGTERM where it is hard: in long steps, with a server that hangs, at a terminal."""

from __future__ import annotations

import os
import pty
import signal
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from helpers.fork_server import Child, Done, ForkServer
from helpers.openai_server import OpenAIServer, hang, teach
from helpers.sluggish_task import STUCK
from helpers.small_runs import Runner, outcome
from tutelage.graphs.records.run_folder import RunFolder

LIMIT_S = 60.0
"""Far more than the 5 s that it should take, and far less than without being cut short."""


@pytest.fixture(scope="module")
def expected(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of a run that nobody interrupts."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert Runner(server).run(folder).code == 0
    return outcome(folder)


def await_that(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def ended_in_order(child: Child, folder: Path, number: int) -> Done:
    """Interrupt a child, which saves and says how to go on."""
    sent = time.monotonic()
    child.kill(number)
    done = child.wait()
    print(f"ended after {time.monotonic() - sent:.1f} s")
    assert time.monotonic() - sent < LIMIT_S
    assert done.code == 128 + number, done.err
    assert done.err == ""
    assert f"{signal.Signals(number).name}: stopping" in done.progress
    assert f"python cli.py resume {folder / 'run'}" in " ".join(done.out.split())
    summary = RunFolder.open(folder / "run").read_summary()
    assert summary is not None
    assert summary.status == "interrupted"
    assert summary.student is None
    return done


def assert_goes_on(server: ForkServer, folder: Path, expected: dict[str, Any]) -> None:
    """With the corridor that is not slow, to the end that it would have had."""
    config = folder / "run" / "config.json"
    text = config.read_text()
    for name in ("SlowTraining", "SlowEvaluation"):
        text = text.replace(f"sluggish_task:{name}", "helpers.toy_task:Corridor")
    config.write_text(text)
    done = server.run(["resume", str(folder / "run")])
    assert done.code == 0, done.err
    assert outcome(folder) == expected


@pytest.mark.parametrize(
    ("task", "settings", "rows"),
    [
        ("SlowTraining", {"ppo__num_steps": 600}, 0),
        pytest.param("SlowEvaluation", {"evaluation__episodes": 500}, 1, marks=pytest.mark.slow),
        ("SlowEvaluation", {"evaluation__every": 10**6, "evaluation__final_episodes": 500}, 7),
    ],
    ids=["rollout", "evaluation", "last-evaluation"],
)
def test_what_takes_minutes_is_cut_short(
    server: ForkServer, task: str, settings: dict[str, Any], rows: int, tmp_path: Path
) -> None:
    runner = Runner(server, ["--env", f"sluggish_task:{task}"])
    child = runner.start(tmp_path, settings)
    metrics = tmp_path / "run" / "metrics.jsonl"
    await_that(lambda: metrics.exists() and metrics.read_bytes().count(b"\n") == rows)
    time.sleep(0.5)
    ended_in_order(child, tmp_path, signal.SIGTERM)


@pytest.mark.parametrize(
    "task", [pytest.param("SlowTraining", marks=pytest.mark.slow), "SlowEvaluation"]
)
def test_what_was_cut_short_goes_on_to_the_same_numbers(
    server: ForkServer, task: str, tmp_path: Path, expected: dict[str, Any]
) -> None:
    child = Runner(server, ["--env", f"sluggish_task:{task}"]).start(tmp_path)
    metrics = tmp_path / "run" / "metrics.jsonl"
    await_that(lambda: metrics.exists() and metrics.read_bytes().count(b"\n") >= 1)
    ended_in_order(child, tmp_path, signal.SIGINT)
    assert_goes_on(server, tmp_path, expected)


def test_a_server_that_hangs_holds_nobody_up(
    server: ForkServer, tmp_path: Path, expected: dict[str, Any]
) -> None:
    with OpenAIServer(*[hang(600)] * 4, teach()) as teacher:
        options = [
            "--env",
            "helpers.toy_task:Corridor",
            "--wait",
            "--provider",
            "openai:test-model",
        ]
        runner = Runner(server, [*options, "--base-url", teacher.base_url])
        child = runner.start(tmp_path, {"teacher__timeout_s": 600, "teacher__budget_calls": 100})
        await_that(lambda: len(teacher.requests) > 0)
        ended_in_order(child, tmp_path, signal.SIGINT)
        while len(teacher.requests) < 4:  # the others of those that are to hang
            teacher.requests.append(teacher.requests[0])
        done = runner.go_on(tmp_path)
    assert done.code == 0, done.err
    found = outcome(tmp_path, trace=False)
    assert len(found["rows"]) == len(expected["rows"])


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_quits_at_once(
    server: ForkServer, second: signal.Signals, tmp_path: Path
) -> None:
    """The task is stuck in a step: nothing but a second signal can end it."""
    child = Runner(server, ["--env", "helpers.sluggish_task:Stuck"]).start(tmp_path)
    await_that(lambda: STUCK in child.output())
    child.kill(signal.SIGINT)
    await_that(lambda: "SIGINT: stopping" in child.output())
    sent = time.monotonic()
    child.kill(second)
    assert child.wait().code == -second
    assert time.monotonic() - sent < LIMIT_S


class Terminal:
    """A terminal with somebody at it."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.name = os.ttyname(slave)
        self._slave = slave
        self._before = termios.tcgetattr(slave)
        self.shown = b""
        os.set_blocking(self._master, False)

    def read(self) -> bytes:
        """All that was shown so far."""
        with suppress(BlockingIOError):
            self.shown += os.read(self._master, 1 << 20)
        return self.shown

    def press_ctrl_c(self) -> None:
        os.write(self._master, b"\x03")

    def is_as_before(self) -> bool:
        """Whether the cursor is shown and the settings are those of the start."""
        self.read()
        shown, hidden = self.shown.rfind(b"\x1b[?25h"), self.shown.rfind(b"\x1b[?25l")
        return shown > hidden and termios.tcgetattr(self._slave) == self._before

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def test_ctrl_c_at_a_terminal(server: ForkServer, terminal: Terminal, tmp_path: Path) -> None:
    runner = Runner(server, ["--env", "helpers.sluggish_task:SlowTraining"])
    child = runner.start(tmp_path, {"ppo__num_steps": 600}, terminal=terminal.name)
    await_that(lambda: b"\x1b[?25l" in terminal.read())
    await_that(lambda: (tmp_path / "run" / "metrics.jsonl").exists())
    terminal.press_ctrl_c()
    await_that(lambda: b"SIGINT: stopping" in terminal.read())
    await_that(lambda: b"resume" in terminal.read())
    assert child.wait().code == 130
    assert terminal.is_as_before()


def test_ctrl_c_twice_at_a_terminal(server: ForkServer, terminal: Terminal, tmp_path: Path) -> None:
    child = Runner(server, ["--env", "helpers.sluggish_task:Stuck"]).start(
        tmp_path, terminal=terminal.name
    )
    await_that(lambda: b"\x1b[?25l" in terminal.read())
    await_that(lambda: STUCK.encode() in terminal.read())
    terminal.press_ctrl_c()
    await_that(lambda: b"SIGINT: stopping" in terminal.read())
    terminal.press_ctrl_c()
    assert child.wait().code == -signal.SIGINT
    assert terminal.is_as_before()


def test_ctrl_c_at_the_end_skips_the_episode_and_not_the_result(
    server: ForkServer, terminal: Terminal, tmp_path: Path
) -> None:
    child = Runner(server, ["--env", "helpers.toy_task:Corridor"]).start(
        tmp_path, terminal=terminal.name
    )
    await_that(lambda: b"Ctrl-C skips" in terminal.read())
    assert b"student alone, held out" not in terminal.read()
    terminal.press_ctrl_c()
    assert child.wait().code == 0
    assert b"student alone, held out" in terminal.read()
    assert terminal.is_as_before()
