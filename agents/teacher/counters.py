"""What a teacher has done so far, in figures and in what is worth telling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter

NO_MORE: Final = "no_more_advice"
FAULT: Final = "provider_fault"
RESTS: Final = "provider_rests"
"""Kinds of news, beside those about one situation (`graphs.records.trace.records`): the budget is
spent, a provider has a fault, it is left alone for a while or answers again."""


@dataclass
class Counters:
    """What the teacher has done so far.

    calls: requests; what the cache replays is none, and has no tokens. situations: those that were
    asked about. failures: how often asking the teacher about a situation failed, by the failure's
    name. fallbacks: situations that a stand-in settled. usd: what the answers have cost, but for
    those whose cost is not known; unpriced: their number. A second model's requests count, the
    script's do not.
    """

    calls: int = 0
    situations: int = 0
    cache_hits: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    fallbacks: int = 0
    usd: float = 0.0
    unpriced: int = 0


COUNTERS: Final = TypeAdapter(Counters)


@dataclass(frozen=True)
class News:
    """Something about the teacher that happened once. situation_id: the situation it is about."""

    kind: str
    message: str
    situation_id: int | None = None
