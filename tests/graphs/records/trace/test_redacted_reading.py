"""A trace that holds a key, in any form and any field, is read without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from helpers.key_forms import FORMS, KEY, shows_key
from helpers.trace_rows import CALL
from tutelage.agents.client.call_record import CallRecord
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import (
    ADVICE_REJECTED,
    AdviceRecord,
    EventRecord,
    ExampleRecord,
)
from tutelage.graphs.records.trace.writer import TraceWriter

PLANS = [{"plan": [["go", None]], "p": 0.5}]
HALVES = [KEY[:14], KEY[14:]]
CLEAN: dict[str, Any] = {
    "text": "a room",
    "call": replace(CALL, iteration=1, situation_id=1),
    "advice": AdviceRecord(1, 9, 1, "model", PLANS),
    "example": ExampleRecord(1, 1, 0, "a map", None, {}),
    "event": EventRecord(1, 9, "planner", ADVICE_REJECTED, "it did harm", 1),
}
READ: dict[str, Callable[[TraceReader], Any]] = {
    "situations": lambda reader: [asdict(each) for each in reader.situations()],
    "named": lambda reader: asdict(reader.named("1")[0]),
    "names": TraceReader.names,
    "calls": lambda reader: [asdict(each) for each in reader.calls()],
    "each_call": lambda reader: [asdict(each) for each in reader.each_call()],
    "call": lambda reader: asdict(reader.call(1)),
    "news": lambda reader: [asdict(each) for each in reader.news(CallRecord, 0, 9)],
    "find_calls": lambda reader: reader.find_calls(failures_only=True),
    "call_counts": lambda reader: [asdict(each) for each in reader.call_counts()],
    "advice": lambda reader: [asdict(each) for each in reader.advice(1)],
    "examples": lambda reader: [asdict(each) for each in reader.examples(1)],
    "events": lambda reader: [asdict(each) for each in reader.events()],
    "sources": TraceReader.sources,
    "passed_over": TraceReader.passed_over,
}
"""Everything that a trace tells in texts."""


def changes(said: str) -> dict[str, Any]:
    """What CLEAN is with this in every field that may hold it, one at a time."""
    call, advice, example, event = (CLEAN[name] for name in ("call", "advice", "example", "event"))
    plan = [[said, said]]
    found = {"text": ("text", said)}
    for name in ("node", "provider", "model", "status", "error"):
        found[f"call.{name}"] = ("call", replace(call, **{name: said}))
    for name in ("messages", "tools", "answers"):
        found[f"call.{name}"] = (
            "call",
            replace(call, **{name: [{"content": ["x", {said: said}]}]}),
        )
    found["call.settings"] = ("call", replace(call, settings={said: said}))
    found["call.plans"] = ("call", replace(call, plans=[plan]))
    found["advice.source"] = ("advice", replace(advice, source=said))
    found["advice.plans"] = ("advice", replace(advice, plans=[{"plan": plan, "p": 0.5}]))
    found["advice.cache_key"] = ("advice", replace(advice, cache_key=said))
    for name in ("picture", "inks"):
        found[f"example.{name}"] = ("example", replace(example, **{name: said}))
    found["example.decision"] = ("example", replace(example, decision={said: [said]}))
    for name in ("node", "kind", "message"):
        found[f"event.{name}"] = ("event", replace(event, **{name: said}))
    return found


def write(path: Path, **changed: Any) -> Path:
    rows = {**CLEAN, **changed}
    with TraceWriter(path) as writer:
        writer.situations({1: rows["text"]})
        writer.calls([rows["call"]])
        writer.advice([rows["advice"]])
        writer.examples([rows["example"]])
        writer.events([rows["event"]])
        writer.commit()
    return path


def told(path: Path) -> dict[str, str]:
    """All that a reader tells, as text, by the reader's method."""
    with TraceReader(path) as reader:
        return {name: json.dumps(read(reader), default=str) for name, read in READ.items()}


@pytest.mark.parametrize("field", changes(""))
def test_no_field_is_told_with_a_key(
    field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, row = changes("; ".join(FORMS))[field]
    path = write(tmp_path / "trace.sqlite", **{table: row})
    assert any(map(shows_key, told(path).values()))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert [name for name, text in told(path).items() if shows_key(text)] == []
    assert any("[redacted]" in text for text in told(path).values())


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_key_is_told(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "trace.sqlite", call=replace(CLEAN["call"], messages=[{"a": form}]))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert not shows_key(told(path)["calls"])


def test_nor_one_that_two_texts_hold_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [{"role": "user", "content": f"{'where am I? ' * 400}{HALVES[0]}"}]
    messages.append({"role": "tool", "content": f"{HALVES[1]}{' there' * 400}"})
    path = write(tmp_path / "trace.sqlite", call=replace(CLEAN["call"], messages=messages))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for text in (told(path)["calls"], told(path)["each_call"]):
        assert not [half for half in HALVES if half in text]
        assert text.count("[redacted]") == 2


def test_what_holds_none_is_told_as_it_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "trace.sqlite")
    before = told(path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert told(path) == before


def test_what_is_looked_for_is_what_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sources that are the same to people are counted together."""
    path = write(tmp_path / "trace.sqlite", advice=replace(CLEAN["advice"], source=f"a {KEY}"))
    with TraceWriter(path) as writer:
        writer.advice([replace(CLEAN["advice"], source=f"a {KEY.upper()}")])
        writer.commit()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with TraceReader(path) as reader:
        assert reader.sources() == {"a [redacted]": 2}
