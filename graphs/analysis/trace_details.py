"""All that a trace knows of one situation or one call, as plain values."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from tutelage.agents.client.call_record import CallRecord
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import SituationSummary

_FINISH_REASONS: Final = ("finish_reason", "stop_reason", "done_reason")
"""Where providers' packages keep it: most of them, Anthropic's, Ollama's."""
_REASONING: Final = ("reasoning_content", "reasoning", "thinking")
"""Where they keep what a model thought: fields of an answer, or the types of a content's blocks."""


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
        "calls_made": [_call_values(call) for call in calls],
        "answer_counts": answer_counts(calls),
        "advice_given": [asdict(advice) for advice in reader.advice(situation_id)],
        "events": [asdict(event) for event in reader.events(situation_id)],
        "history": [asdict(visit) for visit in reader.visits(situation_id)],
    }


def situation_row(situation: SituationSummary) -> dict[str, Any]:
    """A situation as plain values, under the id that people give to `trace show`."""
    values = asdict(situation)
    return {"id": values.pop("number"), **values}


def _call_values(call: CallRecord) -> dict[str, Any]:
    """A call as plain values, with what each answer tells beside its words."""
    answers = mappings(call.answers)
    return {
        **asdict(call),
        "finish_reasons": [finish_reason_of(answer) for answer in answers],
        "reasoning": [reasoning_of(answer) or None for answer in answers],
    }


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """The mappings of a list: a trace may hold what no provider of ours has written."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def answer_counts(calls: Sequence[CallRecord]) -> list[dict[str, Any]]:
    """How often which plan was the answer, the most frequent first; plan None for no plan.

    samples, of_samples: answers with that plan, and all. askings, of_askings: how often the teacher
    was asked, a question of several requests counted once, and in how many of them that plan came.
    """
    plans: Counter[str] = Counter()
    askings: dict[str, set[tuple[int, str]]] = {}
    asked = set()
    for call in calls:
        for plan in call.plans if isinstance(call.plans, list) else []:
            asking, key = (call.iteration, call.node), json.dumps(plan)
            plans[key] += 1
            askings.setdefault(key, set()).add(asking)
            asked.add(asking)
    return [
        {
            "plan": json.loads(plan),
            "samples": samples,
            "of_samples": plans.total(),
            "askings": len(askings[plan]),
            "of_askings": len(asked),
        }
        for plan, samples in plans.most_common()
    ]


def content_of(message: Mapping[str, Any]) -> str:
    """What a chat message says, as text; empty where it only calls tools or thinks."""
    content = message.get("content") or ""
    if not isinstance(content, list):
        return content if isinstance(content, str) else json.dumps(content)
    return "\n".join(text for block in content for text in _said(block))


def _said(block: Any) -> Iterator[str]:
    """What a block of a message's content says; its tool calls and its reasoning stand apart."""
    if not isinstance(block, Mapping):
        yield str(block)
    elif block.get("type") == "text":
        yield str(block.get("text", ""))
    elif block.get("type") not in ("tool_use", "tool_call", *_REASONING):
        yield json.dumps(block)


def finish_reason_of(answer: Mapping[str, Any]) -> str | None:
    """Why the model stopped, in the provider's own word; None where it does not say."""
    metadata = answer.get("response_metadata")
    given = metadata if isinstance(metadata, Mapping) else {}
    found = (given.get(name, answer.get(name)) for name in _FINISH_REASONS)
    return next((str(reason) for reason in found if reason is not None), None)


def reasoning_of(answer: Mapping[str, Any]) -> str:
    """What a model thought before it answered, as text; empty where it tells none of it."""
    more = answer.get("additional_kwargs")
    kept = {**(more if isinstance(more, Mapping) else {}), **answer}
    blocks = [b for b in mappings(answer.get("content")) if b.get("type") in _REASONING]
    found = (kept.get(name) for name in _REASONING)
    return "\n".join(words for value in (*found, blocks) for words in _words(value))


def _words(value: Any) -> Iterator[str]:
    """The words of reasoning, whatever they are wrapped in."""
    if isinstance(value, str) and value.strip():
        yield value.strip()
    elif isinstance(value, Mapping):
        for name in (*_REASONING, "summary", "text"):
            yield from _words(value.get(name))
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)


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
