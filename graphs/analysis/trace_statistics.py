"""Statistics of a trace: calls, cost, failures, latency, and agreement over time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from tutelage.agents.client.call_record import CACHED, NOBODY, OK, STOOD_IN
from tutelage.graphs.analysis.trace_details import mean_over_visits
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import IterationTotals, VisitRecord

SETTLED: Final = (STOOD_IN, NOBODY)

STRETCHES: Final = 12
"""Into how many parts of equal length a run is divided."""
SITUATIONS: Final = 10
"""How many situations are listed, the most visited."""
PERCENTILES: Final = (50, 90, 95, 99)

Totals = TypeVar("Totals", VisitRecord, IterationTotals)


def statistics(reader: TraceReader) -> dict[str, Any]:
    """All figures as plain values. Cost: of the calls whose price is known, the others counted."""
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
    in_vain = (e for e in reader.events() if e.situation_id is not None and e.kind not in SETTLED)
    given_up = Counter(event.kind for event in in_vain)
    failures = {name: n for name, n in by_status.items() if name not in (OK, CACHED)}
    return {
        "calls": sum(each.calls for each in made),
        "failed": sum(failures.values()),
        "replayed_calls": by_status[CACHED],
        "nodes": dict(by_node),
        "teachers": dict(by_teacher),
        "failures": failures,
        "given_up": dict(given_up),
        "prompt_tokens": sum(each.prompt_tokens for each in made),
        "completion_tokens": sum(each.completion_tokens for each in made),
        "cost_usd": sum(each.cost_usd for each in made),
        "unpriced_calls": sum(each.unpriced for each in made),
        "sources": sources,
        "cache_hits": sources.get("cache", 0),
        "fallbacks": sum(n for name, n in sources.items() if name.startswith("fallback")),
        "latency_s": percentiles(reader.latencies()),
        "over_time": _over_time(reader.iterations()),
        "situations": _situations(reader),
    }


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


def _situations(reader: TraceReader) -> list[dict[str, Any]]:
    """The most visited situations, with their agreement in each stretch of the run."""
    totals = reader.iterations()
    bounds = _bounds(totals[0].iteration, totals[-1].iteration) if totals else []
    rows = []
    for situation in reader.situations()[:SITUATIONS]:
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
            }
        )
    return rows


def _bounds(first: int, last: int) -> list[tuple[int, int]]:
    """The first and the last iteration of each stretch."""
    size = -(-(last - first + 1) // STRETCHES)
    return [(start, min(start + size - 1, last)) for start in range(first, last + 1, size)]


def _within(totals: Sequence[Totals], first: int, last: int) -> list[Totals]:
    return [each for each in totals if first <= each.iteration <= last]
