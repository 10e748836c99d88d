"""Threads for requests that may hang: a pool, and a bound on how long a call may take.

`concurrent.futures.ThreadPoolExecutor` joins its threads when the interpreter ends, so that one
request without an answer would hold up the exit for its whole timeout. These threads are daemons:
the interpreter ends without them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Patience:
    """Bounds how long calls may take, and how many may hang; may be used by many threads at once.

    A call that takes too long is left behind in its daemon thread, which nobody can end from
    outside. most: how many of them there may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._left_behind: list[Future[Any]] = []

    @property
    def is_over(self) -> bool:
        """Whether as many calls hang as may, so that no other should be made."""
        with self._lock:
            self._left_behind = [future for future in self._left_behind if not future.done()]
            return len(self._left_behind) >= self._most

    def within(self, seconds: float, call: Callable[[], Result]) -> Result:
        """The call's result, or its exception; TimeoutError when it takes longer."""
        pool: RequestPool[Result] = RequestPool(1)
        future = pool.submit(call)
        pool.close()
        wait([future], seconds)
        if not future.done():
            with self._lock:
                self._left_behind.append(future)
        return future.result(timeout=0.0)


def at_once(calls: Sequence[Callable[[], Result]], most: int) -> list[Result]:
    """The calls' results in their order; at most `most` calls run at the same time.

    Raises the exception of the first call that raises.
    """
    if len(calls) == 1:
        return [calls[0]()]
    pool: RequestPool[Result] = RequestPool(most)
    futures = [pool.submit(call) for call in calls]
    pool.close()
    return [future.result() for future in futures]


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
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:  # raised where the result is asked for
                future.set_exception(error)
