"""Threads for requests that may hang: a pool, and a bound on how long a call may take.

`concurrent.futures.ThreadPoolExecutor` joins its threads when the interpreter ends, so that one
request without an answer would hold up the exit for its whole timeout. These threads are daemons:
whoever leaves does not wait for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

Result = TypeVar("Result")


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """The call's result, or its exception; TimeoutError when it takes longer.

    Client libraries bound the time between two bytes. Servers that send blanks while a model
    thinks would keep a request going for ever, so the whole of it is bounded here. A call that
    takes too long is left behind in its daemon thread.
    """
    future: Future[Result] = Future()
    worker = threading.Thread(target=_settle, args=(future, call), name="request", daemon=True)
    worker.start()
    return future.result(timeout=seconds)


def at_once(calls: Sequence[Callable[[], Result]], most: int) -> list[Result]:
    """The calls' results in their order; at most so many calls are under way at a time.

    Raises what the first of them raises that does.
    """
    if len(calls) == 1:
        return [calls[0]()]
    futures: list[Future[Result]] = [Future() for _ in calls]
    waiting = iter(zip(futures, calls, strict=True))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                task = next(waiting, None)
            if task is None:
                return
            _settle(*task)

    for _ in range(min(most, len(calls))):
        threading.Thread(target=work, name="requests", daemon=True).start()
    return [future.result() for future in futures]


def _settle(future: Future[Result], call: Callable[[], Result]) -> None:
    """Put what a call returns or raises into its future."""
    try:
        future.set_result(call())
    except BaseException as error:  # whoever asks for the result gets it
        future.set_exception(error)


class RequestPool(Generic[Result]):
    """At most `size` calls at a time, in the order in which they were submitted."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._threads: list[threading.Thread] = []
        self._queue: SimpleQueue[tuple[Future[Result], Callable[[], Result]] | None] = SimpleQueue()

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        """The future result of a call; threads are started as they are needed."""
        future: Future[Result] = Future()
        self._queue.put((future, call))
        if len(self._threads) < self._size:
            thread = threading.Thread(target=self._work, name="teacher", daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def close(self) -> None:
        """Let idle threads end. Does not wait for those that are in a call."""
        for _ in self._threads:
            self._queue.put(None)

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            future, call = task
            if future.set_running_or_notify_cancel():
                _settle(future, call)
