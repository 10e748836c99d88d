"""The teacher as the graph sees it: cache, planner, pool, budget and fallback in one place.

The graph's nodes call `lookup`, `submit`, `harvest` and `settle`, all from one thread. Only the
requests themselves run in the pool.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Final

from pydantic import TypeAdapter

from agents.asking import messages_for, schemas_for, ways_of
from agents.budget import Budget
from agents.calls import Call, PlannerAnswer
from agents.failures import FINAL, PROVIDER_FAULTS
from agents.fallback import make_fallback, settle
from agents.manner import Way
from agents.plan_cache import CacheEntry, PlanCache, cache_key, now
from agents.planner import Planner
from agents.pool import RequestPool
from agents.replay import Provider, Recording, Replay
from agents.settings import TeacherSettings
from agents.verbaliser import Situations, plain
from prompts.library import PromptLibrary
from rl.advice import Advice
from rl.trace import CACHED, OK

logger = logging.getLogger(__name__)

FIRST_REST: Final = 10
"""Iterations for which what has failed once is left alone; doubled with each further failure."""


@dataclass
class Counters:
    """What the teacher has done so far.

    calls: requests; what the cache replays is none, and has no tokens. situations: those that were
    asked about. failures: how often asking about a situation failed, by the failure's name.
    fallbacks: answers of the fallback. uncounted: answers that came without a number of tokens.
    """

    calls: int = 0
    situations: int = 0
    cache_hits: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    fallbacks: int = 0
    uncounted: int = 0


_COUNTERS: Final = TypeAdapter(Counters)


@dataclass
class _Rest:
    """Leaves alone what has failed: for 10, 20, 40, ... iterations."""

    failures: int = 0
    until: float = -math.inf

    def to_json(self) -> list[float | None]:
        return [self.failures, self.until if math.isfinite(self.until) else None, self.until > 0]

    @classmethod
    def from_json(cls, row: Sequence[Any]) -> _Rest:
        failures, until, later = row
        bound = math.inf if later else -math.inf
        return cls(int(failures), bound if until is None else float(until))

    def fail(self, iteration: int) -> None:
        self.until = iteration + FIRST_REST * 2**self.failures
        self.failures += 1


class Teacher:
    """Answers for situations, from the cache or from the provider.

    cache: None for none. What it holds is the full distribution; with `soft` off, advice is
    hardened here, on its way out. on_notice: told what people should know, in one line; the log,
    unless given.

    A situation that failed is asked about again after 10 iterations, then 20, 40, ... The same
    goes for the provider as a whole when nothing but its own faults came back: so a server that
    is down or hangs does not hold up every iteration.
    """

    def __init__(
        self,
        task: Situations,
        library: PromptLibrary,
        provider: Provider,
        settings: TeacherSettings,
        cache: PlanCache | None = None,
        on_notice: Callable[[str], None] = logger.info,
    ) -> None:
        self.counters = Counters()
        self.provider = provider
        self._task = task
        self._settings = settings
        self._cache = cache
        self._budget = Budget(settings, provider.price)
        self._planner: Planner | Replay
        if isinstance(provider, Recording):
            # What is in a file already is not kept a second time.
            self._cache = None
            self._planner = Replay(task, provider, on_notice)
        else:
            self._planner = Planner(task, library, provider, settings, self._budget)
        self._fallback = make_fallback(task, library, settings)
        # One at a time for the script: nothing is gained by more, and a budget then always ends
        # at the same situation.
        size = 1 if provider.wait_always else settings.concurrency
        self._pool: RequestPool[PlannerAnswer] = RequestPool(size)
        self._pending: dict[int, Future[PlannerAnswer]] = {}
        self._keys: dict[int, dict[Way, str]] = {}
        self._rests: defaultdict[int, _Rest] = defaultdict(_Rest)
        self._provider_rest = _Rest()
        self._iteration = 0

    @property
    def pending(self) -> tuple[int, ...]:
        """The situations that are being asked about, sorted."""
        return tuple(sorted(self._pending))

    @property
    def cost_usd(self) -> float | None:
        """What the tokens so far have cost; None where their price or their number is not known.

        Nothing has cost nothing, whatever the price.
        """
        return self._budget.cost_usd if self._budget.calls else 0.0

    @property
    def asks_a_person(self) -> bool:
        """Whether it is worth drawing a state of each situation."""
        return self.provider.person is not None

    def illustrate(self, pictures: Mapping[int, str]) -> None:
        """Show a person these drawn states, by signature, when asking about them."""
        if self.provider.person is not None:
            shown = {plain(self._task.describe(s)): picture for s, picture in pictures.items()}
            self.provider.person.illustrate(shown)

    def snapshot(self) -> dict[str, Any]:
        """What it counts and what it leaves alone for a while, as JSON has it."""
        return {
            "counters": asdict(self.counters),
            "rests": {str(signature): rest.to_json() for signature, rest in self._rests.items()},
            "provider_rest": self._provider_rest.to_json(),
        }

    def restore(self, record: Mapping[str, Any]) -> None:
        """Go on counting, spending and resting from a snapshot.

        Raises AttributeError, KeyError, TypeError or ValueError for anything else, with nothing
        changed.
        """
        counted = _COUNTERS.validate_python(record["counters"])
        rests = {int(s): _Rest.from_json(rest) for s, rest in record["rests"].items()}
        provider_rest = _Rest.from_json(record["provider_rest"])
        self._budget.start_from(
            counted.calls,
            counted.prompt_tokens,
            counted.completion_tokens,
            counted.uncounted,
        )
        self.counters, self._provider_rest = counted, provider_rest
        self._rests.update(rests)

    def lookup(self, signatures: Iterable[int]) -> list[PlannerAnswer]:
        """The answers that the cache holds, in the order of their signatures. Raises PromptError.

        Their calls are those that brought them in an earlier run, under the status `cached`.
        """
        if self._cache is None:
            return []
        keys = {signature: self._keys_of(signature) for signature in sorted(set(signatures))}
        entries = self._cache.get_many(key for ways in keys.values() for key in ways.values())
        answers = []
        for signature, ways in keys.items():
            stored = {way: entries[key] for way, key in ways.items() if key in entries}
            answer = self._replayed(signature, stored)
            if answer is not None:
                answers.append(self._hardened(answer))
        self.counters.cache_hits += len(answers)
        return answers

    def submit(self, signatures: Iterable[int], iteration: int) -> int:
        """Start asking about situations; returns how many are asked about.

        Passed over are those that are being asked about already, those that failed not long ago,
        and all while the provider rests.
        """
        self._iteration = iteration
        if iteration < self._provider_rest.until:
            return 0
        wanted = [s for s in sorted(set(signatures)) if self._is_due(s, iteration)]
        for signature in wanted:
            self._pending[signature] = self._pool.submit(partial(self._planner.ask, signature))
        self.counters.situations += len(wanted)
        return len(wanted)

    def harvest(self, wait_for_all: bool, timeout_s: float | None = None) -> list[PlannerAnswer]:
        """The answers that are there, in the order of their signatures, each given once.

        wait_for_all: wait for every pending answer first, at most `timeout_s` seconds.
        Good answers are stored in the cache on the way.
        """
        if wait_for_all:
            wait(self._pending.values(), timeout=timeout_s)
        done = [signature for signature in self.pending if self._pending[signature].done()]
        answers = [self._priced(self._pending.pop(signature).result()) for signature in done]
        for answer in answers:
            self._count(answer)
        self._note_failures(answers)
        answers = self._stored(answers)
        return [self._hardened(answer) for answer in answers]

    def settle(self, signatures: Iterable[int]) -> list[PlannerAnswer]:
        """The fallback's answers for those situations that are not being asked about."""
        open_ = [signature for signature in signatures if signature not in self._pending]
        answers = settle(open_, self._fallback)
        self.counters.fallbacks += len(answers)
        return [self._hardened(answer) for answer in answers]

    def close(self) -> list[PlannerAnswer]:
        """Stop asking; the answers that are there and were not given yet.

        They are in the cache by then. A hanging request is left behind, and counted: it may be
        paid for.
        """
        self._planner.close()
        for signature in self.pending:
            if self._pending[signature].cancel():
                del self._pending[signature]
        answers = self.harvest(wait_for_all=False)
        self._pool.close()
        if self.provider.person is not None:
            self.provider.person.close()
        self.counters.calls = self._budget.calls
        return answers

    def _is_due(self, signature: int, iteration: int) -> bool:
        resting = signature in self._rests and iteration < self._rests[signature].until
        return signature not in self._pending and not resting

    def _keys_of(self, signature: int) -> dict[Way, str]:
        """The cache's keys of a situation, one for each way of asking, the best way first."""
        if signature not in self._keys:
            question = self._planner.question(signature)
            self._keys[signature] = {
                way: cache_key(
                    self.provider.identity,
                    messages_for(question, way),
                    schemas_for(question, way),
                    way=way,
                    samples=self._settings.samples,
                    max_options=self._settings.max_options,
                    uncertainty=self._settings.uncertainty,
                    lookups=question.lookups.answers,
                )
                for way in ways_of(question, self._settings)
            }
        return self._keys[signature]

    def _replayed(self, signature: int, entries: Mapping[Way, CacheEntry]) -> PlannerAnswer | None:
        """The first entry of which all is on offer, as an answer: a file can be tampered with."""
        offered = set(self._task.options(signature))
        for way, entry in entries.items():
            if all(offered.issuperset(plan) for plan in entry.advice.plans):
                return PlannerAnswer(
                    key=self._keys_of(signature)[way],
                    signature=signature,
                    source="cache",
                    advice=entry.advice,
                    calls=tuple(Call.from_cache(part, signature) for part in entry.calls),
                    failure=None,
                    way=way,
                )
        return None

    def _count(self, answer: PlannerAnswer) -> None:
        counted = self.counters
        counted.calls += sum(call.status != CACHED for call in answer.calls)
        counted.prompt_tokens += sum(call.prompt_tokens or 0 for call in answer.calls)
        counted.completion_tokens += sum(call.completion_tokens or 0 for call in answer.calls)
        uncounted = sum(call.is_uncounted for call in answer.calls)
        counted.uncounted += uncounted
        self._budget.add_uncounted(uncounted)
        if answer.failure is not None:
            counted.failures[answer.failure] = counted.failures.get(answer.failure, 0) + 1

    def _priced(self, answer: PlannerAnswer) -> PlannerAnswer:
        """The answer with what each of its requests has cost."""
        price = self.provider.price
        return replace(answer, calls=tuple(call.priced(price) for call in answer.calls))

    def _note_failures(self, answers: Sequence[PlannerAnswer]) -> None:
        for answer in answers:
            if answer.failure is not None:
                self._rests[answer.signature].fail(self._iteration)
            if answer.failure in FINAL or not (answer.advice or answer.failure):
                self._rests[answer.signature].until = math.inf
        if any(answer.advice is not None for answer in answers):
            self._provider_rest = _Rest()
        elif answers and all(answer.failure in PROVIDER_FAULTS for answer in answers):
            self._provider_rest.fail(self._iteration)

    def _stored(self, answers: Sequence[PlannerAnswer]) -> list[PlannerAnswer]:
        """The answers, those that were given in full with the key that the cache keeps them by.

        A failed or incomplete answer is never kept.
        """
        if self._cache is None:
            return list(answers)
        keyed = [
            replace(answer, key=self._keys_of(answer.signature)[answer.way])
            if answer.advice is not None and answer.failure is None
            else answer
            for answer in answers
        ]
        self._cache.put_many(
            {
                answer.key: self._entry(answer, answer.advice)
                for answer in keyed
                if answer.key is not None and answer.advice is not None
            }
        )
        return keyed

    def _entry(self, answer: PlannerAnswer, advice: Advice) -> CacheEntry:
        # What a way of asking brought that was given up later is no part of the advice.
        brought = [c for c in answer.calls if c.status == OK and c.settings["way"] == answer.way]
        return CacheEntry(
            advice=advice,
            calls=tuple(call.exchange() for call in brought),
            provider=self.provider.name,
            model=self.provider.model_name,
            date=now(),
            prompt_tokens=sum(call.prompt_tokens or 0 for call in answer.calls),
            completion_tokens=sum(call.completion_tokens or 0 for call in answer.calls),
        )

    def _hardened(self, answer: PlannerAnswer) -> PlannerAnswer:
        return (
            answer if answer.advice is None else replace(answer, advice=self._served(answer.advice))
        )

    def _served(self, advice: Advice) -> Advice:
        """What reaches the student: all of it, or with `soft` off the likeliest plan."""
        return advice if self._settings.soft else advice.hardened()
