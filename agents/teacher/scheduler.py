"""Schedules questions to one provider: in the background, and with a back-off after failures.

All methods are called from one thread; only the requests themselves run in the pool.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from pydantic import TypeAdapter

from tutelage.agents.client.errors import FINAL, OUT_OF_REACH, PROVIDER_FAULTS
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.replay import RecordedPlanner
from tutelage.agents.teacher.question_queue import QuestionQueue, Rank

FIRST_PAUSE: Final = 10
"""Iterations in which what has failed once is not tried; doubled with each further failure."""

NEVER: Final = 2**53
"""An iteration that no run reaches."""


@dataclass
class BackOff:
    """Pauses what has failed, for 10, 20, 40, ... iterations.

    until: the iteration in which it may be tried again; `NEVER` for none.
    """

    failures: int = 0
    until: int = 0

    def fail(self, iteration: int) -> None:
        """Begin a pause, twice as long as the one before."""
        self.until = iteration + FIRST_PAUSE * 2**self.failures
        self.failures += 1

    def stop(self) -> None:
        """Never try again."""
        self.until = NEVER


class BackOffs(defaultdict[int, BackOff]):
    """The pauses of situations, by situation id."""

    def __init__(self) -> None:
        super().__init__(BackOff)

    def are_over(self, situation_id: int, iteration: int) -> bool:
        """Whether a situation may be tried."""
        return situation_id not in self or iteration >= self[situation_id].until

    def to_json(self) -> dict[str, Any]:
        """All of them as JSON has it."""
        return {str(situation_id): asdict(pause) for situation_id, pause in self.items()}

    @classmethod
    def from_json(cls, rows: object) -> BackOffs:
        """The inverse of `to_json`. Raises ValueError for anything else."""
        back_offs = cls()
        back_offs.update(_BACK_OFFS.validate_python(rows))
        return back_offs


_BACK_OFF: Final = TypeAdapter(BackOff)
_BACK_OFFS: Final = TypeAdapter(dict[int, BackOff])


class Scheduler:
    """Asks one provider about situations, many at the same time.

    A situation that failed is asked about again after 10 iterations, then 20, 40, ... The same
    goes for the provider as a whole when all its answers were faults of its own. A provider that
    has not answered yet, or comes out of a pause, is tried with a few situations first; the others
    wait until it answers, and are not asked about where it does not. So a server that is down or
    hangs costs a few requests now and then, and holds up nothing.

    places: how many situations are asked about at the same time. asked: how many were so far.
    is_out_of_reach: whether the provider is known to be down, or to refuse: all that was asked has
    ended so, and what came after it says nothing else. One hiccup among many does not tell.
    """

    def __init__(self, planner: Planner | RecordedPlanner, places: int) -> None:
        self.planner = planner
        self.asked = 0
        self.is_out_of_reach = False
        self._places = places
        self._queue = QuestionQueue(places)
        self._rank: Rank | None = None
        self._asked: dict[int, Future[PlannerAnswer]] = {}
        self._held: list[int] = []
        self._back_offs = BackOffs()
        self._back_off = BackOff()
        self._proven = planner.provider.wait_always
        self._iteration = 0

    @property
    def pending(self) -> tuple[int, ...]:
        """The situations that are being asked about, sorted."""
        return tuple(sorted([*self._asked, *self._held]))

    @property
    def paused_until(self) -> int:
        """The iteration in which the provider may be asked again; `NEVER` for none."""
        return self._back_off.until

    def snapshot(self) -> dict[str, Any]:
        """Its back-offs and what it has asked so far, as JSON has it."""
        return {
            "back_offs": self._back_offs.to_json(),
            "provider_back_off": asdict(self._back_off),
            "proven": self._proven,
            "asked": self.asked,
        }

    def restore(self, record: Mapping[str, Any]) -> None:
        """Go on from a snapshot.

        Raises AttributeError, KeyError, TypeError or ValueError for anything else.
        """
        self._back_offs = BackOffs.from_json(record["back_offs"])
        self._back_off = _BACK_OFF.validate_python(record["provider_back_off"])
        self._proven = bool(record["proven"])
        self.asked = int(record["asked"])

    def submit(self, situation_ids: Iterable[int], iteration: int, rank: Rank | None = None) -> int:
        """Start asking about situations, in this order; returns how many of them are pending now.

        Skipped are those that are pending or paused, and all of them while the provider is paused.
        rank: the order of all that wait by then, those that were submitted earlier included.
        """
        self._iteration, self._rank = iteration, rank
        if iteration < self._back_off.until:
            return 0
        wanted = [s for s in dict.fromkeys(situation_ids) if self._is_due(s)]
        now = len(wanted) if self._proven else max(0, self._places - len(self._asked))
        self._ask(wanted[:now])
        self._held += wanted[now:]
        if rank is not None:
            self._held.sort(key=rank)
        return len(wanted)

    def harvest(self, wait_for_all: bool, timeout_s: float | None = None) -> list[PlannerAnswer]:
        """The answers that are there, in the order of their situations, each given once.

        wait_for_all: wait for every pending answer first, at most `timeout_s` seconds.
        """
        if wait_for_all:
            self._await_all(timeout_s)
        done = sorted(situation_id for situation_id, future in self._asked.items() if future.done())
        self._go_on()
        answers = [self._asked.pop(situation_id).result() for situation_id in done]
        self._note(answers)
        return answers

    def close(self) -> list[PlannerAnswer]:
        """Stop asking; the answers that are there and were not given yet.

        A hanging request is left behind.
        """
        self.planner.close()
        self._held.clear()
        for situation_id in list(self._asked):
            if self._asked[situation_id].cancel():
                del self._asked[situation_id]
        answers = self.harvest(wait_for_all=False)
        self._queue.close()
        return answers

    def _is_due(self, situation_id: int) -> bool:
        pending = situation_id in self._asked or situation_id in self._held
        return not pending and self._back_offs.are_over(situation_id, self._iteration)

    def _ask(self, situation_ids: Sequence[int]) -> None:
        """Start all in the same mode: which of them ends first must not matter."""
        ask = partial(self.planner.ask, mode=self.planner.mode)
        questions = {situation_id: partial(ask, situation_id) for situation_id in situation_ids}
        self._asked |= self._queue.add(questions, self._rank)
        self.asked += len(situation_ids)

    def _await_all(self, timeout_s: float | None) -> None:
        """Wait for all answers; what is held back follows as soon as one has come."""
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s

        def left() -> float | None:
            return max(0.0, deadline - time.monotonic()) if math.isfinite(deadline) else None

        self._go_on()
        while self._held and left() != 0.0:
            unanswered = [future for future in self._asked.values() if not future.done()]
            wait(unanswered, left(), FIRST_COMPLETED)
            self._go_on()
        wait(self._asked.values(), left())

    def _go_on(self) -> None:
        """Ask about what was held back once the provider has answered; drop it if it failed."""
        if not self._held:
            return
        done = [future.result() for future in self._asked.values() if future.done()]
        if any(answer.failure not in PROVIDER_FAULTS for answer in done):
            self._proven = True
            held, self._held = self._held, []
            self._ask(held)
        elif len(done) == len(self._asked):
            self._held.clear()

    def _note(self, answers: Sequence[PlannerAnswer]) -> None:
        """Begin the pauses that are due, and end the provider's where it has answered."""
        if answers:
            faulty = all(answer.failure in OUT_OF_REACH for answer in answers)
            self.is_out_of_reach = faulty and (self.is_out_of_reach or not self._asked)
        for answer in answers:
            if answer.failure is not None:
                self._back_offs[answer.situation_id].fail(self._iteration)
            if answer.failure in FINAL or not (answer.advice or answer.failure):
                self._back_offs[answer.situation_id].stop()
        if any(answer.failure == "budget_spent" for answer in answers):
            self._back_off.stop()
        elif any(answer.advice is not None for answer in answers):
            self._back_off, self._proven = BackOff(), True
        elif answers and all(answer.failure in PROVIDER_FAULTS for answer in answers):
            self._proven = False
            if self._iteration >= self._back_off.until:  # else its pause has begun already
                self._back_off.fail(self._iteration)
