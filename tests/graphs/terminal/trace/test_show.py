"""`trace show`: what is folded, why a model stopped, what it thought, what it said again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers.commands import say, tell
from helpers.openai_server import OpenAIServer, completion, tool_message
from helpers.trace_rows import CALL
from tutelage.agents.client.call_record import CallRecord
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.exam.exam import items
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.make import make_chat_model
from tutelage.graphs.analysis.trace_details import content_of, finish_reason_of, reasoning_of
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.schema import TraceError
from tutelage.graphs.records.trace.writer import TraceWriter
from tutelage.graphs.terminal.app import app
from tutelage.prompts.library import PromptLibrary
from tutelage.rl.tasks.registry import make_task

SYSTEM = "Rules come first. " + "One more rule is this.\n" * 60 + "The last rule."
EXPLORE: list[tuple[str, str | None]] = [("explore", None)]
OPEN: list[tuple[str, str | None]] = [("open", "red door")]


def answer(name: str, number: int = 0, **more: Any) -> dict[str, Any]:
    """An answer as a provider's package keeps it, with an id of its own."""
    call = {"name": name, "args": {}, "id": f"call_{number}", "type": "tool_call"}
    return {"content": "", "tool_calls": [call], **more}


def made(tmp_path: Path, *calls: CallRecord) -> Path:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config({})
    with TraceWriter(folder.trace) as writer:
        writer.situations({1: "a room"})
        writer.calls(calls)
        writer.commit()
    return folder.path


def asked(**changes: Any) -> CallRecord:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "where?"}]
    values = {"messages": messages, "answers": [answer("explore")], "plans": [EXPLORE]}
    return replace(CALL, situation_id=1, **{**values, **changes})


def test_a_long_system_prompt_is_folded_and_says_how_to_see_it(tmp_path: Path) -> None:
    run = made(tmp_path, asked())
    shown = say("trace", "show", run, "1")
    assert f"{len(SYSTEM):,} characters in 61 lines; --full shows them" in shown
    assert "Rules come first." in shown
    assert "The last rule." not in shown
    assert "where?" in shown, "the question itself is not folded"
    whole = say("trace", "show", run, "1", "--full")
    assert "The last rule." in whole
    assert "--full shows" not in whole
    assert "Rules come first." not in say("trace", "show", run, "1", "--brief")
    assert tell("trace", "show", run, "1")["calls_made"][0]["messages"][0]["content"] == SYSTEM


def test_a_short_system_prompt_is_not_folded(tmp_path: Path) -> None:
    run = made(tmp_path, asked(messages=[{"role": "system", "content": "Be brief."}]))
    shown = say("trace", "show", run, "1")
    assert "Be brief." in shown
    assert "--full" not in shown


def test_leaving_out_and_showing_all_exclude_each_other(tmp_path: Path) -> None:
    run = made(tmp_path, asked())
    done = CliRunner().invoke(app, ["trace", "show", str(run), "1", "--brief", "--full"])
    assert isinstance(done.exception, TraceError)
    assert "give one of them" in str(done.exception)


def test_why_it_stopped_and_what_it_thought_are_shown(tmp_path: Path) -> None:
    thoughts = "The door is locked. " * 40 + "So I explore."
    said = answer(
        "explore",
        response_metadata={"finish_reason": "length"},
        additional_kwargs={"reasoning_content": thoughts},
    )
    run = made(tmp_path, asked(answers=[said]))
    shown = say("trace", "show", run, "c1")
    assert "finish reason: length" in shown
    assert "reasoning" in shown
    assert "The door is locked." in shown
    assert f"{len(thoughts):,} characters in a line; --full shows them" in shown
    assert "So I explore." not in shown
    assert "So I explore." in say("trace", "show", run, "c1", "--full")
    (call,) = tell("trace", "show", run, "c1")["calls_made"]
    assert call["finish_reasons"] == ["length"]
    assert call["reasoning"] == [thoughts]


def test_what_a_server_sends_of_both_is_in_the_trace(tmp_path: Path) -> None:
    """As vLLM and llama.cpp send them, by way of the network."""
    explores = tool_message(("explore", {}))
    explores["reasoning_content"] = "Nothing is in sight."
    with OpenAIServer(lambda body: completion([explores] * (body.get("n") or 1), body)) as server:
        settings = TeacherSettings(samples=2)
        model = make_chat_model("openai:m", server.base_url, settings)
        task = make_task("SimpleDoorKey", 7)
        planner = Planner(task, PromptLibrary(), model, settings)
        asked_about = items()[0]
        answered = planner.ask(task.read(asked_about.text))
        planner.close()
    assert answered.advice is not None
    run = made(tmp_path, *(call.record(1, 64, "planner", 1) for call in answered.calls))
    shown = say("trace", "show", run, "1")
    assert "Nothing is in sight." in shown
    assert "finish reason: stop" in shown
    (call, *_) = tell("trace", "show", run, "1")["calls_made"]
    assert set(call["reasoning"]) == {"Nothing is in sight."}
    assert set(call["finish_reasons"]) == {"stop"}


