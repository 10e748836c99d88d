"""Asks a chat model for plans in a situation: k samples, made into advice.

Everything a provider can do wrong becomes a named failure with a bounded number of tries; nothing
that it raises gets past `Planner.ask`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from inspect import signature

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt

from tutelage.agents.client.budget import Budget
from tutelage.agents.client.chat_model import ChatProvider
from tutelage.agents.client.client import LONGEST_PAUSE_S, Line
from tutelage.agents.client.errors import HOPELESS, FailureName, Redactor
from tutelage.agents.client.records import PlannerAnswer
from tutelage.agents.client.request_modes import Manner, ways_for
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner.messages import ways_of
from tutelage.agents.planner.sampling_session import Interview
from tutelage.agents.planner.shared_lookups import SharedLooks
from tutelage.agents.planner.verbaliser import Question, Situations, Verbaliser
from tutelage.prompts.library import PromptLibrary


class Planner:
    """Asks one provider about a task's situations. May be used by many threads at once.

    What a server turns out not to know (`n`, `seed`, tools) is remembered, so that only the first
    situations pay for finding out.

    source: what the trace calls the origin of this planner's advice. Raises UnknownLookupError
    where the settings want look-ups that the task lacks.
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
        self._verbaliser = Verbaliser(
            task, library, settings.max_options, settings.thinking, settings.lookups
        )
        self._line = Line(provider, settings, budget or Budget(settings))
        self._looks = SharedLooks()
        self._redactor = Redactor(provider.model)
        self._jitter = random.Random()
        kind = type(provider.model)
        self._numbers_samples = "first_sample" in signature(kind._generate).parameters
        first = ways_for(settings)[0]
        self._manner = Manner(first, settings.samples > 1, "seed" in kind.model_fields)

    def question(self, situation: int) -> Question:
        """What would be asked about a situation, given by its id.

        Raises PromptError for a broken template.
        """
        return self._verbaliser.question(situation)

    def close(self) -> None:
        """Cut pauses between tries short; no request is made from now on."""
        self._line.close()

    @property
    def manner(self) -> Manner:
        """How the next question would be put: as the last that was answered with a plan."""
        return self._manner

    def ask(self, situation: int, manner: Manner | None = None) -> PlannerAnswer:
        """Ask about a situation until there is an answer or the tries are spent.

        situation: its id. manner: how to begin; None for `manner` as it is by then.
        Raises what the task or a prompt template raises; nothing that the provider raises.
        """
        question = self.question(situation)
        interview = self._interview(question, manner or self._manner)
        failure = self._held(interview.hold) if question.options else None
        if interview.worked is not None:
            self._manner = interview.worked
        return PlannerAnswer(
            situation_id=situation,
            source=self._source,
            advice=interview.advice,
            calls=tuple(interview.calls),
            failure=failure,
            way=interview.manner.way,
        )

    def _interview(self, question: Question, manner: Manner) -> Interview:
        ways = ways_of(question, self._settings)
        if manner.way not in ways:
            manner = Manner(ways[0], manner.with_n, manner.with_seed)
        return Interview(
            question,
            manner,
            self._line,
            self._looks,
            self._settings,
            self._redactor,
            self._numbers_samples,
        )

    def _held(self, hold: Callable[[], FailureName | None]) -> FailureName | None:
        """Try until it works, there is no use in trying, or the tries are spent."""
        tries = Retrying(
            stop=stop_after_attempt(self._settings.max_tries),
            wait=self._pause,
            retry=retry_if_result(self._is_worth_a_try),
            retry_error_callback=_last_result,
            sleep=self._line.pause,
        )
        return tries(hold)

    def _is_worth_a_try(self, failure: FailureName | None) -> bool:
        in_time = self._line.held_s <= LONGEST_PAUSE_S and not self._line.is_closed
        return failure is not None and failure not in HOPELESS and in_time

    def _pause(self, retry: RetryCallState) -> float:
        """Seconds before the next try: doubling, with jitter so that threads do not march.

        Not before the server wants to be asked again. When a try is made has no part in what it
        asks for, so the jitter changes no result.
        """
        seconds = self._settings.backoff_s * 2.0 ** (retry.attempt_number - 1)
        return self._line.held_s + min(seconds, LONGEST_PAUSE_S) * self._jitter.uniform(0.5, 1.0)


def _last_result(retry: RetryCallState) -> FailureName | None:
    """What the last of all tries came to."""
    outcome = retry.outcome
    assert outcome is not None, "tenacity calls back only after an outcome"
    failure: FailureName | None = outcome.result()
    return failure
