"""The fallback chain: who advises where the teacher could not, tried one after the other.

    PROVIDER:MODEL[@BASE_URL]  a second model, asked in the background like the first
    cached                     what another model, or another prompt, has said of the situation
    offline                    the script

A fallback's advice is never taken for the teacher's: it carries its own source, and it is not
stored in the plan cache. Which fallbacks were tried, and with which result, is reported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from tutelage.agents.client.budget import Budget
from tutelage.agents.client.chat_model import ChatProvider
from tutelage.agents.common.settings import (
    CACHED_ADVICE,
    OFFLINE,
    TeacherSettings,
    provider_and_address,
)
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.planner.planner import Planner
from tutelage.agents.planner.verbaliser import Situations, canonical
from tutelage.agents.providers.catalogue import is_embedded
from tutelage.agents.providers.make import ProviderError, make_chat_model
from tutelage.agents.store.plan_cache import CacheEntry, PlanCache
from tutelage.agents.store.recordings import of_entry
from tutelage.agents.teacher.scheduler import BackOffs, Scheduler
from tutelage.prompts.library import PromptLibrary

PREFIX: Final = "fallback:"
SOURCE: Final = f"{PREFIX}{OFFLINE}"


@dataclass(frozen=True)
class Settled:
    """A situation that the chain has settled.

    steps: who was tried and with which result, in order, the teacher first. answers: of those that
    were asked; where there is advice, the last one has it.
    """

    situation_id: int
    steps: tuple[str, ...]
    answers: tuple[PlannerAnswer, ...]

    @property
    def is_advised(self) -> bool:
        """Whether a fallback has given advice."""
        return bool(self.answers) and self.answers[-1].advice is not None


class CachedAdvice:
    """The newest advice in the plan cache on the very same situation, of any provider.

    The scripts of this program are left out: some of them are wrong on purpose.
    """

    def __init__(self, task: Situations, cache: PlanCache | None) -> None:
        self._task = task
        self._cache = cache

    def ask(self, situation_id: int) -> PlannerAnswer | None:
        """The stored advice, under its provider's name; None where there is none."""
        entry = self._entries.get(canonical(self._task.describe(situation_id)))
        if entry is None or not entry.is_on_offer(self._task.options(situation_id)):
            return None
        calls = tuple(call.replayed() for call in entry.calls)
        source = f"{PREFIX}{CACHED_ADVICE}:{entry.provider}"
        return PlannerAnswer(situation_id, source, entry.advice, calls)

    @cached_property
    def _entries(self) -> Mapping[str, CacheEntry]:
        """The cache's entries by situation, read when they are first needed."""
        stored = {} if self._cache is None else self._cache.entries()
        newest = {}
        for key, entry in sorted(stored.items(), key=lambda item: (item[1].date, item[0])):
            answer = of_entry(key, entry)
            if answer is not None and not is_embedded(entry.provider):
                newest[canonical(answer.situation)] = entry
        return newest


Step = Scheduler | CachedAdvice | Planner


