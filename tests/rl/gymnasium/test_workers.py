"""Worker processes end with whoever started them, and say in one line why they died."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest

from helpers.gym_tasks import Dials, DialTask
from helpers.tiny_runs import ROOT
from tutelage.rl.errors import TaskCodeError
from tutelage.rl.gymnasium.environments import LocalEnvironments
from tutelage.rl.gymnasium.workers import WorkerEnvironments

ACTION = np.array([1, 0])


class Mortal(Dials):
    """Its process ends when the action says so."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        observation, _ = super().reset(seed=seed)
        return observation, {"process": os.getpid()}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, Any]:
        if action[0] == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


class Unsendable(Dials):
    """Gives what no pipe can carry."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        return super().reset(seed=seed)[0], {"process": lambda: None}


def processes_of(envs: WorkerEnvironments) -> list[int]:
    return [info["process"] for _, info in envs.reset(range(4), range(4))]


def is_running(process: int) -> bool:
    """Whether there is such a process, and it is more than a record of its end."""
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_end(processes: list[int]) -> None:
    deadline = monotonic() + 20
    while any(map(is_running, processes)):
        assert monotonic() < deadline, "worker processes are left behind"
        sleep(0.05)


@pytest.fixture
def envs() -> Any:
    made = WorkerEnvironments(Mortal, 4, ("process",), 2)
    yield made
    made.close()


class TestEnds:
    def test_several_environments_share_a_process(self, envs: WorkerEnvironments) -> None:
        first, second, third, fourth = processes_of(envs)
        assert first == second != third == fourth
        assert os.getpid() not in (first, third)

    def test_they_end_when_they_are_closed(self, envs: WorkerEnvironments) -> None:
        processes = processes_of(envs)
        envs.close()
        wait_for_end(processes)
        envs.close()

    def test_one_that_dies_is_told_of_and_ends_the_other(self, envs: WorkerEnvironments) -> None:
        processes = processes_of(envs)
        with pytest.raises(TaskCodeError) as caught:
            envs.step(range(4), [ACTION, ACTION, ACTION, np.array([3, 0])])
        assert str(caught.value) == ("process 2 of 2 that steps environments has died (by SIGKILL)")
        wait_for_end(processes)

    def test_what_cannot_be_sent_is_told_of(self) -> None:
        envs = WorkerEnvironments(Unsendable, 2, ("process",), 1)
        with pytest.raises(TaskCodeError, match="cannot be sent to another process"):
            envs.reset([0, 1], [0, 1])

    def test_nor_can_every_environments_maker(self) -> None:
        lock = threading.Lock()

        def locked() -> Dials:
            with lock:
                return Dials()

        with pytest.raises(TaskCodeError, match="cannot be sent to another process"):
            WorkerEnvironments(locked, 2, (), 1)

    def test_they_do_as_environments_of_this_process(self) -> None:
        here, there = (
            LocalEnvironments(Dials, 5, ("hits",)),
            WorkerEnvironments(Dials, 5, ("hits",), 2),
        )
        rows = [4, 0, 3]
        assert str(here.reset(rows, [7, 8, 9])) == str(there.reset(rows, [7, 8, 9]))
        assert str(here.step(rows, [ACTION] * 3)) == str(there.step(rows, [ACTION] * 3))
        there.close()


SCRIPT = """
    import sys, time
    import numpy as np
    from helpers.gym_tasks import DialTask, Dials
    import os

    class Here(Dials):  # known to this script alone
        def reset(self, *, seed=None, options=None):
            return super().reset(seed=seed)[0], {"process": os.getpid()}

    class Task(DialTask):
        info_keys = ("process", "hits")
        def __init__(self):
            super().__init__(workers=2)
            self.env = Here

    envs = Task().as_task().make_envs(2, "train", 0)
    envs.reset()
    print(*(state.info["process"] for state in envs.states().rows()), flush=True)
