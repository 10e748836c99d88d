"""Entries for plan caches, and what a replayed call keeps of the call that it repeats."""

from __future__ import annotations

from typing import Any

from tutelage.agents.client.call_record import Exchange
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
    settings={"output_mode": "required", "n": 5, "stop": None},
    answers=[{"content": "", "tool_calls": [{"name": "explore", "args": {}}], "logprob": -0.5}],
)


def entry(advice: Advice | None = None, *calls: Exchange) -> CacheEntry:
    advice = advice or Advice(((Option("go_to", "red key"), Option("explore")),), (0.8,))
    return CacheEntry(advice, calls or (EXCHANGE,), "openai:m", "m", now(), 100, 20)


def conversation(call: Exchange) -> dict[str, Any]:
    """What a cached call has in common with the call that it repeats."""
    own = ("status", "prompt_tokens", "completion_tokens", "started_at", "latency_s", "cost_usd")
    return {name: value for name, value in vars(call).items() if name not in own}
