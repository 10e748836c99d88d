"""One request to a provider, as it is kept: what was sent and came back, and its place in a run."""

from __future__ import annotations

import time
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import Any, Final, Self

JsonObject = dict[str, Any]
JsonObjects = list[dict[str, Any]]

PlansRead = list[list[tuple[str, str | None]] | None]
"""For each answer a plan as JSON has it, the name and the target of each option; or None."""

OK: Final = "ok"
"""The status of a call that was answered."""

CACHED: Final = "cached"
"""The status of an earlier run's call whose answer the plan cache replayed: this run made no
request. Any status but these two names a failure."""

STOOD_IN: Final = "stood_in"

NOBODY: Final = "nobody_stood_in"
"""Kinds of events that tell how the fallback chain settled a situation which the teacher left open:
who was tried, with which result, in order."""


@dataclass(frozen=True)
class Exchange:
    """A request and its response; the plan cache and recordings keep it.

    provider, model: who answered. error: the failure in words, or what is wrong with some of the
    answers. messages: of the chat, in OpenAI's form. tools: their schemas, or that of the answer.
    settings: output mode and sampling arguments. answers: chat messages, one for each sample.
    plans: what was read out of each answer, a list of [option, target] steps, or None where it
    holds no plan; empty where it is not known. attempt: 1 for the first try. status: `ok` (it
    brought at least one plan), `cached` or a failure's name. Tokens are None where the provider
    counted none. started_at: seconds since the epoch. cost_usd: in US dollars, None where it is
    not known.

    What has a default may be missing in a recording that was written by hand.
    """

    provider: str
    model: str
    error: str | None
    messages: JsonObjects
    tools: JsonObjects
    settings: JsonObject
    answers: JsonObjects
    _: KW_ONLY
    plans: PlansRead = field(default_factory=list)
    attempt: int = 1
    status: str = OK
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    started_at: float = 0.0
    latency_s: float = 0.0
    cost_usd: float | None = None

    @property
    def is_unpriced(self) -> bool:
        """Whether an answer came whose cost is not known."""
        return bool(self.answers) and self.status != CACHED and self.cost_usd is None

    def replayed(self) -> Self:
        """The exchange in a run that finds it in a store: no request, no tokens, no time."""
        return replace(
            self,
            attempt=1,
            status=CACHED,
            prompt_tokens=None,
            completion_tokens=None,
            started_at=time.time(),
            latency_s=0.0,
            cost_usd=None,
        )

    def record(self, iteration: int, env_steps: int, node: str, situation_id: int) -> CallRecord:
        """The exchange with its place in a run."""
        return CallRecord(
            **vars(self),
            iteration=iteration,
            env_steps=env_steps,
            node=node,
            situation_id=situation_id,
        )


@dataclass(frozen=True, kw_only=True)
class CallRecord(Exchange):
    """An exchange with its place in a run; the trace keeps it.

    node: the graph's node that it was made for: `planner`, `cache` or `fallback`. A cached call is
    one by its conversation alone: it has no tokens, took no time, and started when the cache was
    read; so sums over all calls are what the run itself has spent. id: given by the trace; None
    before that.
    """

    iteration: int
    env_steps: int
    node: str
    situation_id: int
    id: int | None = None

    def exchange(self) -> Exchange:
        """The exchange without its place in the run."""
        return Exchange(**{each.name: getattr(self, each.name) for each in fields(Exchange)})
