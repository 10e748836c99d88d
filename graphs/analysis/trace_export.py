"""A trace as OpenTelemetry has it: one span for each request, a JSON line each.

The lines are OTLP's JSON file format (opentelemetry.io/docs/specs/otel/protocol/file-exporter), so
a collector's `otlpjsonfile` receiver takes them in. Attributes follow the semantic conventions for
generative AI of semantic-conventions 1.41.0, the last release before they moved to a repository
of their own (docs/gen-ai/gen-ai-spans.md there); what they have no name for is `tutelage.*`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tutelage.agents.client.call_record import CACHED, OK, CallRecord
from tutelage.graphs.analysis.trace_details import (
    content_of,
    finish_reason_of,
    mappings,
    reasoning_of,
)
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import SituationSummary

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.0"

_CLIENT: Final = 3
_ERROR: Final = 2
_FINISH: Final = {"tool_calls": "tool_call", "function_call": "tool_call"}
"""Finish reasons as the conventions name them; the others are named alike."""


def spans(reader: TraceReader, run: Path) -> Iterator[str]:
    """A line for each request of a trace, in order; those that the cache replayed too."""
    situations = {situation.situation_id: situation for situation in reader.situations()}
    for call in reader.each_call():
        own = _about(situations.get(call.situation_id))
        yield json.dumps(_traces_data(call, run, own))


def _about(situation: SituationSummary | None) -> dict[str, Any]:
    """What the run knows of a situation; where its advice was rejected, why."""
    if situation is None:
        return {}
    told = {"tutelage.situation.id": situation.number, "tutelage.situation.text": situation.text}
    rejection = situation.rejection
    told["tutelage.advice.rejected"] = rejection is not None
    if rejection is not None:
        told["tutelage.advice.rejected.iteration"] = rejection.iteration
        told["tutelage.advice.rejected.message"] = rejection.message
    for name in ("with_advice", "without_advice"):
        outcomes = getattr(rejection, name, None)
        if outcomes is not None:
            told[f"tutelage.advice.rejected.{name}.successes"] = outcomes.successes
            told[f"tutelage.advice.rejected.{name}.episodes"] = outcomes.episodes
    return told


def _traces_data(call: CallRecord, run: Path, own: Mapping[str, Any]) -> dict[str, Any]:
    resource = {"service.name": "tutelage", "tutelage.run": str(run)}
    scope = {"scope": {"name": "tutelage"}, "spans": [_span(call, run, own)]}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _key_values(resource)},
                "scopeSpans": [{**scope, "schemaUrl": SCHEMA_URL}],
                "schemaUrl": SCHEMA_URL,
            }
        ]
    }


def _span(call: CallRecord, run: Path, own: Mapping[str, Any]) -> dict[str, Any]:
    """All requests about a situation in one iteration share a trace."""
    ask = f"{run.resolve()}:{call.iteration}:{call.situation_id}"
    end_s = call.started_at + call.latency_s
    failed = call.status not in (OK, CACHED)
    return {
        "traceId": hashlib.sha256(ask.encode()).hexdigest()[:32],
        "spanId": hashlib.sha256(f"{ask}:{call.id}".encode()).hexdigest()[:16],
        "name": f"chat {call.model}",
        "kind": _CLIENT,
        "startTimeUnixNano": str(round(call.started_at * 1e9)),
        "endTimeUnixNano": str(round(end_s * 1e9)),
        "attributes": _key_values({**_attributes(call), **own}),
        "status": {"code": _ERROR, "message": call.error or call.status} if failed else {},
    }


def _attributes(call: CallRecord) -> dict[str, Any]:
    settings = call.settings if isinstance(call.settings, Mapping) else {}
    answers = mappings(call.answers)
    messages = mappings(call.messages)
    system = [message for message in messages if message.get("role") == "system"]
    metadata = [_mapping(answer.get("response_metadata")) for answer in answers]
    first = metadata[0] if metadata else {}
    choices = settings.get("n", 1)
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.provider.partition(":")[0],
        "gen_ai.request.model": call.model,
        "gen_ai.request.temperature": settings.get("temperature"),
        "gen_ai.request.seed": settings.get("seed"),
        "gen_ai.request.choice.count": None if choices == 1 else choices,
        "gen_ai.output.type": "json" if settings.get("output_mode") == "json" else None,
        "gen_ai.response.id": first.get("id"),
        "gen_ai.response.model": first.get("model_name"),
        "gen_ai.response.finish_reasons": [_finish(answer) for answer in answers] or None,
        "gen_ai.usage.input_tokens": call.prompt_tokens,
        "gen_ai.usage.output_tokens": call.completion_tokens,
        "gen_ai.system_instructions": _json([part for m in system for part in _parts(m)]),
        "gen_ai.input.messages": _json([_input(m) for m in messages if m not in system]),
        "gen_ai.output.messages": _json([_output(answer) for answer in answers]),
        "gen_ai.tool.definitions": _json([_definition(tool) for tool in mappings(call.tools)]),
        "error.type": None if call.status in (OK, CACHED) else call.status,
        "tutelage.call.id": call.id,
        "tutelage.iteration": call.iteration,
        "tutelage.env_steps": call.env_steps,
        "tutelage.node": call.node,
        "tutelage.situation.key": call.situation_id,
        "tutelage.attempt": call.attempt,
        "tutelage.status": call.status,
        "tutelage.cost_usd": call.cost_usd,
        "tutelage.plans": _json(call.plans),
    }


def _input(message: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": str(message.get("role", "user")), "parts": _parts(message)}


def _output(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "parts": _parts(answer), "finish_reason": _finish(answer)}


def _finish(answer: Mapping[str, Any]) -> str:
    given = finish_reason_of(answer) or ("tool_calls" if answer.get("tool_calls") else "stop")
    return _FINISH.get(given, given)


def _parts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a message holds: reasoning, text, tool calls, or what a tool gave back."""
    if message.get("role") == "tool":
        id = str(message.get("tool_call_id", ""))
        return [{"type": "tool_call_response", "id": id, "response": message.get("content")}]
    parts: list[dict[str, Any]] = []
    if thoughts := reasoning_of(message):
        parts.append({"type": "reasoning", "content": thoughts})
    if text := content_of(message):
        parts.append({"type": "text", "content": text})
    for call in mappings(message.get("tool_calls")):
        function = _mapping(call.get("function")) or call
        arguments = function.get("args", function.get("arguments"))
        name = str(function.get("name", ""))
        id = str(call.get("id", ""))
        parts.append({"type": "tool_call", "id": id, "name": name, "arguments": arguments})
    return parts


def _definition(tool: Mapping[str, Any]) -> dict[str, Any]:
    inner = _mapping(tool.get("function")) or _mapping(tool.get("json_schema")) or tool
    return {
        "type": "function",
        "name": str(inner.get("name", "")),
        "description": str(inner.get("description", "")),
        "parameters": inner.get("parameters", inner.get("schema")),
    }


def _json(value: Any) -> str | None:
    """Structured attributes as a JSON string, which most backends can hold; None for nothing."""
    return json.dumps(value, ensure_ascii=False) if value else None


def _key_values(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """OTLP's attributes; those that are None are left out."""
    return [
        {"key": key, "value": _any_value(value)}
        for key, value in attributes.items()
        if value is not None
    ]


def _any_value(value: Any) -> dict[str, Any]:
    """OTLP's AnyValue; integers are texts there, for JSON's numbers end at 2**53."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_any_value(item) for item in value]}}
    return {"stringValue": str(value)}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
