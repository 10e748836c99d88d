"""What comes back from asking: one record for each request, one answer for each situation."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from tutelage.agents.client.call_record import CACHED, CallRecord
from tutelage.rl.advice.advice import Advice

PlanSteps = list[tuple[str, str | None]]
"""A plan as JSON has it: the name and the target of each option."""

if TYPE_CHECKING:  # with them comes a chat model's whole package, which reading a cache can spare
    from tutelage.agents.client.errors import FailureName
    from tutelage.agents.client.request_modes import Way


@dataclass(frozen=True)
class Exchange:
    """What went into a request and what came out: the part of a call that the plan cache keeps.

    provider, model: who answered. error: why it failed, or what is wrong with one of its answers.
    tools: their schemas, or that of the answer. settings: way of asking and sampling arguments.
    answers: chat messages, one for each sample. plans: what was read out of each, a list of
    [option, target] steps, or None where it holds no plan; empty where nobody noted it.
    """

    provider: str
    model: str
    error: str | None
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    settings: dict[str, Any]
    answers: list[dict[str, Any]]
    plans: list[PlanSteps | None] = field(default_factory=list, kw_only=True)


@dataclass(frozen=True)
class Call(Exchange):
    """One request to a provider.

    A trace's `CallRecord` without what only the graph knows: node, iteration, steps.
    status: `ok` (it brought at least one plan), `cached` or a failure's name. Tokens are None
    where the provider counted none. cost_usd: None where it is not known.
    """

    situation_id: int
    attempt: int
    status: str
    prompt_tokens: int | None
    completion_tokens: int | None
    started_at: float
    latency_s: float
    cost_usd: float | None = None

    @property
    def is_unpriced(self) -> bool:
        """Whether an answer came whose cost nobody knows."""
        return bool(self.answers) and self.status != CACHED and self.cost_usd is None

    @classmethod
    def from_cache(cls, exchange: Exchange, situation_id: int) -> Call:
        """A stored exchange as the run that finds it records it: no request, no tokens, no time."""
        return cls(
            **vars(exchange),
            situation_id=situation_id,
            attempt=1,
            status=CACHED,
            prompt_tokens=None,
            completion_tokens=None,
            started_at=time.time(),
            latency_s=0.0,
        )

    def exchange(self) -> Exchange:
        """What is worth keeping for later runs."""
        return Exchange(**{each.name: getattr(self, each.name) for each in fields(Exchange)})

    def record(self, iteration: int, env_steps: int, node: str) -> CallRecord:
        """The trace's record of this request. node: the graph's node that it was made for."""
        return CallRecord(iteration=iteration, env_steps=env_steps, node=node, **vars(self))


@dataclass(frozen=True)
class PlannerAnswer:
    """What asking about one situation brought.

    source: `model`, `cache`, or `fallback:<which>` where another stood in for the model. advice:
    None where no plan came back. failure: why, or why samples are missing; an answer with both
    serves as it is but is not stored in the cache. Neither: nothing was on offer, so nothing was
    asked. calls: the requests; from the cache, those that brought the plans at the time. way: how
    the model was asked when it answered. key: the plan cache's, for what it may keep.
    """

    situation_id: int
    source: str
    advice: Advice | None
    calls: tuple[Call, ...]
    failure: FailureName | None
    way: Way
    key: str | None = None
