"""One request to a provider, as it is kept: all that went in and all that came out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

Json = Any
"""Anything that `json.dumps` writes."""


OK: Final = "ok"
"""The status of a call that was answered."""


CACHED: Final = "cached"
"""The status of an earlier run's call whose answer the plan cache replayed: this run made no
request. Any status but these two names a failure."""


STOOD_IN: Final = "stood_in"


NOBODY: Final = "nobody_stood_in"
"""Kinds of events that tell how a situation was settled which the teacher left open: who was tried,
what came of each, in order."""


@dataclass(frozen=True)
class CallRecord:
    """One request to a provider: all that went in and all that came out.

    node: the graph's node that it was made for: `planner`, `cache` or `fallback`. attempt: 1 for
    the first try. status: `ok`, `cached` or a failure's name. error: the failure in words, or what
    is wrong with some of the answers. plans: what was read out of each answer, a list of [option,
    target] steps, or None where it holds no plan; empty where nobody noted it. started_at: seconds
    since the epoch. Token counts are None where the provider gave none. A cached call is one by the
    conversation alone: it has no tokens, took no time, and started when the cache was read; so sums
    over all calls are what the run itself has spent. cost_usd: in US dollars, None where it is not
    known. id: given by the trace; None before that.
    """

    iteration: int
    env_steps: int
    node: str
    situation_id: int
    provider: str
    model: str
    attempt: int
    status: str
    error: str | None
    messages: Json
    tools: Json
    settings: Json
    answers: Json
    plans: Json
    prompt_tokens: int | None
    completion_tokens: int | None
    started_at: float
    latency_s: float
    cost_usd: float | None = None
    id: int | None = None
