"""A teacher's counters, and its events for the trace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter

from tutelage.agents.client.errors import FailureName

NO_MORE: Final = "no_more_advice"
FAULT: Final = "provider_fault"
RESTS: Final = "provider_rests"
"""Kinds of events that are not about one situation: the budget is spent; a provider has a fault; a
provider is not asked for a while, or answers again."""


@dataclass
class Counters:
    """Totals of a teacher's requests and answers.

    calls: requests; an answer from the cache counts none, and no tokens. situations: those that
    were asked about. answers: those of them on which the teacher gave advice. failures: how often
    asking the teacher about a situation failed, by the failure's name. fallbacks: situations on
    which a fallback has given advice. usd: the cost of all answers of known cost; unpriced: the
    number of the others. A second model's requests count, the script's do not.
    """

    calls: int = 0
    situations: int = 0
    answers: int = 0
    cache_hits: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failures: dict[FailureName, int] = field(default_factory=dict)
    fallbacks: int = 0
    usd: float = 0.0
    unpriced: int = 0


COUNTERS: Final = TypeAdapter(Counters)


@dataclass(frozen=True)
class TeacherEvent:
    """Something that happened once. situation_id: the situation it is about, if it is about one."""

    kind: str
    message: str
    situation_id: int | None = None