class FallbackChain:
    """Settles situations step by step. A second model is waited for only if the caller waits.

    models: the providers that the settings name, by step; see `make_models`.
    """

    def __init__(
        self,
        task: Situations,
        library: PromptLibrary,
        settings: TeacherSettings,
        models: Mapping[str, ChatProvider],
        cache: PlanCache | None,
        budget: Budget,
    ) -> None:
        def made(step: str) -> Step:
            if step == OFFLINE:
                # The script costs nothing: no budget holds it up.
                script = replace(models[OFFLINE], name=SOURCE)
                no_limit = Budget(TeacherSettings())
                return Planner(task, library, script, settings, no_limit, SOURCE)
            if step == CACHED_ADVICE:
                return CachedAdvice(task, cache)
            source = f"{PREFIX}{models[step].name}"
            planner = Planner(task, library, models[step], settings, budget, source)
            return Scheduler(planner, settings.concurrency)

        self._steps = [made(step) for step in settings.fallback]
        self._names = [models[s].name if s in models else s for s in settings.fallback]
        self._tried: dict[int, list[str]] = {}
        self._answers: defaultdict[int, list[PlannerAnswer]] = defaultdict(list)
        self._next: dict[int, int] = {}
        self._back_offs = BackOffs()
        self._done: list[Settled] = []
        self._iteration = 0

    @property
    def pending(self) -> tuple[int, ...]:
        """The situations that a second model is being asked about, sorted."""
        return tuple(sorted(self._next))

    @property
    def first_llm(self) -> Planner | None:
        """Who asks the first model of the chain that is no script; None where there is none."""
        askers = [s.planner for s in self._steps if isinstance(s, Scheduler)]
        return next((asker for asker in askers if isinstance(asker, Planner)), None)

    def begin(self, causes: Mapping[int, str], iteration: int) -> None:
        """Start the chain. causes: why the teacher did not answer, by situation id.

        Situations that are pending are passed over, and those on which the chain failed lately.
        """
        self._iteration = iteration
        for situation_id, cause in sorted(causes.items()):
            is_due = self._back_offs.are_over(situation_id, iteration)
            if self._steps and situation_id not in self._next and is_due:
                self._tried[situation_id] = [cause]
                self._go_on(situation_id, 0)

    def harvest(self, wait_for_all: bool, timeout_s: float | None = None) -> list[Settled]:
        """The situations that have been settled, ordered by id, each given once.

        wait_for_all: wait first for the first model that is being asked, at most `timeout_s`
        seconds. Others may be asked after that, see `pending`.
        """
        for position, step in enumerate(self._steps):
            if isinstance(step, Scheduler) and step.pending:
                answers = step.harvest(wait_for_all, timeout_s)
                wait_for_all = False
                for answer in answers:
                    self._take(answer, position)
                self._pass_over(step, position)
        done, self._done = self._done, []
        return sorted(done, key=lambda each: each.situation_id)

    def close(self) -> list[Settled]:
        """Stop asking. Returns what has been settled and was not given yet."""
        for position, step in enumerate(self._steps):
            if isinstance(step, Scheduler):
                for answer in step.close():
                    self._take(answer, position)
        self._next.clear()
        return self.harvest(wait_for_all=False)

    def snapshot(self) -> dict[str, Any]:
        """The back-offs, as JSON has it."""
        return {
            "back_offs": self._back_offs.to_json(),
            "models": [s.snapshot() if isinstance(s, Scheduler) else None for s in self._steps],
        }

    def restore(self, record: Mapping[str, Any]) -> None:
        """Go on from a snapshot. Raises what `Scheduler.restore` does, or ValueError."""
        back_offs = BackOffs.from_json(record["back_offs"])
        for step, stored in zip(self._steps, record["models"], strict=True):
            if isinstance(step, Scheduler):
                step.restore(stored)
        self._back_offs = back_offs

    def _take(self, answer: PlannerAnswer, position: int) -> None:
        """Take a model's answer, or go on to the next."""
        if answer.advice is None:
            self._fail(answer.situation_id, position, answer.failure or "no answer", answer)
        else:
            self._settle(answer.situation_id, position, answer)

    def _pass_over(self, model: Scheduler, position: int) -> None:
        """Go on with what a model was not asked about, as it has not answered others."""
        waiting = set(model.pending)
        for situation_id in [
            s for s, p in self._next.items() if p == position and s not in waiting
        ]:
            self._fail(situation_id, position, "did not answer others")

    def _go_on(self, situation_id: int, position: int) -> None:
        """Try one fallback after the other, until one is waited for or has an answer."""
        if position == len(self._steps):
            self._settle(situation_id, position, None)
            return
        step = self._steps[position]
        if isinstance(step, Scheduler):
            if step.submit([situation_id], self._iteration):
                self._next[situation_id] = position
            else:
                self._fail(situation_id, position, "paused")
            return
        answer = step.ask(situation_id)
        if answer is None:
            self._fail(situation_id, position, "nothing stored")
        else:
            self._take(answer, position)

    def _fail(
        self, situation_id: int, position: int, cause: str, answer: PlannerAnswer | None = None
    ) -> None:
        """Note why a fallback has no answer, and go on to the next."""
        self._next.pop(situation_id, None)
        self._tried[situation_id].append(f"{self._names[position]}: {cause}")
        if answer is not None:
            self._answers[situation_id].append(answer)
        self._go_on(situation_id, position + 1)

    def _settle(self, situation_id: int, position: int, answer: PlannerAnswer | None) -> None:
        """End the chain for a situation: with an answer, or as no fallback is left."""
        self._next.pop(situation_id, None)
        steps, answers = self._tried.pop(situation_id), self._answers.pop(situation_id, [])
        if answer is None:
            self._back_offs[situation_id].fail(self._iteration)
        else:
            steps.append(f"{self._names[position]}: answered")
            answers.append(answer)
        self._done.append(Settled(situation_id, tuple(steps), tuple(answers)))


def make_models(settings: TeacherSettings, task: object) -> dict[str, ChatProvider]:
    """The models of the chain that the settings name, by step. Raises what `make_chat_model` does.

    They have their own prices: those in the settings are the teacher's.
    """
    own = settings.model_copy(
        update={"usd_per_million_prompt_tokens": None, "usd_per_million_completion_tokens": None}
    )
    models = {}
    for step in settings.fallback:
        if step != CACHED_ADVICE:
            name, url = provider_and_address(step)
            try:
                models[step] = make_chat_model(name, url, own, task)
            except ProviderError as error:
                raise ProviderError(f"teacher.fallback: {error}") from error
    return models
