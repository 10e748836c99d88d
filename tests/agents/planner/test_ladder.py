"""Each habit of a local server ends in good advice, by some rung of the ladder."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from helpers import habits
from helpers.openai_planners import GOOD_PLAN, planner_for, statuses
from helpers.openai_server import Behaviour, OpenAIServer, Request, plans, rejects, status
from tutelage.agents.client.errors import UnusableAnswer
from tutelage.agents.client.request_modes import RequestMode
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.planner.text_tool_calls import calls_in

K = 3


def ask_twice(
    behaviour: Behaviour, **values: Any
) -> tuple[PlannerAnswer, PlannerAnswer, list[Request]]:
    """Answers about two situations of one planner, and the requests about the second."""
    with OpenAIServer(behaviour) as server:
        planner = planner_for(server.base_url, samples=K, **values)
        first = planner.ask(1)
        before = len(server.requests)
        second = planner.ask(2)
        return first, second, server.requests[before:]


def assert_good(answer: PlannerAnswer, output_mode: str) -> None:
    assert (answer.output_mode, answer.failure) == (output_mode, None)
    assert answer.advice is not None
    assert (answer.advice.plans, answer.advice.probs) == ((GOOD_PLAN,), (pytest.approx(1.0),))


@pytest.mark.parametrize(
    ("behaviour", "output_mode", "most", "most_later"),
    [
        (habits.ollama_talks_first, "required", 2 * K, 2 * K),
        (habits.ollama_only_talks, "json", 2 + K, K),
        (habits.ollama_without_tools, "json", 2 + K, K),
        (habits.vllm_without_auto, "json", 3, 1),
        (habits.llama_without_jinja, "json", 2 + K, K),
        (habits.only_text, "text", 7 + K, K),
        (habits.without_usage(plans(*[habits.CALLS] * K)), "required", 1, 1),
        (plans(habits.CALLS), "required", K, K),
        (rejects("n", plans(habits.CALLS)), "required", 1 + K, K),
    ],
    ids=[
        "ollama talks first",
        "ollama only talks",
        "ollama without tools",
        "vllm without auto",
        "llama.cpp without jinja",
        "only text",
        "no usage",
        "n is ignored",
        "n is refused",
    ],
)
def test_a_servers_habits_end_in_good_advice(
    behaviour: Behaviour, output_mode: str, most: int, most_later: int
) -> None:
    first, second, later = ask_twice(behaviour)
    assert_good(first, output_mode)
    assert_good(second, output_mode)
    assert len(first.calls) <= most
    assert len(later) == len(second.calls) <= most_later, "what was found out is remembered"


@pytest.mark.parametrize(
    ("form", "output_modes"),
    [
        (lambda args: args, {"required", "json"}),
        (lambda args: json.dumps(json.dumps(args)), {"json"}),
        (lambda args: args["target"], {"json"}),
        (lambda _: None, {"json"}),
    ],
    ids=["a table", "text twice", "bare text", "nothing"],
)
def test_arguments_in_another_form_end_in_good_advice(form: Any, output_modes: set[str]) -> None:
    first, second, later = ask_twice(habits.arguments_as(form))
    assert first.output_mode == second.output_mode
    assert first.output_mode in output_modes
    assert_good(first, first.output_mode)
    assert_good(second, first.output_mode)
    assert len(first.calls) <= 4
    assert len(later) == 1


@pytest.mark.parametrize("form", habits.IN_CONTENT)
def test_calls_inside_the_content_are_calls(form: str) -> None:
    text = habits.IN_CONTENT[form]
    assert calls_in(text) == habits.CALLS
    first, second, _ = ask_twice(habits.choices(habits.asked_for, habits.says(text)))
    assert_good(first, "required")
    assert_good(second, "required")
    assert len(first.calls) == 1


def test_missing_usage_is_no_number_of_tokens() -> None:
    first, _, _ = ask_twice(habits.without_usage(plans(*[habits.CALLS] * K)))
    assert [(call.prompt_tokens, call.completion_tokens) for call in first.calls] == [(None, None)]
    assert first.calls[0].is_unpriced


def test_words_about_calls_are_no_calls() -> None:
    """Thoughts and examples are never an answer."""
    assert calls_in('<think>{"name": "explore", "arguments": {}}</think> Hm.') == []
    assert calls_in('<think>{"name": "explore", "arguments": {}}') == []
    assert calls_in('I could answer {"name": "explore", "arguments": {}} here.') == []
    assert calls_in("Use explore() first.") == []


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>explore()</tool_call>",
        '<tool_call>{"arguments": {}}</tool_call>',
        '{"name": 5}',
        '{"name": "explore", "arguments": "{"}',
        "[1, 2]",
        "[" * 5000,
        "<|python_tag|>explore.call()",
    ],
)
def test_broken_calls_inside_the_content_say_why(text: str) -> None:
    with pytest.raises(UnusableAnswer) as caught:
        calls_in(text)
    assert caught.value.shapeless
    assert str(caught.value).isprintable()


def test_samples_are_asked_for_at_once_with_a_bound() -> None:
    """Without `n`: after a first sample has shown that it works, the others go together."""
    lock, under_way, most = threading.Lock(), 0, 0

    def slow(body: dict[str, Any]) -> Any:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.05)
        with lock:
            under_way -= 1
        return plans(habits.CALLS)(body)

    with OpenAIServer(slow) as server:
        planner = planner_for(server.base_url, samples=9, concurrency=3)
        answer = planner.ask(1)
    assert_good(answer, "required")
    assert statuses(answer) == ["ok"] * 9
    assert most == 3
    seeds = {request.body["seed"] for request in server.requests}
    assert len(seeds) == 9


@pytest.mark.parametrize(
    ("complaint", "expected"),
    [
        ("Unsupported parameter: n", RequestMode("required", False, True)),
        ("'seed' is not supported with this model", RequestMode("required", True, False)),
        ("I don't know tools", RequestMode("auto", True, True)),
        ("no", RequestMode("required", False, True)),
    ],
)
def test_a_complaint_names_what_to_leave_out(complaint: str, expected: RequestMode) -> None:
    assert RequestMode("required", True, True).after_rejection(complaint) == expected


def test_the_ladder_ends() -> None:
    mode: RequestMode | None = RequestMode("logprobs", True, True)
    seen = []
    while mode is not None:
        seen.append(mode)
        mode = mode.after_rejection("no")
    assert [m.output_mode for m in seen][-3:] == ["auto", "json", "text"]
    assert len(seen) == len(set(seen)) == 7
    with OpenAIServer(status(400, "tool_choice and seed and n are wrong")) as server:
        answer = planner_for(server.base_url).ask(1)
    assert (answer.failure, answer.advice) == ("bad_request", None)
    assert len(server.requests) <= 7
