"""Two calls, or two runs, side by side: where prompt, answer and advice differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, Final

from tutelage.agents.client.call_record import CACHED, OK, CallRecord
from tutelage.graphs.analysis.trace_details import (
    content_of,
    mappings,
    situation_row,
    tool_calls_of,
)
from tutelage.graphs.records.trace.names import plan_line
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import PlanRows, SituationSummary

PARTS: Final = ("prompt", "answer", "advice")


@dataclass(frozen=True)
class Conversation:
    """A request about a situation with its answers and the advice, as lines of text.

    prompt: all messages. answer: each answer. advice: the plans, the likeliest first.
    """

    prompt: list[str]
    answer: list[str]
    advice: list[str]


def conversation_of(reader: TraceReader, id: str) -> tuple[SituationSummary, Conversation]:
    """A call's conversation, or the latest about a situation; with it the situation.

    Raises TraceError.
    """
    situation, call = reader.named(id)
    if call is not None:
        return situation, _of_calls(reader, [call], call.iteration)
    return situation, latest_conversation(reader, situation.situation_id)


def latest_conversation(reader: TraceReader, situation_id: int) -> Conversation:
    """The calls of the last iteration in which the teacher answered; else of the last of all."""
    calls = reader.calls(situation_id)
    answered = [call for call in calls if call.status in (OK, CACHED)] or calls
    last = answered[-1].iteration if answered else 0
    return _of_calls(reader, [call for call in answered if call.iteration == last], last)


def conversation(calls: Sequence[Any], plans: PlanRows) -> Conversation:
    """The conversation of calls, objects with messages and answers, and of the plans they gave."""
    prompt = [line for m in mappings(calls[-1].messages) for line in _message(m)] if calls else []
    answers = [answer for call in calls for answer in mappings(call.answers)]
    said = [line for n, a in enumerate(answers, 1) for line in (f"answer {n}:", *_message(a)[1:])]
    advice = [f"{plan['p']:.2f} {plan_line(plan['plan'])}" for plan in plans]
    return Conversation(prompt, said, advice)


def difference(a: Conversation, b: Conversation, names: tuple[str, str]) -> dict[str, list[str]]:
    """A unified diff of each part; empty where the two are the same. names: of the two sides."""
    return {
        part: list(unified_diff(getattr(a, part), getattr(b, part), *names, lineterm=""))
        for part in PARTS
    }


def compare_runs(a: TraceReader, b: TraceReader, names: tuple[str, str]) -> list[dict[str, Any]]:
    """The situations of two runs by their text: how each fared, and where its teachers differ.

    A situation that only one of them met has None on the other's side and no difference.
    """
    ours = {situation.text: situation for situation in a.situations()}
    theirs = {situation.text: situation for situation in b.situations()}
    rows = []
    for text in dict.fromkeys([*ours, *theirs]):
        mine, other = ours.get(text), theirs.get(text)
        row: dict[str, Any] = {"text": text, "a": _figures(mine), "b": _figures(other)}
        row["difference"] = None
        if mine is not None and other is not None:
            left = latest_conversation(a, mine.situation_id)
            right = latest_conversation(b, other.situation_id)
            row["difference"] = difference(left, right, names)
        rows.append(row)
    return rows


def rejection_of(situation: SituationSummary) -> dict[str, Any] | None:
    """What is said of rejected advice, as plain values; None where it was not rejected."""
    found: dict[str, Any] | None = situation_row(situation)["rejection"]
    return found


def _figures(situation: SituationSummary | None) -> dict[str, Any] | None:
    if situation is None:
        return None
    episodes = situation.episodes
    return {
        "id": situation.number,
        "visits": situation.visits,
        "agreement": situation.agreement,
        "success": situation.successes / episodes if episodes else None,
        "rejection": rejection_of(situation),
    }


def _of_calls(reader: TraceReader, calls: Sequence[CallRecord], iteration: int) -> Conversation:
    """The advice is the first that was settled on from that iteration on, else the last."""
    if not calls:
        return conversation([], [])
    given = reader.advice(calls[-1].situation_id)
    later = [advice for advice in given if advice.iteration >= iteration]
    chosen = later[:1] or given[-1:]
    return conversation(calls, chosen[0].plans if chosen else [])


def _message(message: Mapping[str, Any]) -> list[str]:
    """A message as lines: who speaks, what is said, which tools are called."""
    speaker = message.get("role", message.get("type", "?"))
    calls = [f"{name}({arguments})" for _, name, arguments in tool_calls_of(message)]
    return [f"{speaker}:", *content_of(message).splitlines(), *calls]
