"""The teacher as the graph sees it: cache, planner, pool, budget and fallback in one place.

The graph's nodes call `lookup`, `submit`, `harvest` and `settle`, all from one thread. Only the
requests themselves run in the pool.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from tutelage.agents.client.budget import Budget
from tutelage.agents.client.call_record import CACHED, NOBODY, OK, STOOD_IN
from tutelage.agents.client.chat_model import ChatProvider
from tutelage.agents.client.errors import FINAL, PROVIDER_FAULTS, REFUSALS
from tutelage.agents.client.parameters import LEAVING_OUT
from tutelage.agents.client.prices import FREE
from tutelage.agents.client.request_modes import OutputMode
from tutelage.agents.client.spending import Ledger, Spending
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.planner.estimate import estimated_tokens
from tutelage.agents.planner.messages import messages_for, output_modes_of, schemas_for
from tutelage.agents.planner.planner import Planner
from tutelage.agents.planner.verbaliser import Situations, plain
from tutelage.agents.providers.catalogue import is_embedded
from tutelage.agents.providers.human import human_behind
from tutelage.agents.providers.replay import Provider, RecordedPlanner, Recording
from tutelage.agents.store.plan_cache import CacheEntry, PlanCache, cache_key, now
from tutelage.agents.teacher.counters import (
    COUNTERS,
    FAULT,
    LEFT_OUT,
    NO_MORE,
    RESTS,
    Counters,
    TeacherEvent,
)
from tutelage.agents.teacher.fallback import PREFIX, SOURCE, FallbackChain, Settled
from tutelage.agents.teacher.faults import LONGEST_QUOTE, fault_line, refusal_line
from tutelage.agents.teacher.question_queue import Rank
from tutelage.agents.teacher.scheduler import NEVER, Scheduler
from tutelage.prompts.library import PromptLibrary
from tutelage.rl.advice.advice import Advice

logger = logging.getLogger(__name__)


class Teacher:
    """Answers for situations, from the cache or from the provider.

    cache: None for none. It holds the full distribution; with `soft` off, advice is hardened here,
    on its way out. on_notice: called with what people should know, in one line; the log, unless
    given. models: those of the fallback chain, see `agents.teacher.fallback.make_models`. ledger:
    where what is spent is written down, and what was spent before stands.

    refusal: why there is no use in going on, and what to do about it, in one line; None where there
    is. The provider has then refused for good (`agents.client.errors.REFUSALS`) before it answered
    anything, nobody is named who would stand in, and the settings do not say to keep going. Where
    the cache has given answers, that holds in the first iteration alone: later, they are something
    to go on with.
    """

    def __init__(
        self,
        task: Situations,
        library: PromptLibrary,
        provider: Provider,
        settings: TeacherSettings,
        cache: PlanCache | None = None,
        on_notice: Callable[[str], None] = logger.info,
        models: Mapping[str, ChatProvider] | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.counters = Counters()
        self._ledger = ledger or Ledger()
        self.counters.take_over(self._ledger.total)
        self.provider = provider
        self._task = task
        self._settings = settings
        self._cache = cache
        self._budget = Budget(settings, self._ledger, bounded=True)
        self._on_notice = on_notice
        self._bound_is_told = False
        self._texts: dict[int, str] = {}
        self._events: list[TeacherEvent] = []
        self._reported: set[str] = set()
        self._causes: dict[int, str] = {}
        self._iteration = 0
        self.refusal: str | None = None
        self._refused: list[PlannerAnswer] = []
        self._keys: dict[int, dict[OutputMode, str]] = {}
        planner: Planner | RecordedPlanner
        self._fallbacks = FallbackChain(task, library, settings, models or {}, cache, self._budget)
        if not provider.kept:
            self._cache = None
        if isinstance(provider, Recording):
            planner = RecordedPlanner(task, provider, on_notice)
        else:
            # The default bound is for those who send a bill; limits that somebody set are for all.
            free = provider.wait_always and not settings.has_budget
            budget = Budget(settings, self._ledger) if free else self._budget
            planner = Planner(task, library, provider, settings, budget)
        self._planner = planner if isinstance(planner, Planner) else None
        self._human = human_behind(provider)
        # One at a time for the script: nothing is gained by more, and a budget then always ends
        # at the same situation.
        places = 1 if provider.wait_always else settings.concurrency
        self._scheduler = Scheduler(planner, places)

    @property
    def pending(self) -> tuple[int, ...]:
        """The situations that the teacher is being asked about, sorted."""
        return self._scheduler.pending

    @property
    def is_out_of_reach(self) -> bool:
        """Whether the provider is known to be down, or to refuse, and not to answer for now."""
        return self._scheduler.is_out_of_reach

    @property
    def pending_fallbacks(self) -> tuple[int, ...]:
        """The situations that a second model is being asked about, sorted."""
        return self._fallbacks.pending

    @property
    def cost_usd(self) -> float | None:
        """The cost of all tokens so far; None where their price or their number is not known.

        It is 0 before the first request, whatever the price.
        """
        return self._budget.cost_usd if self._budget.calls else 0.0

    @property
    def most_calls(self) -> int | None:
        """The most requests that may be made of it, the made ones included; None for no limit."""
        bounded = not self.provider.wait_always or self._settings.has_budget
        return self._budget.most_calls if bounded else None

    @property
    def asks_a_person(self) -> bool:
        """Whether a person teaches, for whom a state of each situation is to be drawn."""
        return self._human is not None

    def illustrate(self, pictures: Mapping[int, str]) -> None:
        """Show a person these drawn states, by situation id, when asking about them."""
        if self._human is not None:
            shown = {plain(self._task.describe(s)): picture for s, picture in pictures.items()}
            self._human.illustrate(shown)

    def snapshot(self) -> dict[str, Any]:
        """The counters, what was reported, and the back-offs, as JSON has it."""
        return {
            "counters": asdict(self.counters),
            "reported": sorted(self._reported),
            "scheduler": self._scheduler.snapshot(),
            "fallbacks": self._fallbacks.snapshot(),
        }

    def restore(self, record: Mapping[str, Any]) -> None:
        """Go on from a snapshot. What was spent after it was taken stays spent.

        Raises AttributeError, KeyError, TypeError or ValueError for anything else, with nothing
        changed.
        """
        before = self.snapshot()
        try:
            self._restore(record)
        except (AttributeError, KeyError, TypeError, ValueError):
            self._restore(before)
            raise

    def _restore(self, record: Mapping[str, Any]) -> None:
        counted = COUNTERS.validate_python(record["counters"])
        self._scheduler.restore(record["scheduler"])
        self._fallbacks.restore(record["fallbacks"])
        self._reported = {str(line) for line in record["reported"]}
        self._ledger.make_up_for(counted.spent)
        counted.take_over(self._ledger.total)
        self.counters = counted

    def lookup(self, situation_ids: Iterable[int]) -> list[PlannerAnswer]:
        """The answers that the cache holds, in the order of their situations. Raises PromptError.

        Their calls are those that brought them in an earlier run, under the status `cached`.
        """
        answers = [self._hardened(answer) for answer in self._cached(situation_ids)]
        if answers:
            self._ledger.add(Spending(cache_hits=len(answers)))
            self.counters.cache_hits += len(answers)
        return answers

    def ask_ahead(self, situation_ids: Iterable[int], iteration: int) -> None:
        """Start asking about situations that the cache does not hold, before they are looked up.

        In this order: the first ones are asked about where there is not enough for all.
        """
        wanted = list(situation_ids)
        cached = {answer.situation_id for answer in self._cached(wanted)}
        self._submit([s for s in wanted if s not in cached], iteration)

    def submit(
        self,
        situation_ids: Iterable[int],
        iteration: int,
        visits: Mapping[int, int] | None = None,
    ) -> int:
        """Start asking about situations; returns how many of them are asked about.

        visits: how often the student has met situations, by id. What it has met most is asked
        about first, those that have waited included; where that ties, in the order of their texts.
        None for the order of their ids. Passed over are those that are being asked about already,
        those that failed lately, and all while the provider is paused.
        """
        if visits is None:
            return self._submit(sorted(set(situation_ids)), iteration)

        def rank(situation_id: int) -> tuple[int, str]:
            return -visits.get(situation_id, 0), self._text(situation_id)

        return self._submit(sorted(set(situation_ids), key=rank), iteration, rank)

    def _text(self, situation_id: int) -> str:
        """A situation's text, which orders situations where nothing else does: ids mean nothing."""
        if situation_id not in self._texts:
            self._texts[situation_id] = self._task.describe(situation_id)
        return self._texts[situation_id]

    def harvest(self, wait_for_all: bool, timeout_s: float | None = None) -> list[PlannerAnswer]:
        """The answers that are there, in the order of their situations, each given once.

        wait_for_all: wait for every pending answer first, at most `timeout_s` seconds.
        Good answers are stored in the cache on the way.
        """
        before = self._scheduler.paused_until
        answers = self._scheduler.harvest(wait_for_all, timeout_s)
        self.counters.situations = self._scheduler.asked
        self._note_pause(before)
        return self._gone_through(answers)

    def settle(
        self,
        situation_ids: Iterable[int],
        iteration: int,
        wait_for_all: bool = False,
        timeout_s: float | None = None,
    ) -> list[PlannerAnswer]:
        """The answers of the fallback chain, ordered by situation id, each given once.

        Settled are those situations that the teacher is not being asked about. wait_for_all: as in
        `harvest`; a second model may still be asked afterwards, see `pending_fallbacks`.
        """
        busy = set(self.pending)
        causes = {
            situation_id: f"{self.provider.name}: {self._causes.get(situation_id, 'paused')}"
            for situation_id in situation_ids
            if situation_id not in busy
        }
        if causes and self._fallbacks.first_llm is not None:
            self._tell_bound(self._fallbacks.first_llm, min(causes))
        self._fallbacks.begin(causes, iteration)
        return self._taken(self._fallbacks.harvest(wait_for_all, timeout_s))

    def take_events(self) -> list[TeacherEvent]:
        """The events since this was called last."""
        events, self._events = self._events, []
        return events

    def close(self) -> list[PlannerAnswer]:
        """Stop asking. Returns the answers that are there and were not given yet.

        They are in the cache by then. A hanging request is left behind, and counted: it may be
        paid for.
        """
        answers = self._gone_through(self._scheduler.close())
        self._settle_refusals()
        answers += self._taken(self._fallbacks.close())
        if self._human is not None:
            self._human.close()
        self.counters.take_over(self._ledger.total)
        return answers

    def _note_pause(self, before: int) -> None:
        """Note the start of a pause, or that the provider answers again. before: the last end."""
        after = self._scheduler.paused_until
        if after in (before, NEVER):  # never: the budget is spent, which is reported
            return
        change = f"is not asked before iteration {after}" if after > 0 else "answers again"
        self._events.append(TeacherEvent(RESTS, f"{self.provider.name} {change}"))

    def _submit(
        self, situation_ids: Sequence[int], iteration: int, rank: Rank | None = None
    ) -> int:
        self._iteration = iteration
        asks = bool(situation_ids) and self._scheduler.paused_until != NEVER
        if self._planner is not None and asks and not self.provider.wait_always:
            self._tell_bound(self._planner, situation_ids[0])
        asked = self._scheduler.submit(situation_ids, iteration, rank)
        self.counters.situations = self._scheduler.asked
        return asked

    def _gone_through(self, answers: Sequence[PlannerAnswer]) -> list[PlannerAnswer]:
        """The teacher's answers as they go out: counted, stored, failures reported."""
        failures = self.counters.failures
        for answer in answers:
            self._count(answer)
            self._tell_left_out(answer, self.provider.name)
            self.counters.answers += answer.advice is not None
            if answer.failure is not None:
                failures[answer.failure] = failures.get(answer.failure, 0) + 1
                self._causes[answer.situation_id] = answer.failure
                if answer.failure in REFUSALS:
                    self._refused.append(answer)
                else:
                    self._report(answer, self.provider.name)
        if self._goes_on or not self.pending:  # else another question may still be answered
            self._settle_refusals()
        return [self._hardened(answer) for answer in self._stored(answers)]

    @property
    def _goes_on(self) -> bool:
        """Whether a provider that refuses is something to go on with all the same."""
        has_served = self.counters.answers or (self.counters.cache_hits and self._iteration > 1)
        return bool(has_served or self._settings.keep_going or self._settings.fallback)

    def _settle_refusals(self) -> None:
        """Report the provider's refusals, or see in them that there is no use in going on."""
        if not self._goes_on:
            self.refusal = self.refusal or refusal_line(self.provider.name, self._refused)
        refused, self._refused = self._refused, []
        for answer in refused:
            self._report(answer, self.provider.name)

    def _taken(self, settled: Sequence[Settled]) -> list[PlannerAnswer]:
        """The answers of the fallback chain, counted, with the events that tell its steps."""
        for each in settled:
            kind = STOOD_IN if each.is_advised else NOBODY
            path = " -> ".join(each.steps)
            self._events.append(
                TeacherEvent(kind, f"situation {each.situation_id}: {path}", each.situation_id)
            )
            self.counters.fallbacks += each.is_advised
            for answer in each.answers:
                if answer.source != SOURCE:  # the script makes no requests
                    self._count(answer)
                    name = answer.source.removeprefix(PREFIX)
                    self._tell_left_out(answer, name)
                    self._report(answer, name)
        return [self._hardened(answer) for each in settled for answer in each.answers]

    def _tell_left_out(self, answer: PlannerAnswer, name: str) -> None:
        """Note once what a provider refuses and is not sent any more."""
        for parameter, complaint in answer.left_out.items():
            subject = f"{name}: left out: {parameter}"
            if subject not in self._reported:
                self._reported.add(subject)
                line = f"{name}: {LEAVING_OUT[parameter]} ({complaint[:LONGEST_QUOTE]})"
                self._events.append(TeacherEvent(LEFT_OUT, line))

    def _report(self, answer: PlannerAnswer, name: str) -> None:
        """Report each way in which a provider fails once, and once that the budget is spent."""
        if answer.failure == "budget_spent":
            kind, subject, limit = NO_MORE, "budget", self._budget.limit_reached
            line = f"the budget is spent ({limit}); the run goes on without new advice"
        elif answer.failure in PROVIDER_FAULTS or _is_of_no_use(answer, name):
            kind, subject = FAULT, f"{name}: {answer.failure}"
            line = fault_line(name, answer)
        else:
            return
        if subject not in self._reported:
            self._reported.add(subject)
            self._events.append(TeacherEvent(kind, self.refusal or line))
            if self.refusal is None:  # else it is why the run ends, which is told then
                self._on_notice(line)

    def _tell_bound(self, planner: Planner, situation_id: int) -> None:
        """Say once, before the first request, how many will be made where nobody has said it.

        situation_id: one that is to be asked about, by which the cost is estimated.
        """
        bound = self._budget.bound
        if bound is None or self._bound_is_told:
            return
        self._bound_is_told = True
        made = f", {self._budget.calls:,} of them made already" if self._budget.calls else ""
        price, cost = planner.provider.price, ""
        if price is not None and price != FREE:
            tokens = estimated_tokens(planner.question(situation_id), self._settings)
            usd = bound * (price.cost(*tokens) or 0.0)
            cost = f", for some {usd:.2g} USD if all are like the first"
        self._on_notice(
            f"{planner.provider.name} is asked at most {bound:,} times in this run{made}{cost}; "
            "--budget-calls N sets another bound, --set teacher.calls_without_budget=none takes "
            "it off"
        )

    def _cached(self, situation_ids: Iterable[int]) -> list[PlannerAnswer]:
        """The answers that the cache holds, in the order of their situations."""
        if self._cache is None or self._planner is None:
            return []
        keys = {s: self._keys_of(self._planner, s) for s in sorted(set(situation_ids))}
        entries = self._cache.get_many(key for modes in keys.values() for key in modes.values())
        found = [self._replayed(s, modes, entries) for s, modes in keys.items()]
        return [answer for answer in found if answer is not None]

    def _keys_of(self, planner: Planner, situation_id: int) -> dict[OutputMode, str]:
        """The cache's keys of a situation, one for each output mode, the best first."""
        if situation_id not in self._keys:
            question = planner.question(situation_id)
            self._keys[situation_id] = {
                output_mode: cache_key(
                    self.provider.identity,
                    messages_for(question, output_mode),
                    schemas_for(question, output_mode, self._settings.max_options),
                    output_mode=output_mode,
                    samples=self._settings.samples,
                    max_options=self._settings.max_options,
                    uncertainty=self._settings.uncertainty,
                    lookups=question.lookups.answers,
                )
                for output_mode in output_modes_of(question, self._settings)
            }
        return self._keys[situation_id]

    def _replayed(
        self,
        situation_id: int,
        keys: Mapping[OutputMode, str],
        entries: Mapping[str, CacheEntry],
    ) -> PlannerAnswer | None:
        """The first entry of which all is on offer, as an answer."""
        offered = self._task.options(situation_id)
        for output_mode, key in keys.items():
            entry = entries.get(key)
            if entry is not None and entry.is_on_offer(offered):
                calls = tuple(call.replayed() for call in entry.calls)
                return PlannerAnswer(
                    situation_id, "cache", entry.advice, calls, output_mode=output_mode, key=key
                )
        return None

    def _count(self, answer: PlannerAnswer) -> None:
        counted = self.counters
        made = [call for call in answer.calls if call.status != CACHED]
        counted.calls += len(made)
        counted.prompt_tokens += sum(call.prompt_tokens or 0 for call in made)
        counted.completion_tokens += sum(call.completion_tokens or 0 for call in made)
        counted.usd += sum(call.cost_usd or 0.0 for call in made)
        counted.unpriced += sum(call.is_unpriced for call in made)

    def _stored(self, answers: Sequence[PlannerAnswer]) -> list[PlannerAnswer]:
        """The answers, those that were given in full with the key that the cache keeps them by.

        A failed or incomplete answer is never kept.
        """
        if self._cache is None or self._planner is None:
            return list(answers)
        keyed = []
        for answer in answers:
            if answer.advice is not None and answer.failure is None:
                keys = self._keys_of(self._planner, answer.situation_id)
                answer = replace(answer, key=keys[answer.output_mode])
            keyed.append(answer)
        self._cache.put_many(
            {
                answer.key: self._entry(answer, answer.advice)
                for answer in keyed
                if answer.key is not None and answer.advice is not None
            }
        )
        return keyed

    def _entry(self, answer: PlannerAnswer, advice: Advice) -> CacheEntry:
        # An output mode that was given up later has no part in the advice.
        brought = [
            c
            for c in answer.calls
            if c.status == OK and c.settings["output_mode"] == answer.output_mode
        ]
        return CacheEntry(
            advice=advice,
            calls=tuple(brought),
            provider=self.provider.name,
            model=self.provider.model_name,
            date=now(),
            prompt_tokens=sum(call.prompt_tokens or 0 for call in answer.calls),
            completion_tokens=sum(call.completion_tokens or 0 for call in answer.calls),
        )

    def _hardened(self, answer: PlannerAnswer) -> PlannerAnswer:
        """The answer as it reaches the student: with `soft` off, the likeliest plan alone."""
        if answer.advice is None or self._settings.soft:
            return answer
        return replace(answer, advice=answer.advice.hardened())


def _is_of_no_use(answer: PlannerAnswer, name: str) -> bool:
    """Whether a model's answer brought no advice for a reason of its own. name: the provider's.

    A script that has nothing to say does as it is meant to.
    """
    unanswered = answer.failure is not None and answer.failure not in FINAL
    return unanswered and answer.advice is None and not is_embedded(name)
