"""Requests to a provider: how many at a time, how many a second, and within the budget."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    SystemMessage,
    convert_to_openai_messages,
)
from langchain_core.outputs import LLMResult
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import RunnableBinding

from tutelage.agents.client.bounds import bound, ending_in
from tutelage.agents.client.budget import Budget
from tutelage.agents.client.call_record import Exchange
from tutelage.agents.client.chat_model import ChatProvider
from tutelage.agents.client.errors import (
    FailureName,
    held_secrets,
    in_one_line,
    named_parameters,
    retry_after,
)
from tutelage.agents.client.limits import limit_of, limited
from tutelage.agents.client.numbers import count_of
from tutelage.agents.client.parameters import LeftOut, Parameter, blamed, without_system
from tutelage.agents.client.pool import Patience, at_once
from tutelage.agents.client.request_modes import RequestMode
from tutelage.agents.common.redact import value_redactor
from tutelage.agents.common.settings import TeacherSettings
from tutelage.rl.errors import UserError
from tutelage.rl.tasks.options import Plan

LONGEST_PAUSE_S: Final = 60.0
"""A request that would have to wait longer is given up."""

_GRACE_S: Final = 1.0
_LOOK_S: Final = 0.02
"""Seconds between two attempts of a request to get its turn."""

_LONGEST_QUOTE: Final = 2000
_LONGEST_ANSWER: Final = 1 << 18
"""Characters of an answer, as JSON, beyond which it is not kept whole."""

_LOGPROBS: Final[Mapping[str, Any]] = {"logprobs": True, "top_logprobs": 20, "max_tokens": 8}
"""The arguments of a request for token probabilities; 20 is the most that OpenAI's protocol
allows."""


@dataclass(frozen=True)
class Request:
    """A request that can be sent.

    wanted: how many answers. tools: as in `schemas_for`, or none. left_out: what it is sent
    without.
    """

    messages: list[BaseMessage]
    tools: list[dict[str, Any]]
    mode: RequestMode
    sampling: dict[str, Any]
    wanted: int
    left_out: frozenset[Parameter] = frozenset()


@dataclass(frozen=True)
class Reply:
    """The response to a request.

    unsent: why nothing was sent. error: what the provider's package raised. complaint: the same in
    one line, without secrets. started_at: seconds since the epoch.
    """

    request: Request
    messages: tuple[AIMessage, ...] = ()
    unsent: FailureName | None = None
    error: Exception | None = None
    complaint: str = ""
    started_at: float = 0.0
    latency_s: float = 0.0

    @property
    def tokens(self) -> tuple[int | None, int | None]:
        """Tokens in and out; None where they are not known. Each answer carries those of all."""
        found = self.messages[0].usage_metadata if self.messages else None
        usage: Mapping[str, Any] = found or {}
        return count_of(usage.get("input_tokens")), count_of(usage.get("output_tokens"))


class RateLimitedClient:
    """Sends requests to one provider. May be used by many threads at once.

    It bounds how many requests are under way and how many are sent in a second. A server that says
    when it may be asked again (`Retry-After`) is sent nothing until then. Each request is bounded,
    see `agents.client.bounds`; where a provider's package cannot be, its requests are given up and
    left behind, no more than may be under way. What the server refuses of a request (`leave_out`)
    is not sent to it again. closed: once it is set, no request is made any more, and pauses are cut
    short.
    """

    def __init__(self, provider: ChatProvider, settings: TeacherSettings, budget: Budget) -> None:
        self._provider = provider
        self._settings = settings
        self._budget = budget
        self.closed = threading.Event()
        self._places = threading.Semaphore(settings.concurrency)
        self._patience = Patience(settings.concurrency)
        if not provider.wait_always:
            bound(provider.model)
        rate = settings.requests_per_second
        self._rate = None if rate is None else InMemoryRateLimiter(requests_per_second=rate)
        self._not_before = 0.0
        self._left_out = LeftOut()

    @property
    def left_out(self) -> Mapping[Parameter, str]:
        """What the server is not sent any more, with the words in which it refused it."""
        return self._left_out.parameters

    @property
    def held_s(self) -> float:
        """The seconds from now in which the server wants no request."""
        return max(0.0, self._not_before - time.monotonic())

    def send(self, requests: Sequence[Request]) -> list[Reply]:
        """The replies, in the order of the requests, which are under way at the same time."""
        calls = [partial(self._send_one, request) for request in requests]
        return at_once(calls, self._settings.concurrency)

    def limit_of(self, request: Request) -> int | None:
        """The most tokens of an answer to a request; None where the provider is told of none."""
        return limit_of(self._provider, request.mode, self._settings)

    def leave_out(self, reply: Reply) -> bool:
        """Leave out what the server blames for its refusal. Returns whether to ask again for that.

        That is so once for each parameter, as only what was sent is taken to be blamed.
        """
        if reply.error is None:
            return False
        sent = self._sent_with(reply.request)
        for parameter in blamed(reply.complaint, named_parameters(reply.error)):
            if parameter in sent:
                self._left_out.add(parameter, reply.complaint)
                return True
        return False

    def record(
        self,
        reply: Reply,
        attempt: int,
        status: str,
        error: str | None,
        plans: Sequence[Plan | None],
    ) -> Exchange:
        """A request that was sent, with its response. plans: those read out of each answer."""
        request, price = reply.request, self._provider.price
        limit = self.limit_of(request)
        temperature = self._settings.temperature
        if "temperature" in request.left_out:
            temperature = None
        return Exchange(
            provider=self._provider.name,
            model=self._provider.model_name,
            attempt=attempt,
            status=status,
            error=error,
            messages=convert_to_openai_messages(request.messages),
            tools=request.tools,
            settings={
                "output_mode": request.mode.output_mode,
                **({"temperature": temperature} if temperature is not None else {}),
                **({} if limit is None else {"max_tokens": limit}),
                **request.sampling,
            },
            answers=[_plain(message) for message in reply.messages],
            plans=[None if p is None else [(o.name, o.target) for o in p] for p in plans],
            prompt_tokens=reply.tokens[0],
            completion_tokens=reply.tokens[1],
            started_at=reply.started_at,
            latency_s=reply.latency_s,
            cost_usd=price.cost(*reply.tokens) if price and reply.messages else None,
        )

    def _send_one(self, request: Request) -> Reply:
        with self._places:
            unsent = self._await_turn()
            if unsent is not None:
                return Reply(request, unsent=unsent)
            reply = self._sent(self._reduced(request))
            # Before the place is free: the next request must know what this one has cost.
            if reply.messages:
                self._budget.add_answer(*reply.tokens, price=self._provider.price)
        return reply

    def _reduced(self, request: Request) -> Request:
        """The request without what the server refuses."""
        left_out = frozenset(self.left_out)
        messages, tools = request.messages, request.tools
        if "system" in left_out:
            messages = without_system(messages)
        if "response_format" in left_out and request.mode.output_mode == "json":
            tools = []
        return replace(request, messages=messages, tools=tools, left_out=left_out)

    def _sent_with(self, request: Request) -> set[Parameter]:
        """What a request was sent with, of all that can be left out."""
        output_mode = request.mode.output_mode
        sent: dict[Parameter, bool] = {
            "temperature": getattr(self._provider.model, "temperature", None) is not None,
            "system": any(isinstance(message, SystemMessage) for message in request.messages),
            "tool_choice": output_mode == "auto",
            "response_format": output_mode == "json",
        }
        return {name for name, is_sent in sent.items() if is_sent} - request.left_out

    def _await_turn(self) -> FailureName | None:
        """Wait until a request may go out, and claim it. Returns why it may not."""
        if self.held_s > LONGEST_PAUSE_S:
            return "rate_limited"
        self.closed.wait(self.held_s)
        while self._rate and self._may_ask() and not self._rate.acquire(blocking=False):
            self.closed.wait(_LOOK_S)
        if self.closed.is_set() or self._patience.is_over:
            return "timed_out"
        return None if self._budget.take_call() else "budget_spent"

    def _may_ask(self) -> bool:
        return not self.closed.is_set() and self._budget.limit_reached is None

    def _sent(self, request: Request) -> Reply:
        """Send a request now."""
        started_at, started = time.time(), time.perf_counter()
        try:
            reply = Reply(request, tuple(self._answers(request)[: request.wanted]))
        except UserError:  # of the task's own script: it is to be mended, not asked again
            raise
        except Exception as error:  # every provider's package raises its own
            self._not_before = max(self._not_before, time.monotonic() + (retry_after(error) or 0.0))
            complaint = in_one_line(error, self._provider.model)
            reply = Reply(request, error=error, complaint=complaint)
        return replace(reply, started_at=started_at, latency_s=time.perf_counter() - started)

    def _model_for(self, request: Request) -> BaseChatModel:
        """The provider's model, or a copy of it that shares its connections and sends less."""
        model = limited(self._provider, request.mode, self._settings)
        if "temperature" in request.left_out:
            return model.model_copy(update={"temperature": None})
        return model

    def _answers(self, request: Request) -> list[AIMessage]:
        """All answers to a request."""

        def ask() -> LLMResult:
            model, extra = _bind(self._model_for(request), request)
            with ending_in(self._settings.timeout_s):
                return model.generate([request.messages], **extra, **request.sampling)

        if self._provider.wait_always:
            result = ask()
        else:
            # The request's own deadline, at which its connection is closed, comes first.
            result = self._patience.within(self._settings.timeout_s + _GRACE_S, ask)
        found = [getattr(generation, "message", None) for generation in result.generations[0]]
        clean = value_redactor(held_secrets(self._provider.model))
        return [_without_secrets(m, clean) for m in found if isinstance(m, AIMessage)]


