"""What several tests of plan cache share."""

from __future__ import annotations

from tutelage.agents.client.records import Exchange
from tutelage.agents.store.plan_cache import (
    CacheEntry,
    now,
)
from tutelage.rl.advice.advice import Advice
from tutelage.rl.tasks.options import Option

EXCHANGE = Exchange(
    provider="openai:m",
    model="m",
    error=None,
    messages=[{"role": "system", "content": "Hilf dem Schüler 🗝"}, {"role": "user", "content": ""}],
    tools=[{"type": "function", "function": {"name": "explore"}}],
    settings={"way": "required", "n": 5, "stop": None},
    answers=[{"content": "", "tool_calls": [{"name": "explore", "args": {}}], "logprob": -0.5}],
)


def entry(advice: Advice | None = None, *calls: Exchange) -> CacheEntry:
    advice = advice or Advice(((Option("go_to", "red key"), Option("explore")),), (0.8,))
    return CacheEntry(advice, calls or (EXCHANGE,), "openai:m", "m", now(), 100, 20)
