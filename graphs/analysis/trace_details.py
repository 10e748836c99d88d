"""All that a trace knows of one situation or one call, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from tutelage.graphs.records.trace.names import read_id
from tutelage.graphs.records.trace.reader import TraceReader


def details_of(reader: TraceReader, id: str) -> dict[str, Any]:
    """All that the trace holds about a situation, or about one call and its situation.

    Raises TraceError for an id that is none.
    """
    number, call_number = read_id(id)
    if call_number is not None:
        call = reader.call(call_number)
        situation, calls = reader.situation_of(call.situation_id), [call]
    else:
        situation = reader.situation(number or 0)
        calls = reader.calls(situation.situation_id)
    situation_id = situation.situation_id
    values = asdict(situation)
    return {
        "id": values.pop("number"),
        **values,
        "sources": dict(situation.sources),
        "examples": [asdict(example) for example in reader.examples(situation_id)],
        "calls_made": [asdict(call) for call in calls],
        "advice_given": [asdict(advice) for advice in reader.advice(situation_id)],
        "events": [asdict(event) for event in reader.events(situation_id)],
        "history": [asdict(visit) for visit in reader.visits(situation_id)],
    }


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """The mappings of a list: a trace may hold what no provider of ours has written."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def mean_over_visits(rows: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """The mean of a figure, each row weighted by its `visits`; None where no row has the figure."""
    counted = [row for row in rows if row[name] is not None]
    visits = sum(row["visits"] for row in counted)
    return sum(row[name] * row["visits"] for row in counted) / visits if visits else None
