"""Questions that wait for a place in the pool, in an order that may change while they wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final

from tutelage.agents.client.pool import RequestPool
from tutelage.agents.planner.answer import PlannerAnswer

Rank = Callable[[int], Any]
"""The sort key of a situation id: the least is asked about first."""

Ask = Callable[[], PlannerAnswer]


class QuestionQueue:
    """Asks about situations in a pool of threads, and whenever one is free, about the first.

    places: how many are asked about at the same time. Its methods are called from one thread.
    """

    def __init__(self, places: int) -> None:
        self._pool: Final[RequestPool[None]] = RequestPool(places)
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[Future[PlannerAnswer], Ask]] = {}

    def add(
        self, questions: Mapping[int, Ask], rank: Rank | None = None
    ) -> dict[int, Future[PlannerAnswer]]:
        """The future answers to more questions, by situation id.

        rank: the order of all that wait from now on; None for that in which they were added.
        """
        added = {s: (Future[PlannerAnswer](), ask) for s, ask in questions.items()}
        with self._lock:
            waiting = {**self._waiting, **added}
            order = waiting if rank is None else sorted(waiting, key=rank)
            self._waiting = {s: waiting[s] for s in order}
        for _ in added:
            self._pool.submit(self._ask_first)
        return {s: future for s, (future, _) in added.items()}

    def close(self) -> None:
        """Let idle threads end. Does not wait for those that are in a call."""
        self._pool.close()

    def _ask_first(self) -> None:
        with self._lock:
            future, ask = self._waiting.pop(next(iter(self._waiting)))
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(ask())
        except BaseException as error:  # raised where the result is asked for
            future.set_exception(error)
