"""Asks a chat model for plans in a situation: k samples, made into advice.

Everything a provider can do wrong becomes a named failure with a bounded number of tries; nothing
that it raises gets past `Planner.ask`.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import signature
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import LLMResult
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt

from agents.asking import Manner, bind, messages_for, plan_of, schemas_for
from agents.budget import Budget
from agents.calls import Call, PlannerAnswer
from agents.failures import HOPELESS, FailureName, Redactor, is_rejection, name_failure
from agents.option_tools import UnusableAnswer
from agents.pool import within
from agents.providers import ChatProvider
from agents.settings import TeacherSettings
from agents.verbaliser import Question, Situations, Verbaliser
from prompts.library import PromptLibrary
from rl.advice import Advice
from rl.task import Plan
from rl.trace import OK

_LONGEST_PAUSE_S: Final = 60.0
_SEED_SPACE: Final = 2**31
_GRACE_S: Final = 1.0


@dataclass
class _Asking:
    """One situation on its way to an answer.

    samples: the plans so far, None for an answer that held none; asked: answers in all, those of
    earlier tries included. only_talked: no answer of this try has called a tool.
    one_by_one: an answer that could not be read has spoilt a request for several.
    """

    question: Question
    manner: Manner
    attempt: int = 0
    asked: int = 0
    samples: list[Plan | None] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    only_talked: bool = False
    one_by_one: bool = False


class Planner:
    """Asks one provider about a task's situations. May be used by many threads at once.

    What a server turns out not to know (`n`, `seed`, tools) is remembered, so that only the first
    situations pay for finding out.

    source: what the trace calls the origin of this planner's advice.
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
        self._verbaliser = Verbaliser(task, library, settings.max_options, settings.thinking)
        self._budget = budget or Budget(settings)
        self._redactor = Redactor(provider.model)
        self._jitter = random.Random()
        self._closed = threading.Event()
        kind = type(provider.model)
        self._numbers_samples = "first_sample" in signature(kind._generate).parameters
        self._manner = Manner("required", settings.samples > 1, "seed" in kind.model_fields)

    def question(self, situation: int) -> Question:
        """What would be asked about a situation, given by its signature.

        Raises PromptError for a broken template.
        """
        return self._verbaliser.question(situation)

    def close(self) -> None:
        """Cut pauses between tries short; no request is made from now on."""
        self._closed.set()

    def ask(self, situation: int) -> PlannerAnswer:
        """Ask about a situation until there is an answer or the tries are spent.

        situation: its signature.
        Raises what the task or a prompt template raises; nothing that the provider raises.
        """
        question = self.question(situation)
        state = _Asking(question, self._manner)
        failure: FailureName | None = None
        if question.tools.schemas:
            tries = Retrying(
                stop=stop_after_attempt(self._settings.max_tries),
                wait=self._pause,
                retry=retry_if_result(self._is_worth_a_try),
                retry_error_callback=_last_result,
                sleep=self._sleep,
            )
            failure = tries(self._try_once, state)
        return PlannerAnswer(
            signature=situation,
            source=self._source,
            advice=_advice(state.samples, self._settings.samples),
            calls=tuple(state.calls),
            failure=failure,
            way=state.manner.way,
        )

    def _is_worth_a_try(self, failure: FailureName | None) -> bool:
        return failure is not None and failure not in HOPELESS and not self._closed.is_set()

    def _sleep(self, seconds: float) -> None:
        self._closed.wait(seconds)

    def _pause(self, retry: RetryCallState) -> float:
        """Seconds before the next try: doubling, with jitter so that threads do not march."""
        seconds = self._settings.backoff_s * 2.0 ** (retry.attempt_number - 1)
        return min(seconds, _LONGEST_PAUSE_S) * self._jitter.uniform(0.5, 1.0)

    def _try_once(self, state: _Asking) -> FailureName | None:
        """Gather the samples that are missing. Returns why that failed, None where it did not."""
        state.attempt += 1
        state.only_talked = True
        while len(state.samples) < self._settings.samples:
            failure = self._request(state)
            if failure is not None:
                return failure
        if any(plan is not None for plan in state.samples):
            return None
        state.samples.clear()
        if state.only_talked:
            state.manner = state.manner.without_tools()
        return "unusable_answer"

    def _request(self, state: _Asking) -> FailureName | None:
        """One request. Returns a failure that ends the try; what can be mended is mended."""
        if self._closed.is_set():
            return "timed_out"
        if not self._budget.take_call():
            return "budget_spent"
        many = state.manner.with_n and not state.one_by_one
        wanted = self._settings.samples - len(state.samples) if many else 1
        sent = self._sent(state, wanted)
        try:
            messages = _messages_of(sent.send())[:wanted]
        except Exception as error:  # every provider's package raises its own
            return self._mend(state, sent, wanted, error)
        self._take(state, sent, wanted, messages)
        return None

    def _mend(
        self, state: _Asking, sent: _Sent, wanted: int, error: Exception
    ) -> FailureName | None:
        """After a rejection go down the ladder; count nonsense as an answer without a plan."""
        failure = name_failure(error)
        state.calls.append(self._call(state, sent, failure, self._redactor.error(error)))
        simpler = state.manner.simpler() if is_rejection(error) else None
        if simpler is not None:
            if simpler.way != state.manner.way:
                state.samples.clear()
            state.manner = simpler
            return None
        if failure != "unusable_answer":
            return failure
        self._take_nonsense(state, wanted)
        return None

    def _take_nonsense(self, state: _Asking, wanted: int) -> None:
        """One sample that cannot be read spoils its whole request: ask for the others singly."""
        state.only_talked = False
        if wanted > 1:
            state.one_by_one = True
        else:
            state.samples.append(None)
            state.asked += 1

    def _take(self, state: _Asking, sent: _Sent, wanted: int, messages: list[AIMessage]) -> None:
        """Keep what a request brought, and remember the manner that worked."""
        usage = _usage(messages)
        if usage is not None:
            self._budget.add_tokens(usage["input_tokens"], usage["output_tokens"])
        plans, reason = self._plans(state, messages)
        worked = any(plan is not None for plan in plans)
        status = OK if worked else "unusable_answer"
        state.calls.append(self._call(state, sent, status, reason, messages, plans))
        if not messages:
            self._take_nonsense(state, wanted)
            return
        state.samples += plans
        state.asked += len(messages)
        if len(messages) < wanted:
            state.manner = replace(state.manner, with_n=False)
        if worked:
            self._manner = state.manner

    def _plans(
        self, state: _Asking, messages: list[AIMessage]
    ) -> tuple[list[Plan | None], str | None]:
        """The plans of a request's answers, and why the last of the unusable ones is none."""
        plans: list[Plan | None] = []
        reason = None if messages else "the answer has no choices"
        for message in messages:
            try:
                plans.append(
                    plan_of(state.question, state.manner.way, message, self._settings.max_options)
                )
            except UnusableAnswer as error:
                plans.append(None)
                reason = str(error)
        state.only_talked &= not any(m.tool_calls or m.invalid_tool_calls for m in messages)
        return plans, reason

    def _sent(self, state: _Asking, wanted: int) -> _Sent:
        """A request that is ready to be sent, its sampling arguments included."""
        sampling: dict[str, Any] = {}
        if wanted > 1:
            sampling["n"] = wanted
        if self._numbers_samples:
            sampling["first_sample"] = state.asked
        elif state.manner.with_seed:
            # One seed for two requests with the same messages would give the same answer twice.
            sampling["seed"] = (self._settings.seed + state.asked) % _SEED_SPACE
        messages = messages_for(state.question, state.manner.way)

        def send() -> LLMResult:
            model, bound = bind(self.provider.model, state.question, state.manner.way)
            return model.generate([messages], **bound, **sampling)

        if not self.provider.wait_always:
            # The client library's own timeout, which names its cause better, comes first.
            deadline = self._settings.timeout_s + _GRACE_S
            return _Sent(messages, sampling, partial(within, deadline, send), *_clocks())
        return _Sent(messages, sampling, send, *_clocks())

    def _call(
        self,
        state: _Asking,
        sent: _Sent,
        status: str,
        error: str | None,
        messages: Sequence[AIMessage] = (),
        plans: Sequence[Plan | None] = (),
    ) -> Call:
        """The record of a request. plans: what was read out of each of its answers."""
        usage = _usage(messages)
        way = state.manner.way
        return Call(
            signature=state.question.signature,
            provider=self.provider.name,
            model=self.provider.model_name,
            attempt=state.attempt,
            status=status,
            error=error,
            messages=convert_to_openai_messages(sent.messages),
            tools=schemas_for(state.question, way),
            settings={"way": way, "temperature": self._settings.temperature, **sent.sampling},
            answers=[_plain(message) for message in messages],
            plans=[None if p is None else [(o.name, o.target) for o in p] for p in plans],
            prompt_tokens=usage["input_tokens"] if usage else None,
            completion_tokens=usage["output_tokens"] if usage else None,
            started_at=sent.started_at,
            latency_s=time.perf_counter() - sent.started,
        )


