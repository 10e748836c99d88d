"""Statistics of a trace: calls, cost, failures, latency, and agreement over time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from tutelage.agents.client.call_record import CACHED, NOBODY, OK, STOOD_IN
from tutelage.graphs.analysis.trace_details import mean_over_visits, situation_row
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import (
    ADVICE_REJECTED,
    TEACHER_REJECTED,
    IterationTotals,
    SituationSummary,
    VisitRecord,
    teacher_verdict,
)

_NOT_IN_VAIN: Final = (STOOD_IN, NOBODY, ADVICE_REJECTED)
"""Kinds of events about a situation that do not tell of a question which nobody answered."""

STRETCHES: Final = 12
"""Into how many parts of equal length a run is divided."""
SITUATIONS: Final = 10
"""How many situations are listed, the most visited."""
PERCENTILES: Final = (50, 90, 95, 99)

Totals = TypeVar("Totals", VisitRecord, IterationTotals)


def statistics(reader: TraceReader) -> dict[str, Any]:
    """All figures as plain values.

    cost_usd: of the calls whose cost is known, None where none is; unpriced_calls: how many others
    were answered, which it leaves out. given_up: situations that were left without an answer;
    rejected: those whose advice is not followed any more; teacher_rejected: why none is, None
    where the teacher was not rejected.
    """
    counts = reader.call_counts()
    made = [each for each in counts if each.status != CACHED]
    by_status: Counter[str] = Counter()
    by_node: Counter[str] = Counter()
    by_teacher: Counter[str] = Counter()
    for each in counts:
        by_status[each.status] += each.calls
        by_node[each.node] += each.calls
        by_teacher[each.provider] += each.calls
    sources = reader.sources()
    events = reader.events()
    about = (event for event in events if event.situation_id is not None)
    given_up = Counter(event.kind for event in about if event.kind not in _NOT_IN_VAIN)
    verdict = teacher_verdict(events)
    situations = reader.situations()
    costs = [each.cost_usd for each in made if each.cost_usd is not None]
    unpriced = sum(each.unpriced for each in made)
    failures = {name: n for name, n in by_status.items() if name not in (OK, CACHED)}
    return {
        "calls": sum(each.calls for each in made),
        "failed": sum(failures.values()),
        "replayed_calls": by_status[CACHED],
        "nodes": dict(by_node),
        "teachers": dict(by_teacher),
        "failures": failures,
        "given_up": dict(given_up),
        "advised": sum(situation.plans is not None for situation in situations),
        "rejected": [_rejected(s) for s in situations if s.rejection is not None],
        "teacher_rejected": verdict.message
        if verdict is not None and verdict.kind == TEACHER_REJECTED
        else None,
        "prompt_tokens": sum(each.prompt_tokens for each in made),
        "completion_tokens": sum(each.completion_tokens for each in made),
        "cost_usd": sum(costs) if costs or not unpriced else None,
        "unpriced_calls": unpriced,
        "sources": sources,
        "cache_hits": sources.get("cache", 0),
        "fallbacks": sum(n for name, n in sources.items() if name.startswith("fallback")),
        "latency_s": percentiles(reader.latencies()),
        "over_time": _over_time(reader.iterations()),
        "situations": _situations(reader, situations[:SITUATIONS]),
    }


def _rejected(situation: SituationSummary) -> dict[str, Any]:
    row = situation_row(situation)
    return {name: row[name] for name in ("id", "text", "plans", "visits", "rejection")}


def percentiles(values: Sequence[float]) -> dict[str, float] | None:
    """Of sorted values, the smallest that so many percent do not exceed; None for no values."""
    if not values:
        return None
    found = {f"p{p}": values[math.ceil(p / 100 * len(values)) - 1] for p in PERCENTILES}
    return {**found, "max": values[-1]}


def _over_time(totals: Sequence[IterationTotals]) -> list[dict[str, Any]]:
    if not totals:
        return []
    bounds = _bounds(totals[0].iteration, totals[-1].iteration)
    return [
        {
            "first": first,
            "last": last,
            "visits": sum(each.visits for each in part),
            "coverage": mean_over_visits(map(vars, part), "coverage"),
            "agreement": mean_over_visits(map(vars, part), "agreement"),
        }
        for first, last in bounds
        if (part := _within(totals, first, last))
    ]


def _situations(
    reader: TraceReader, most_visited: Sequence[SituationSummary]
) -> list[dict[str, Any]]:
    """Situations with their agreement in each stretch of the run."""
    totals = reader.iterations()
    bounds = _bounds(totals[0].iteration, totals[-1].iteration) if totals else []
    rows = []
    for situation in most_visited:
        visits = reader.visits(situation.situation_id)
        parts = [_within(visits, *bound) for bound in bounds]
        agreement = [mean_over_visits(map(vars, part), "agreement") for part in parts]
        known = [share for share in agreement if share is not None]
        rows.append(
            {
                "id": situation.number,
                "text": situation.text,
                "visits": situation.visits,
                "agreement": agreement,
                "first_agreement": known[0] if known else None,
                "last_agreement": known[-1] if known else None,
                "success": situation.successes / situation.episodes if situation.episodes else None,
                "rejected": situation.rejection is not None,
            }
        )
    return rows


def _bounds(first: int, last: int) -> list[tuple[int, int]]:
    """The first and the last iteration of each stretch."""
    size = -(-(last - first + 1) // STRETCHES)
    return [(start, min(start + size - 1, last)) for start in range(first, last + 1, size)]


def _within(totals: Sequence[Totals], first: int, last: int) -> list[Totals]:
    return [each for each in totals if first <= each.iteration <= last]