"""


def start(rest: str, folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A script that has started workers, and their processes' numbers. rest: what it does then."""
    script = folder / "script.py"
    script.write_text(textwrap.dedent(SCRIPT) + rest, "utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": f"{ROOT / '.package'}:{ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    return process, [int(number) for number in process.stdout.readline().split()]


class TestScripts:
    """A script without `if __name__ == "__main__"`, whose environment's class is its own."""

    def test_they_end_with_the_interpreter(self, tmp_path: Path) -> None:
        process, workers = start("", tmp_path)
        _, complaints = process.communicate(timeout=60)
        assert len(set(workers)) == 2
        assert (process.returncode, complaints) == (0, "")
        wait_for_end(workers)

    @pytest.mark.parametrize("rest", ["envs.close()", "envs.close(); del envs", "envs = None"])
    def test_nor_are_they_left_by_who_is_done_with_them(self, rest: str, tmp_path: Path) -> None:
        process, workers = start(rest, tmp_path)
        _, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, "")
        wait_for_end(workers)

    def test_a_fork_lets_them_be(self, tmp_path: Path) -> None:
        rest = (
            "import gc\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    envs = None\n"
            "    gc.collect()\n"
            "    os._exit(3)\n"
            "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
            "envs.step(np.zeros((2, 2), np.int64))\n"
            "print('still there')\n"
        )
        process, workers = start(rest, tmp_path)
        said, complaints = process.communicate(timeout=60)
        assert said.split("\n")[:2] == ["3", "still there"]
        assert (process.returncode, complaints) == (0, "")
        wait_for_end(workers)

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_they_end_when_it_is_killed(self, number: signal.Signals, tmp_path: Path) -> None:
        process, workers = start("time.sleep(60)", tmp_path)
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode == -number
        wait_for_end(workers)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_to_all_of_them_is_the_main_processs_alone(
        self, number: signal.Signals, tmp_path: Path
    ) -> None:
        """As a terminal and a cluster send it."""
        rest = (
            "import signal\n"
            f"signal.signal({int(number)}, lambda *_: print('asked', flush=True))\n"
            "print('ready', flush=True)\n"
            "time.sleep(1)\n"
            "envs.step(np.zeros((2, 2), np.int64))\n"
            "print('still there')\n"
        )
        process, workers = start(rest, tmp_path)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, number)
        said, complaints = process.communicate(timeout=60)
        assert said.split("\n")[:2] == ["asked", "still there"]
        assert (process.returncode, complaints) == (0, "")
        wait_for_end(workers)


class Forgetful(DialTask):
    """Its first observation cannot be encoded."""

    info_keys = ("process",)

    def __init__(self) -> None:
        super().__init__(workers=1)
        self.env = Mortal

    def remember(self, memory: Any, obs: Any, info: Any) -> Any:
        met.append(info["process"])

    def encode(self, obs: Any, info: Any) -> Any:
        raise LookupError


met: list[int] = []
"""The processes of the environments that a `Forgetful` has met."""


def test_they_end_with_an_error_of_a_method() -> None:
    envs = Forgetful().as_task().make_envs(1, "train", 0)
    with pytest.raises(TaskCodeError, match="LookupError"):
        envs.reset()
    wait_for_end(met)
    assert len(met) == 1


def test_no_more_processes_than_environments() -> None:
    envs = DialTask(workers=8).as_task().make_envs(1, "train", 0)
    envs.reset()
    envs.close()


class Mortals(DialTask):
    """In two processes, whose numbers are in the info."""

    info_keys = ("process",)

    def __init__(self) -> None:
        super().__init__(workers=2)
        self.env = Mortal


@pytest.mark.parametrize("closed", [True, False])
def test_they_end_with_their_tasks(closed: bool) -> None:
    """Those that were given back are kept for the task alone, and others for nobody."""
    processes: list[int] = []
    for _ in range(3):
        task = Mortals().as_task()
        envs = task.make_envs(2, "train", 0)
        envs.reset()
        processes += [state.info["process"] for state in envs.states().rows()]
        if closed:
            envs.close()
        assert all(map(is_running, processes[-2:]))
    del task, envs
    gc.collect()
    wait_for_end(processes)
    assert len(set(processes)) == 6
