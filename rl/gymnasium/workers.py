"""Environments in other processes, for those whose steps take long.

Gymnasium's own vector classes do not serve here. All of their environments step each time, where a
`VectorEnv` leaves some idle; they reset an ended one without a seed, where each episode has its
own; and they take a process for each environment. Only `reset`, `step` and `close` run over there;
the methods of a task are called in the main process. All travels by pipes, nothing by files.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from time import monotonic
from types import ModuleType
from typing import Any, Final

import numpy as np
from gymnasium.vector.utils import CloudpickleWrapper

from tutelage.rl.errors import TaskCodeError, UserError
from tutelage.rl.gymnasium.environments import EnvMaker, First, LocalEnvironments, Stepped
from tutelage.rl.gymnasium.errors import described
from tutelage.rl.tasks.dotted_path import working_directory_on_path

_CLOSING_S: Final = 5.0
"""What an environment may take to close, before its process is killed."""
_SAFE_PATH: Final = "PYTHONSAFEPATH"
_GONE: Final = (EOFError, ConnectionError)
"""What a pipe raises whose other end is closed."""


class WorkerEnvironments:
    """Environments shared among processes: as `LocalEnvironments` has them in this one.

    workers: how many processes, 1..num_envs. They ignore SIGINT and SIGTERM, and end when their
    pipes are closed: by `close`, after an error, when nobody has this object any more, at the
    interpreter's exit, and when it is killed. Raises UserError where an environment cannot be made.
    """

    def __init__(
        self, make: EnvMaker, num_envs: int, info_keys: Sequence[str], workers: int
    ) -> None:
        self._shares = [share.tolist() for share in np.array_split(np.arange(num_envs), workers)]
        self._worker_of = {row: w for w, share in enumerate(self._shares) for row in share}
        # A forked process would hold locks of torch's and numba's threads, which are not in it.
        context = multiprocessing.get_context("spawn")
        safe_path = os.environ.get(_SAFE_PATH)
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        self._end = partial(_end, self._pipes, self._processes, os.getpid())
        self._finalizer = weakref.finalize(self, self._end)
        # Registered here, it runs before multiprocessing's own, which waits for all processes.
        self._finalizer.atexit = False
        atexit.register(self._finalizer)
        try:
            with (
                _nothing_from_here(),
                _signals_blocked(),
                _main_module_hidden(),
                working_directory_on_path(),
            ):
                for _ in range(workers):
                    mine, theirs = context.Pipe()
                    self._pipes.append(mine)
                    process = context.Process(
                        target=_work, args=(theirs, safe_path), name="environments"
                    )
                    process.start()
                    self._processes.append(process)
                    theirs.close()
            for worker, share in enumerate(self._shares):
                self._send(worker, (CloudpickleWrapper(make), len(share), tuple(info_keys)))
            for worker in range(workers):
                self._receive(worker)
        except BaseException:
            self.close()
            raise

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> list[First]:
        return self._call("reset", rows, seeds)

    def step(self, rows: Sequence[int], actions: Sequence[Any]) -> list[Stepped]:
        return self._call("step", rows, actions)

    def close(self) -> None:
        self._end()
        self._finalizer.detach()
        atexit.unregister(self._finalizer)

    def _call(self, method: str, rows: Sequence[int], arguments: Sequence[Any]) -> list[Any]:
        """Call a method of each process's environments, all at the same time."""
        asked: dict[int, tuple[list[int], list[Any]]] = {}
        for row, argument in zip(rows, arguments, strict=True):
            worker = self._worker_of[row]
            inner_rows, inner_arguments = asked.setdefault(worker, ([], []))
            inner_rows.append(row - self._shares[worker][0])
            inner_arguments.append(argument)
        try:
            for worker, request in asked.items():
                self._send(worker, (method, *request))
            answers = {worker: iter(self._receive(worker)) for worker in asked}
        except BaseException:
            self.close()
            raise
        return [next(answers[self._worker_of[row]]) for row in rows]

    def _send(self, worker: int, message: Any) -> None:
        """Raises TaskCodeError for what cannot travel."""
        try:
            self._pipes[worker].send(message)
        except _GONE:
            pass  # what it said at its end is read next
        except Exception as error:
            raise _untransferable(error) from error

    def _receive(self, worker: int) -> Any:
        """What a process answers. Raises TaskCodeError or UserError."""
        try:
            answer = self._pipes[worker].recv()
        except _GONE:
            process = self._processes[worker]
            process.join(_CLOSING_S)
            raise TaskCodeError(
                f"process {worker + 1} of {len(self._shares)} that steps environments has died "
                f"({_reason(process.exitcode)})"
            ) from None
        except Exception as error:
            raise _untransferable(error) from error
        if isinstance(answer, UserError):
            raise answer
        return answer


def _end(pipes: list[Connection], processes: list[Any], owner: int) -> None:
    """End processes by closing their pipes. owner: the process that started them."""
    if os.getpid() != owner:
        return  # a fork has copies of all, but the processes are not its own
    while pipes:
        pipes.pop().close()
    deadline = monotonic() + _CLOSING_S
    while processes:
        process = processes.pop()
        process.join(max(deadline - monotonic(), 0))
        if process.is_alive():
            process.kill()
            process.join()


def _reason(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        with suppress(ValueError):
            return f"by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """What starts in here ignores the terminal's Ctrl-C from its first moment on."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it would lift the block as it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """What starts in here does not import the main module, which may be a script or the terminal.

    What the processes need from it travels by value.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _nothing_from_here() -> Iterator[None]:
    """What starts in here has the working directory on its path only where this process has it.

    It would have it first, and import from there before it is told this process's path.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        del os.environ[_SAFE_PATH]
        if before is not None:
            os.environ[_SAFE_PATH] = before


def _work(pipe: Connection, safe_path: str | None) -> None:
    """A process's whole life: it does what the pipe asks until that is closed.

    safe_path: the variable as the main process has it, for what an environment starts.
    """
    del os.environ[_SAFE_PATH]
    if safe_path is not None:
        os.environ[_SAFE_PATH] = safe_path
    for number in (signal.SIGINT, signal.SIGTERM):
        # The main process ends in its own time. What an environment starts does not inherit this.
        signal.signal(number, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    with suppress(*_GONE):
        try:
            make, num_envs, info_keys = pipe.recv()
            envs = LocalEnvironments(make.fn, num_envs, info_keys)
        except UserError as error:
            pipe.send(error)
            return
        except Exception as error:
            pipe.send(_untransferable(error))
            return
        pipe.send(None)
        try:
            while True:
                method, rows, arguments = pipe.recv()
                _answer(pipe, envs, method, rows, arguments)
        finally:
            envs.close()


def _answer(
    pipe: Connection,
    envs: LocalEnvironments,
    method: str,
    rows: Sequence[int],
    arguments: Sequence[Any],
) -> None:
    try:
        answer = envs.reset(rows, arguments) if method == "reset" else envs.step(rows, arguments)
        pipe.send(answer)
    except UserError as error:
        pipe.send(error)
    except _GONE:
        raise
    except Exception as error:
        pipe.send(_untransferable(error))


def _untransferable(error: Exception) -> TaskCodeError:
    return TaskCodeError(
        "an environment, or what it gives, cannot be sent to another process: "
        f"{described(error)}; use workers=0"
    )
