"""All that a trace knows of one situation or one call, as plain values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import SituationSummary


def details_of(reader: TraceReader, id: str) -> dict[str, Any]:
    """All that the trace holds about a situation, or about one call and its situation.

    Raises TraceError for an id that is none.
    """
    situation, call = reader.named(id)
    situation_id = situation.situation_id
    calls = reader.calls(situation_id) if call is None else [call]
    return {
        **situation_row(situation),
        "examples": [asdict(example) for example in reader.examples(situation_id)],
        "calls_made": [asdict(call) for call in calls],
        "advice_given": [asdict(advice) for advice in reader.advice(situation_id)],
        "events": [asdict(event) for event in reader.events(situation_id)],
        "history": [asdict(visit) for visit in reader.visits(situation_id)],
    }


def situation_row(situation: SituationSummary) -> dict[str, Any]:
    """A situation as plain values, under the id that people give to `trace show`."""
    values = asdict(situation)
    return {"id": values.pop("number"), **values}


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """The mappings of a list: a trace may hold what no provider of ours has written."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def content_of(message: Mapping[str, Any]) -> str:
    """What a chat message says, as text; empty where it only calls tools."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else json.dumps(content)


def tool_calls_of(message: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each tool call, in OpenAI's form or LangChain's."""
    found = []
    for call in mappings(message.get("tool_calls")):
        function = call.get("function", call)
        if isinstance(function, Mapping):
            given = function.get("args", function.get("arguments", {}))
            arguments = given if isinstance(given, str) else json.dumps(given)
            found.append((str(call.get("id", "")), str(function.get("name", "")), arguments))
    return found


def mean_over_visits(rows: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """The mean of a figure, each row weighted by its `visits`; None where no row has the figure."""
    counted = [row for row in rows if row[name] is not None]
    visits = sum(row["visits"] for row in counted)
    return sum(row[name] * row["visits"] for row in counted) / visits if visits else None