@dataclass(frozen=True)
class _Sent:
    """One request: what goes out, how to send it, and when (wall clock and stopwatch)."""

    messages: list[BaseMessage]
    sampling: dict[str, Any]
    send: Callable[[], LLMResult]
    started_at: float
    started: float


def _clocks() -> tuple[float, float]:
    return time.time(), time.perf_counter()


def _messages_of(result: LLMResult) -> list[AIMessage]:
    """All answers of a request for one list of messages."""
    found = [getattr(generation, "message", None) for generation in result.generations[0]]
    return [message for message in found if isinstance(message, AIMessage)]


def _usage(messages: Sequence[AIMessage]) -> UsageMetadata | None:
    """The tokens of a request: each of its answers carries those of all."""
    return messages[0].usage_metadata if messages else None


def _advice(samples: list[Plan | None], wanted: int) -> Advice | None:
    """Equal plans merged, likeliest first; samples without a plan leave their share out."""
    counts = Counter(plan for plan in samples if plan is not None)
    if not counts:
        return None
    ranked = counts.most_common()
    return Advice(tuple(plan for plan, _ in ranked), tuple(n / wanted for _, n in ranked))


def _last_result(retry: RetryCallState) -> FailureName | None:
    """What the last of all tries came to."""
    outcome = retry.outcome
    assert outcome is not None, "tenacity calls back only after an outcome"
    failure: FailureName | None = outcome.result()
    return failure


def _plain(message: AIMessage) -> dict[str, Any]:
    """An answer as JSON, all of it but the id that LangChain draws at random."""
    data: dict[str, Any] = json.loads(json.dumps(message.model_dump(exclude={"id"}), default=str))
    return data
