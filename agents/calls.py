"""What comes back from asking: one record for each request, one answer for each situation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from agents.asking import Way
from agents.failures import FailureName
from rl.advice import Advice
from rl.trace import CallRecord

OK = "ok"
"""The status of a request that brought at least one plan."""


@dataclass(frozen=True)
class Call:
    """One request to a provider: all that went in and came out.

    A trace's `CallRecord` without what only the graph knows, the iteration and the steps done.
    status: `ok` or a failure's name. Tokens are None where the provider counted none.
    """

    signature: int
    provider: str
    model: str
    attempt: int
    status: str
    error: str | None
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    settings: dict[str, Any]
    answers: list[dict[str, Any]]
    prompt_tokens: int | None
    completion_tokens: int | None
    started_at: float
    latency_s: float

    def record(self, iteration: int, env_steps: int) -> CallRecord:
        """The trace's record of this request."""
        return CallRecord(iteration=iteration, env_steps=env_steps, **asdict(self))


@dataclass(frozen=True)
class PlannerAnswer:
    """What asking about one situation brought.

    advice: None where no plan came back. failure: why, or why samples are missing; an answer with
    both serves as it is but is not stored in the cache. Neither: nothing was on offer, so nothing
    was asked.
    source: `model`, or `fallback:<which>` where another stood in for it.
    way: how the model was asked when it answered.
    """

    signature: int
    source: str
    advice: Advice | None
    calls: tuple[Call, ...]
    failure: FailureName | None
    way: Way
