"""Asks a chat model for plans in a situation: k samples, made into advice.

Each error of a provider becomes a named failure, after a bounded number of tries; nothing that it
raises gets past `Planner.ask`.
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache
from inspect import signature
from typing import Final

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_result,
    sleep_using_event,
    stop_after_attempt,
)

from tutelage.agents.client.budget import Budget
from tutelage.agents.client.chat_model import ChatProvider
from tutelage.agents.client.client import LONGEST_PAUSE_S, RateLimitedClient
from tutelage.agents.client.errors import HOPELESS, FailureName
from tutelage.agents.client.request_modes import OUTPUT_MODES, RequestMode, output_modes_for
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.planner.evidence import Evidence
from tutelage.agents.planner.lookups import SharedLookups
from tutelage.agents.planner.messages import output_modes_of
from tutelage.agents.planner.sampling_session import SamplingSession
from tutelage.agents.planner.verbaliser import Situations, Verbaliser
from tutelage.prompts.library import PromptLibrary

_QUESTIONS_KEPT: Final = 1024
"""More than are usually waiting to be asked; one that is not kept is rendered again."""


class Planner:
    """Asks one provider about a task's situations. May be used by many threads at once.

    What a server turns out not to know (`n`, `seed`, tools, `agents.client.parameters`) is
    remembered, so that only the first situations pay for finding out.

    question: the question about a situation id, rendered once for its cache key and for asking;
    raises PromptError for a broken template. mode: of the next request, see `Evidence`. source: the
    origin of this planner's advice, as the trace names it. Raises UnknownLookupError where the
    settings want look-ups that the task lacks.
    """

    def __init__(
        self,
        task: Situations,
        library: PromptLibrary,
        provider: ChatProvider,
        settings: TeacherSettings,
        budget: Budget | None = None,
        source: str = "model",
    ) -> None:
        self.provider = provider
        self._source = source
        self._settings = settings
        verbaliser = Verbaliser(
            task, library, settings.max_options, settings.thinking, settings.lookups
        )
        self.question = lru_cache(_QUESTIONS_KEPT)(verbaliser.question)
        self._client = RateLimitedClient(provider, settings, budget or Budget(settings))
        self._shared_lookups = SharedLookups()
        # A script, or a person, speaks in one way and has no other.
        self._evidence = Evidence(OUTPUT_MODES if provider.wait_always else ())
        self._jitter = random.Random()
        kind = type(provider.model)
        self._numbers_samples = "first_sample" in signature(kind._generate).parameters
        first = output_modes_for(settings)[0]
        self.mode = RequestMode(first, settings.samples > 1, "seed" in kind.model_fields)

    def close(self) -> None:
        """Cut pauses between tries short; no request is made from now on."""
        self._client.closed.set()

    def ask(self, situation_id: int, mode: RequestMode | None = None) -> PlannerAnswer:
        """Ask about a situation until there is an answer or the tries are spent.

        mode: the first one to try; None for `mode` as it is by then. Raises what the task or a
        prompt template raises; nothing that the provider raises.
        """
        question = self.question(situation_id)
        mode = mode or self.mode
        allowed = output_modes_of(question, self._settings)
        if mode.output_mode not in allowed:
            mode = replace(mode, output_mode=allowed[0])
        session = SamplingSession(
            question,
            mode,
            self._client,
            self._shared_lookups,
            self._settings,
            self._numbers_samples,
            self._evidence.proven,
        )
        failure = self._tried(session) if question.options else None
        if session.worked is not None:
            self.mode = self._evidence.next_mode(self.mode, session.worked, session.brought)
        return PlannerAnswer(
            situation_id=situation_id,
            source=self._source,
            advice=session.advice,
            calls=tuple(session.calls),
            failure=failure,
            output_mode=session.mode.output_mode,
            left_out=self._client.left_out,
        )

    def _tried(self, session: SamplingSession) -> FailureName | None:
        """Run a session until it succeeds, there is no use in trying, or the tries are spent."""
        tries = Retrying(
            stop=stop_after_attempt(self._settings.max_tries),
            wait=self._pause,
            retry=retry_if_result(self._is_worth_a_try),
            retry_error_callback=_last_result,
            sleep=sleep_using_event(self._client.closed),
        )
        return tries(session.run)

    def _is_worth_a_try(self, failure: FailureName | None) -> bool:
        in_time = self._client.held_s <= LONGEST_PAUSE_S and not self._client.closed.is_set()
        return failure is not None and failure not in HOPELESS and in_time

    def _pause(self, retry: RetryCallState) -> float:
        """Seconds before the next try: doubling, with jitter so that threads do not march.

        Not before the server wants to be asked again. The request does not depend on when it is
        made, so the jitter changes no result.
        """
        seconds = self._settings.backoff_s * 2.0 ** (retry.attempt_number - 1)
        return self._client.held_s + min(seconds, LONGEST_PAUSE_S) * self._jitter.uniform(0.5, 1.0)


def _last_result(retry: RetryCallState) -> FailureName | None:
    """The result of the last try."""
    outcome = retry.outcome
    assert outcome is not None, "tenacity calls back only after an outcome"
    failure: FailureName | None = outcome.result()
    return failure
