"""A provider that is asked in the background, and left alone for a while after its faults.

Whoever asks does so from one thread; only the requests themselves run in the pool.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from tutelage.agents.client.errors import FINAL, PROVIDER_FAULTS
from tutelage.agents.client.pool import RequestPool
from tutelage.agents.client.records import PlannerAnswer
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.replay import Provider, RecordedPlanner

FIRST_REST: Final = 10
"""Iterations for which what has failed once is left alone; doubled with each further failure."""


@dataclass
class Rest:
    """Leaves alone what has failed: for 10, 20, 40, ... iterations."""

    failures: int = 0
    until: float = -math.inf

    def to_json(self) -> list[float | None]:
        """As JSON has it, which knows no infinity."""
        return [self.failures, self.until if math.isfinite(self.until) else None, self.until > 0]

    @classmethod
    def from_json(cls, row: Sequence[Any]) -> Rest:
        """The inverse. Raises TypeError or ValueError."""
        failures, until, later = row
        bound = math.inf if later else -math.inf
        return cls(int(failures), bound if until is None else float(until))

    def fail(self, iteration: int) -> None:
        """Begin a rest, longer than the one before."""
        self.until = iteration + FIRST_REST * 2**self.failures
        self.failures += 1

    def end(self) -> None:
        """Leave it alone for good."""
        self.until = math.inf


class Asker:
    """Asks one provider about situations, many at the same time.

    A situation that failed is asked about again after 10 iterations, then 20, 40, ... The same
    goes for the provider as a whole when nothing but its own faults came back. And a provider that
    has not answered yet, or has rested, is tried with a few situations first; the others wait until
    it answers, and are not asked about where it does not. So a server that is down or hangs costs
    a few requests now and then, and holds up nothing.

    places: how many situations are asked about at the same time. asked: how many were so far.
    """

    def __init__(self, planner: Planner | RecordedPlanner, provider: Provider, places: int) -> None:
        self.planner = planner
        self.provider = provider
        self.asked = 0
        self._places = places
        self._pool: RequestPool[PlannerAnswer] = RequestPool(places)
        self._asked: dict[int, Future[PlannerAnswer]] = {}
        self._held: list[int] = []
        self._rests: defaultdict[int, Rest] = defaultdict(Rest)
        self._rest = Rest()
        self._proven = provider.wait_always
        self._iteration = 0

    @property
    def pending(self) -> tuple[int, ...]:
        """The situations that are being asked about, sorted."""
        return tuple(sorted([*self._asked, *self._held]))

    @property
    def rests_until(self) -> float:
        """The iteration in which it may be asked again; infinite where it never may."""
        return self._rest.until

    def snapshot(self) -> dict[str, Any]:
        """What it leaves alone for a while, as JSON has it."""
        return {
            "rests": {
                str(situation_id): rest.to_json() for situation_id, rest in self._rests.items()
            },
            "provider_rest": self._rest.to_json(),
            "proven": self._proven,
        }

    def restore(self, record: Mapping[str, Any]) -> None:
        """Go on from a snapshot.

        Raises AttributeError, KeyError, TypeError or ValueError for anything else, with nothing
        changed.
        """
        rests = {int(s): Rest.from_json(rest) for s, rest in record["rests"].items()}
        rest, proven = Rest.from_json(record["provider_rest"]), bool(record.get("proven", True))
        self._rests = defaultdict(Rest, rests)
        self._rest, self._proven = rest, proven

    def submit(self, situation_ids: Iterable[int], iteration: int) -> int:
        """Start asking about situations, in this order; returns how many of them are pending now.

        Passed over are those that are pending already, those that failed not long ago, and all
        while the provider rests.
        """
        self._iteration = iteration
        if iteration < self._rest.until:
            return 0
        wanted = [s for s in dict.fromkeys(situation_ids) if self._is_due(s)]
        now = len(wanted) if self._proven else max(0, self._places - len(self._asked))
        self._ask(wanted[:now])
        self._held += wanted[now:]
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
        self._pool.close()
        return answers

    def _is_due(self, situation_id: int) -> bool:
        resting = situation_id in self._rests and self._iteration < self._rests[situation_id].until
        return situation_id not in self._asked and situation_id not in self._held and not resting

    def _ask(self, situation_ids: Sequence[int]) -> None:
        """Begin with all in the same manner: which of them ends first must not matter."""
        ask = partial(self.planner.ask, manner=self.planner.manner)
        for situation_id in situation_ids:
            self._asked[situation_id] = self._pool.submit(partial(ask, situation_id))
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
        """Ask about what was held back once the provider has answered; drop it where it failed."""
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
        """Begin the rests that are due, and end the provider's where it has answered."""
        for answer in answers:
            if answer.failure is not None:
                self._rests[answer.situation_id].fail(self._iteration)
            if answer.failure in FINAL or not (answer.advice or answer.failure):
                self._rests[answer.situation_id].end()
        if any(answer.failure == "budget_spent" for answer in answers):
            self._rest.end()
        elif any(answer.advice is not None for answer in answers):
            self._rest, self._proven = Rest(), True
        elif answers and all(answer.failure in PROVIDER_FAULTS for answer in answers):
            self._proven = False
            if self._iteration >= self._rest.until:  # else it rests by now: no second failure
                self._rest.fail(self._iteration)
