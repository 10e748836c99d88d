"""A teacher's counters, and its events for the trace."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Final

from pydantic import TypeAdapter

from tutelage.agents.client.errors import FailureName
from tutelage.agents.client.spending import Count, Dollars, Spending

NO_MORE: Final = "no_more_advice"
FAULT: Final = "provider_fault"
RESTS: Final = "provider_rests"
LEFT_OUT: Final = "left_out"
"""Kinds of events that are not about one situation: the budget is spent; a provider has a fault; a
provider is not asked for a while, or answers again; what it refuses is not sent to it any more."""


@dataclass
class Counters:
    """Totals of a teacher's requests and answers.

    calls: requests; an answer from the cache counts none, and no tokens. situations: those that
    were asked about. answers: those of them on which the teacher gave advice. failures: how often
    asking the teacher about a situation failed, by the failure's name. fallbacks: situations on
    which a fallback has given advice. usd: the cost of all answers of known cost; unpriced: the
    number of the others. A second model's requests count, the script's do not.

    What a run has spent (`agents.client.spending.Spending`) counts in all of its processes, those
    that were killed included; the others go on from the last checkpoint.
    """

    calls: Count = 0
    situations: int = 0
    answers: int = 0
    cache_hits: Count = 0
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    failures: dict[FailureName, int] = field(default_factory=dict)
    fallbacks: int = 0
    usd: Dollars = 0.0
    unpriced: Count = 0

    @property
    def spent(self) -> Spending:
        """The figures that are of the spending."""
        return Spending(**{name: getattr(self, name) for name in _SPENT})

    def take_over(self, spent: Spending) -> None:
        """Replace the figures that are of the spending."""
        for name in _SPENT:
            setattr(self, name, getattr(spent, name))


_SPENT: Final = tuple(field.name for field in fields(Spending))

COUNTERS: Final = TypeAdapter(Counters)


@dataclass(frozen=True)
class TeacherEvent:
    """Something that happened once. situation_id: the situation it is about, if it is about one."""

    kind: str
    message: str
    situation_id: int | None = None
