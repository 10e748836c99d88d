"""Command lines in processes that can be killed anywhere, cheaply.

One process imports everything and then forks a child for each command line
(`graphs.terminal.app.main`). The child may be told to kill itself at a point of its work, or to
live with limits. Run as a script this file is that process; `ForkServer` starts it and talks to it.

    with ForkServer() as server:
        done = server.run(["run", ...], kill=Kill(at=17))
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = TESTS.parent / ".package"


_PROGRESS: Final = re.compile(
    r"setting up: |now: |waiting for the LLM: |steps [\d,]+/[\d,]+ · |evaluating|run folder "
    r"|\w+ · .+ · |SIG\w+: stopping"
)


@dataclass(frozen=True)
class Kill:
    """Where a child sends itself a signal.

    at: the how manieth point it passes, from 1; beyond the last, it lives. point: points whose
    name begins so, all if empty. later_s: so long after the point, as the clock has it, and then it
    is SIGALRM. Points are passed before and after each of the `pieces` below.
    """

    at: int
    point: str = ""
    later_s: float = 0.0
    number: int = signal.SIGKILL


@dataclass(frozen=True)
class Done:
    """How a child ended. code: exit code, or minus the signal. points: the points it passed.

    progress: the lines of standard error that tell how a run goes on; err: all others.
    """

    code: int
    out: str
    err: str
    progress: str
    points: list[str]


class Child:
    """A command line that is going on."""

    def __init__(self, server: ForkServer, pid: int, folder: Path) -> None:
        self.pid = pid
        self._server, self._folder = server, folder

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def output(self) -> str:
        """What it has written so far."""
        return "".join((self._folder / name).read_text("utf-8") for name in ("out", "err"))

    def wait(self) -> Done:
        """How it ended."""
        code = self._server.ask({"wait": self.pid})
        out, err, points = (
            (self._folder / name).read_text("utf-8") for name in ("out", "err", "points")
        )
        progress, others = [], []
        for line in err.splitlines(keepends=True):
            (progress if _PROGRESS.match(line) else others).append(line)
        return Done(code, out, "".join(others), "".join(progress), points.split())


class ForkServer:
    """Starts command lines, one at a time or several; a context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="forks-")
        self._started = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            cwd=TESTS,
            env={**os.environ, "PYTHONPATH": f"{PACKAGE}{os.pathsep}{TESTS}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._folder.cleanup()

    def start(
        self,
        arguments: list[str],
        kill: Kill | None = None,
        limits: dict[str, int] | None = None,
        memory: int | None = None,
        terminal: str | None = None,
        cwd: str = str(TESTS),
    ) -> Child:
        """Start a command line.

        limits: by the names of `resource`. memory: bytes of address space that it may take on top
        of what it has at the start. terminal: the device that becomes its terminal. cwd: where the
        line is typed.
        """
        self._started += 1
        folder = Path(self._folder.name) / str(self._started)
        folder.mkdir()
        for name in ("out", "err", "points"):
            (folder / name).touch()
        job = {
            "arguments": arguments,
            "kill": asdict(kill) if kill else None,
            "limits": limits or {},
            "memory": memory,
            "terminal": terminal,
            "cwd": cwd,
            "folder": str(folder),
        }
        return Child(self, self.ask(job), folder)

    def run(self, arguments: list[str], **how: Any) -> Done:
        """Run a command line to its end; see `start`."""
        return self.start(arguments, **how).wait()

    def ask(self, request: dict[str, Any]) -> int:
        """One request to the process, answered by a number."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


def _serve() -> None:
    """Fork children until there are no more requests."""
    _prepare()
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _be_child(request)
        print(pid, flush=True)


def _prepare() -> None:
    """All imports and compiled kernels. Nothing that starts a thread: a child has only one."""
    import langchain_openai  # noqa: F401
    import numpy as np
    import scipy.stats  # noqa: F401
    import torch
    import torch._dynamo
    import typer.main

    import tutelage.graphs.runtime.errors
    import tutelage.graphs.terminal.app
    import tutelage.graphs.terminal.run.session
    from tutelage.graphs.registry import build_graph
    from tutelage.rl.advice.advice import Advice
    from tutelage.rl.advice.labels import label
    from tutelage.rl.tasks.registry import make_task

    # Typer would make all commands anew for each line: more time than most lines take.
    command = typer.main.get_command(tutelage.graphs.terminal.app.app)
    typer.main.get_command = lambda _: command
    torch.set_num_threads(1)
    build_graph("teacher_student")
    task = make_task("SimpleDoorKey", 9)
    envs = task.make_envs(2, "train", 0)
    envs.reset()
    envs.observe()
    states = envs.states()[:]
    situation_ids = task.situation_ids(states)
    envs.step(np.zeros(2, dtype=np.int64))
    options = task.options(int(situation_ids[0]))
    advice = Advice(tuple((option,) for option in options), (1 / len(options),) * len(options))
    label(task, states, situation_ids, {int(situation_ids[0]): advice})
    envs.close()


def _be_child(job: dict[str, Any]) -> None:
    """Do a job and exit."""
    os.setsid()
    folder = Path(job["folder"])
    places = [Path(os.devnull), folder / "out", folder / "err"]
    if job["terminal"]:
        places = [Path(job["terminal"])] * 3  # the first one that is opened becomes its own
    for descriptor, place in enumerate(places):
        os.dup2(os.open(place, os.O_RDWR), descriptor)
    sys.argv = ["cli.py", *job["arguments"]]
    os.chdir(job["cwd"])
    _install(_Points(job["kill"], folder / "points"))
    from tutelage.graphs.terminal.app import main

    for name, value in job["limits"].items():
        number = getattr(resource, name)
        resource.setrlimit(number, (value, resource.getrlimit(number)[1]))
    if job["memory"] is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + job["memory"]
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    code: Any = 1
    try:
        main()
        code = 0
    except SystemExit as leaving:
        code = leaving.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


class _Points:
    """Counts the points that the process passes, and ends it at one."""

    def __init__(self, kill: dict[str, Any] | None, log: Path) -> None:
        self._kill = Kill(**kill) if kill else None
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND)
        self._passed = 0

    def passing(self, name: str) -> None:
        os.write(self._log, f"{name}\n".encode())
        if self._kill is None or not name.startswith(self._kill.point):
            return
        self._passed += 1
        if self._passed == self._kill.at and self._kill.later_s:
            # The timer's signal ends the process as it stands: nobody handles it.
            signal.setitimer(signal.ITIMER_REAL, self._kill.later_s)
        elif self._passed == self._kill.at:
            os.kill(os.getpid(), self._kill.number)


def _install(points: _Points) -> None:
    """Make points of everything that changes what lies on the disk, and of the long work."""
    import shutil

    from tutelage.graphs.nodes import assess
    from tutelage.graphs.records.checkpoints import Checkpoints
    from tutelage.graphs.records.run_folder import RunFolder
    from tutelage.graphs.records.trace.writer import TraceWriter
    from tutelage.rl.ppo.ppo import PPO
    from tutelage.rl.rollouts import evaluate

    pieces: list[tuple[Any, str]] = [
        (os, "replace"),
        (os, "rename"),
        (os, "fsync"),
        (os, "mkdir"),
        (shutil, "rmtree"),
        (RunFolder, "append_metrics"),
        (TraceWriter, "commit"),
        (TraceWriter, "cut"),
        (TraceWriter, "sync"),
        (TraceWriter, "close"),
        (Checkpoints, "save"),
        (Checkpoints, "delete"),
        (PPO, "update"),
        (assess, "evaluate"),
        (evaluate, "evaluate"),
    ]
    for owner, name in pieces:
        where = getattr(owner, "__name__", str(owner)).rpartition(".")[2].strip("_")
        setattr(owner, name, _marked(points, f"{where}.{name}", getattr(owner, name)))


def _marked(points: _Points, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def passes(*arguments: Any, **named: Any) -> Any:
        target = next((Path(str(a)).name for a in reversed(arguments) if isinstance(a, Path)), "")
        label = f"{name}:{target}" if name in ("os.replace", "os.rename") else name
        points.passing(f"{label}:before")
        result = original(*arguments, **named)
        points.passing(f"{label}:after")
        return result

    return passes


if __name__ == "__main__":
    _serve()