def _bind(model: BaseChatModel, request: Request) -> tuple[BaseChatModel, dict[str, Any]]:
    """The model to call and the keyword arguments for it.

    Raises NotImplementedError where the model takes no tools.
    """
    output_mode = request.mode.output_mode
    tools = deepcopy(request.tools)  # Google's package takes out of them what it does not know
    if output_mode == "logprobs":
        return model, dict(_LOGPROBS)
    if output_mode == "json":
        return model, {"response_format": tools[0]} if tools else {}
    if output_mode == "text":
        return model, {}
    choice: dict[str, Any] = {"tool_choice": "any" if output_mode == "required" else "auto"}
    if output_mode == "auto" and "tool_choice" in request.left_out:
        choice = {}
    binding = model.bind_tools(tools, **choice)
    if not isinstance(binding, RunnableBinding) or not isinstance(binding.bound, BaseChatModel):
        raise NotImplementedError(f"bind_tools of {type(model).__name__} returns no bound model")
    return binding.bound, dict(binding.kwargs)


def _without_secrets(message: AIMessage, clean: Callable[[Any], Any]) -> AIMessage:
    """The answer before anything is read out of it, quoted or kept: a server may repeat a key."""
    fields = message.model_dump()
    redacted = clean(fields)
    return message if redacted == fields else AIMessage.model_validate(redacted)


def _plain(message: AIMessage) -> dict[str, Any]:
    """An answer as JSON, all of it but the id that LangChain draws at random.

    One of absurd length keeps only the beginning of its words: a trace of such would fill a disk.
    """
    # No warnings: LangChain's types promise more than servers keep.
    text = json.dumps(message.model_dump(exclude={"id"}, warnings=False), default=str)
    if len(text) > _LONGEST_ANSWER:
        note = f" [... cut: {len(text):,} characters in all]"
        return {"type": message.type, "content": str(message.text)[:_LONGEST_QUOTE] + note}
    data: dict[str, Any] = json.loads(text)
    return data