def test_an_answer_that_tells_neither_shows_neither(tmp_path: Path) -> None:
    run = made(tmp_path, asked())
    shown = say("trace", "show", run, "c1")
    assert "finish reason" not in shown
    assert "reasoning" not in shown
    (call,) = tell("trace", "show", run, "c1")["calls_made"]
    assert (call["finish_reasons"], call["reasoning"]) == ([None], [None])


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ({"additional_kwargs": {"reasoning_content": "hm"}}, "hm"),
        ({"reasoning_content": "hm"}, "hm"),
        ({"content": [{"type": "thinking", "thinking": "hm", "signature": "x"}]}, "hm"),
        ({"content": [{"type": "reasoning", "reasoning": "hm"}]}, "hm"),
        ({"content": [{"type": "reasoning", "summary": [{"text": "a"}, {"text": "b"}]}]}, "a\nb"),
        ({"content": [{"type": "reasoning_content", "reasoning_content": {"text": "hm"}}]}, "hm"),
        ({"additional_kwargs": {"reasoning": {"summary": [{"text": "hm"}]}}}, "hm"),
        ({"additional_kwargs": "none", "content": "hm"}, ""),
        ({}, ""),
    ],
)
def test_thoughts_are_found_wherever_packages_keep_them(kept: dict[str, Any], words: str) -> None:
    assert reasoning_of(kept) == words


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        ({"response_metadata": {"finish_reason": "stop"}}, "stop"),
        ({"response_metadata": {"stop_reason": "tool_use"}}, "tool_use"),
        ({"response_metadata": {"done_reason": "length"}}, "length"),
        ({"response_metadata": {"finish_reason": None}}, None),
        ({"response_metadata": None}, None),
    ],
)
def test_the_finish_reason_is_found_wherever_packages_keep_it(
    kept: dict[str, Any], reason: str | None
) -> None:
    assert finish_reason_of(kept) == reason


def test_what_is_said_is_told_from_what_is_thought() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "I explore."},
        {"type": "tool_use", "name": "explore"},
    ]
    assert content_of({"content": blocks}) == "I explore."
    assert (
        content_of({"content": [{"type": "image", "url": "x"}]}) == '{"type": "image", "url": "x"}'
    )


def test_answers_that_are_the_same_are_told_once_and_counted(tmp_path: Path) -> None:
    """Ids are drawn for each call and mean nothing."""
    answers = [answer("explore", 1), answer("open", 2), answer("explore", 3)]
    run = made(tmp_path, asked(answers=answers, plans=[EXPLORE, OPEN, EXPLORE]))
    shown = say("trace", "show", run, "1", "--brief")
    assert "answers 1, 3: 2 of 3 the same" in shown
    assert "answer 2" in shown
    assert shown.count("explore({})") == 1
    assert "2 of 3 samples: explore()" in shown
    assert "1 of 3 samples: open(red door)" in shown


def test_askings_are_counted_apart_from_samples(tmp_path: Path) -> None:
    """A question of two requests is one asking; the same plan again is another."""
    calls = [
        asked(iteration=1, answers=[answer("explore")] * 2, plans=[EXPLORE, EXPLORE]),
        asked(iteration=1, answers=[answer("open")], plans=[OPEN]),
        asked(iteration=5, answers=[answer("explore"), {"content": "?"}], plans=[EXPLORE, None]),
    ]
    run = made(tmp_path, *calls)
    counts = tell("trace", "show", run, "1")["answer_counts"]
    figures = [tuple(count.values()) for count in counts]
    assert figures == [
        ([["explore", None]], 3, 5, 2, 2),
        ([["open", "red door"]], 1, 5, 1, 2),
        (None, 1, 5, 1, 2),
    ]
    shown = say("trace", "show", run, "1", "--brief")
    assert "asked 2 times" in shown
    assert "3 of 5 samples, in 2 of 2 askings: explore()" in shown
    assert "1 of 5 samples, in 1 of 2 askings: no plan" in shown
    (one,) = tell("trace", "show", run, "c2")["answer_counts"]
    assert (one["samples"], one["of_samples"], one["of_askings"]) == (1, 1, 1)
