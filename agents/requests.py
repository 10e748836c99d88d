"""Requests to a provider: at once with a bound on how many, within the budget, on the clock."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import LLMResult

from agents.asking import bind
from agents.budget import Budget
from agents.calls import Call
from agents.failures import FailureName
from agents.manner import Manner
from agents.pool import at_once, within
from agents.providers import ChatProvider
from agents.settings import TeacherSettings
from rl.task import Plan

_GRACE_S: Final = 1.0


@dataclass(frozen=True)
class Request:
    """What goes out. wanted: how many answers; tools: see `asking.schemas_for`."""

    messages: list[BaseMessage]
    tools: list[dict[str, Any]]
    manner: Manner
    sampling: dict[str, Any]
    wanted: int


@dataclass(frozen=True)
class Reply:
    """What came back.

    unsent: why nothing was sent. error: what the provider's package raised. started_at: wall clock.
    """

    request: Request
    messages: tuple[AIMessage, ...] = ()
    unsent: FailureName | None = None
    error: Exception | None = None
    started_at: float = 0.0
    latency_s: float = 0.0

    @property
    def usage(self) -> UsageMetadata | None:
        """The tokens of the request: each of its answers carries those of all."""
        return self.messages[0].usage_metadata if self.messages else None


class Line:
    """The line to a provider. May be used by many threads at once."""

    def __init__(self, provider: ChatProvider, settings: TeacherSettings, budget: Budget) -> None:
        self._provider = provider
        self._settings = settings
        self._budget = budget
        self._closed = threading.Event()
        self._places = threading.Semaphore(settings.concurrency)

    @property
    def is_closed(self) -> bool:
        """Whether no request is made any more."""
        return self._closed.is_set()

    def close(self) -> None:
        """Make no request from now on, and cut pauses short."""
        self._closed.set()

    def pause(self, seconds: float) -> None:
        """Wait, unless the line is closed."""
        self._closed.wait(seconds)

    def send(self, requests: Sequence[Request]) -> list[Reply]:
        """The replies, in the order of the requests, which are under way at the same time."""
        calls = [partial(self._send_one, request) for request in requests]
        return at_once(calls, self._settings.concurrency)

    def record(
        self,
        reply: Reply,
        signature: int,
        attempt: int,
        status: str,
        error: str | None,
        plans: Sequence[Plan | None],
    ) -> Call:
        """The record of a request that was sent. plans: what was read out of each answer."""
        request, usage = reply.request, reply.usage
        way = request.manner.way
        return Call(
            signature=signature,
            provider=self._provider.name,
            model=self._provider.model_name,
            attempt=attempt,
            status=status,
            error=error,
            messages=convert_to_openai_messages(request.messages),
            tools=request.tools,
            settings={"way": way, "temperature": self._settings.temperature, **request.sampling},
            answers=[_plain(message) for message in reply.messages],
            plans=[None if p is None else [(o.name, o.target) for o in p] for p in plans],
            prompt_tokens=usage["input_tokens"] if usage else None,
            completion_tokens=usage["output_tokens"] if usage else None,
            started_at=reply.started_at,
            latency_s=reply.latency_s,
        )

    def _send_one(self, request: Request) -> Reply:
        with self._places:
            if self.is_closed:
                return Reply(request, unsent="timed_out")
            if not self._budget.take_call():
                return Reply(request, unsent="budget_spent")
            started_at, started = time.time(), time.perf_counter()
            try:
                messages = self._answers(request)[: request.wanted]
            except Exception as error:  # every provider's package raises its own
                return Reply(
                    request,
                    error=error,
                    started_at=started_at,
                    latency_s=time.perf_counter() - started,
                )
            reply = Reply(
                request,
                tuple(messages),
                started_at=started_at,
                latency_s=time.perf_counter() - started,
            )
        if reply.usage is not None:
            self._budget.add_tokens(reply.usage["input_tokens"], reply.usage["output_tokens"])
        return reply

    def _answers(self, request: Request) -> list[AIMessage]:
        """All answers to a request."""

        def ask() -> LLMResult:
            model, bound = bind(self._provider.model, request.tools, request.manner.way)
            return model.generate([request.messages], **bound, **request.sampling)

        # The client library's own timeout, which names its cause better, comes first.
        deadline = self._settings.timeout_s + _GRACE_S
        result = ask() if self._provider.wait_always else within(deadline, ask)
        found = [getattr(generation, "message", None) for generation in result.generations[0]]
        return [message for message in found if isinstance(message, AIMessage)]


def _plain(message: AIMessage) -> dict[str, Any]:
    """An answer as JSON, all of it but the id that LangChain draws at random."""
    data: dict[str, Any] = json.loads(json.dumps(message.model_dump(exclude={"id"}), default=str))
    return data
