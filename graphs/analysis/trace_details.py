"""All that a trace knows of one situation or one call, as plain values."""

from __future__ import annotations

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
