"""The planner against a real server on 127.0.0.1 that speaks OpenAI's protocol, well or badly."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from helpers.cache_entries import conversation
from helpers.openai_planners import GOOD_PLAN, Door, ask, planner_for, settings, statuses
from helpers.openai_server import (
    OpenAIServer,
    Reply,
    completion,
    hang,
    hang_up,
    keep_alive,
    plans,
    raw,
    rejects,
    status,
    talk,
    teach,
    tool_message,
)
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.make import make_chat_model
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.agents.teacher.teacher import Teacher
from tutelage.prompts.library import PromptLibrary
from tutelage.rl.tasks.options import Option

KEY = "sk-live-0123456789abcdefABCDEF"


GOOD = [("pick_up", {"target": "red key"}), ("open", {"target": "red door"})]


EXPLORE: list[tuple[str, Any]] = [("explore", {})]


IN_WORDS = json.dumps({"plan": [{"option": n, "target": a["target"]} for n, a in GOOD]})


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_a_server_that_knows_n_is_asked_once() -> None:
    answer, bodies = ask(plans(GOOD, EXPLORE, GOOD))
    assert answer.failure is None
    assert answer.advice is not None
    assert dict(zip(answer.advice.plans, answer.advice.probs, strict=True)) == pytest.approx(
        {GOOD_PLAN: 2 / 3, (Option("explore"),): 1 / 3}
    )
    (body,) = bodies
    assert body["n"] == 3
    assert body["tool_choice"] == "required"
    assert [tool["function"]["name"] for tool in body["tools"]] == ["explore", "pick_up", "open"]
    (call,) = answer.calls
    assert (call.prompt_tokens, call.completion_tokens) == (100, 30)
    assert call.model == "test-model"
    assert call.settings["n"] == 3


def test_the_default_server_teaches_as_the_offline_teacher_does() -> None:
    online, _ = ask(samples=20, temperature=2.0)
    chosen = settings(samples=20, temperature=2.0)
    offline = make_chat_model("offline", None, chosen, Door())
    assert online.advice == Planner(Door(), PromptLibrary(None), offline, chosen).ask(1).advice


def test_a_server_that_ignores_n_is_asked_for_each_sample_with_a_seed_of_its_own() -> None:
    with OpenAIServer(teach(most_choices=1)) as server:
        planner = planner_for(server.base_url, samples=4)
        first, second = planner.ask(1), planner.ask(2)
        bodies = [request.body for request in server.requests]
    assert first.advice is not None
    assert sum(first.advice.probs) == pytest.approx(1.0)
    assert statuses(first) == statuses(second) == ["ok"] * 4
    assert [body.get("n") for body in bodies] == [4] + [None] * 7, "n is not tried again"
    seeds = [body["seed"] for body in bodies]
    assert len(set(seeds[:4])) == len(set(seeds[4:])) == 4


def test_a_server_that_rejects_n_is_remembered() -> None:
    with OpenAIServer(rejects("n", teach())) as server:
        planner = planner_for(server.base_url)
        first, second = planner.ask(1), planner.ask(2)
    assert statuses(first) == ["bad_request", "ok", "ok", "ok"]
    assert statuses(second) == ["ok", "ok", "ok"]
    assert first.failure is second.failure is None


def test_a_server_that_rejects_seeds_is_asked_without() -> None:
    answer, bodies = ask(rejects("seed", teach()))
    assert answer.failure is None
    assert "seed" not in bodies[-1]
    assert answer.output_mode == "required"


@pytest.mark.parametrize(
    ("code", "message"),
    [(400, "model does not support tools"), (500, "tools param requires --jinja flag")],
)
def test_a_server_without_tools_is_asked_for_json(code: int, message: str) -> None:
    def server(body: dict[str, Any]) -> Reply:
        return (status(code, message) if "tools" in body else talk(IN_WORDS))(body)

    answer, bodies = ask(server)
    assert answer.failure is None
    assert answer.advice is not None
    assert answer.advice.plans == (GOOD_PLAN,)
    assert answer.output_mode == "json"
    assert bodies[-1]["response_format"]["type"] == "json_schema"
    assert '{"plan":' in bodies[-1]["messages"][-1]["content"]


def test_a_server_that_knows_nothing_is_asked_for_plain_text() -> None:
    line = talk("The door is locked, so:\n```\nplan: pick_up(red key); open(red door)\n```")
    answer, bodies = ask(rejects("tools", rejects("response_format", line)))
    assert answer.advice is not None
    assert (answer.output_mode, answer.advice.plans) == ("text", (GOOD_PLAN,))
    assert "response_format" not in bodies[-1]


def test_tool_choice_that_is_rejected_or_ignored() -> None:
    def strict(body: dict[str, Any]) -> Reply:
        known = body.get("tool_choice") == "auto"
        return (plans(GOOD) if known else status(400, "unknown tool_choice"))(body)

    answer, _ = ask(strict)
    assert (answer.output_mode, answer.failure) == ("auto", None)

    def talker(body: dict[str, Any]) -> Reply:
        return talk("I would take the key." if "tools" in body else IN_WORDS)(body)

    answer, _ = ask(talker)
    assert (answer.output_mode, answer.failure) == ("json", None)
    assert "unusable_answer" in statuses(answer)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ([("pick_up", '{"target": ')], "malformed arguments"),
        ([("fly", {})], "unknown tool"),
        ([("pick_up", {"target": "gold bar"})], "unknown target"),
        ([("explore", {}), ("pick_up", {"target": "red key"})] * 4, "at most 5"),
    ],
)
def test_an_unusable_sample_leaves_its_share_out(
    bad: Sequence[tuple[str, Any]], reason: str
) -> None:
    answer, _ = ask(plans(GOOD, bad, GOOD), plans(bad))
    assert answer.failure is None
    assert answer.advice is not None
    assert answer.advice.probs == pytest.approx((2 / 3,))
    assert reason in (answer.calls[0].error or "")
    assert len(answer.calls[0].answers) == 3, "the trace keeps the unusable one too"
    assert statuses(answer) == ["ok", "unusable_answer"], "it went back once"


def test_a_sample_that_the_client_library_cannot_read_spoils_no_other() -> None:
    bad = [("pick_up", '["red key"]')]
    answer, bodies = ask(plans(GOOD, bad, GOOD), plans(GOOD), plans(bad), plans(GOOD))
    assert answer.failure is None
    assert answer.advice is not None
    assert answer.advice.probs == pytest.approx((2 / 3,))
    assert [body.get("n") for body in bodies] == [3, None, None, None]


def test_an_impossible_option_goes_back_once_with_the_reason_and_then_counts_as_failed() -> None:
    answer, bodies = ask(plans(*[[("fly", {"target": "moon"})]] * 3), max_tries=3)
    assert (answer.advice, answer.failure) == (None, "unusable_answer")
    modes = [call.settings["output_mode"] for call in answer.calls]
    assert modes == ["required"] * 2 + ["json"] * 2 + ["text"] * 2
    assert [body["n"] for body in bodies] == [3] * 6, "those with the same reason go back together"
    first, second, *_ = bodies
    assert first["seed"] != second["seed"]
    question, note = first["messages"][-1]["content"], second["messages"][-1]["content"]
    assert note.startswith(question)
    assert 'fly({"target": "moon"})' in note
    assert "unknown tool 'fly'; allowed: explore, pick_up, open" in note


def test_what_is_sent_back_may_come_as_a_plan() -> None:
    answer, bodies = ask(plans(GOOD, [("fly", {})], GOOD), plans(EXPLORE))
    assert answer.failure is None
    assert statuses(answer) == ["ok", "ok"]
    assert answer.advice is not None
    assert answer.advice.probs == pytest.approx((2 / 3, 1 / 3))
    assert [body.get("n") for body in bodies] == [3, None]
    assert len({body["seed"] for body in bodies}) == 2


@pytest.mark.parametrize(
    "content",
    [
        b'{"choices": null}',
        b'{"choices": []}',
        b'{"choices": [',
        b'{"choices": [{"index": 0}]}',
        b'{"choices": [{"index": 0, "message": {"role": "assistant", "tool_calls": 5}}]}',
    ],
)
def test_nonsense_is_an_unusable_answer(content: bytes) -> None:
    answer, _ = ask(raw(content), max_tries=2)
    assert (answer.advice, answer.failure) == (None, "unusable_answer")
    assert all("\n" not in (call.error or "") for call in answer.calls)


@pytest.mark.parametrize(
    ("code", "name", "requests"),
    [
        (401, "refused", 1),
        (403, "refused", 1),
        (402, "no_credit", 1),
        (404, "not_found", 1),
        (408, "timed_out", 3),
        (429, "rate_limited", 3),
        (500, "provider_down", 3),
        (503, "provider_down", 3),
    ],
)
def test_every_status_has_its_name_and_its_number_of_tries(
    code: int, name: str, requests: int
) -> None:
    answer, bodies = ask(status(code), max_tries=3)
    assert (answer.failure, answer.advice) == (name, None)
    assert statuses(answer) == [name] * requests
    assert len(bodies) == requests


def test_a_server_that_rejects_everything_is_bounded() -> None:
    answer, bodies = ask(status(400), max_tries=3)
    assert answer.failure == "bad_request"
    assert len(bodies) == 6


def test_a_passing_failure_is_tried_again() -> None:
    answer, _ = ask(status(429), status(502), plans(GOOD, GOOD, GOOD))
    assert answer.failure is None
    assert statuses(answer) == ["rate_limited", "provider_down", "ok"]


def test_a_hanging_server_times_out() -> None:
    started = time.perf_counter()
    answer, _ = ask(hang(), timeout_s=0.2, max_tries=2)
    assert answer.failure == "timed_out"
    assert statuses(answer) == ["timed_out"] * 2
    assert time.perf_counter() - started < 5.0
    assert all(call.latency_s >= 0.15 for call in answer.calls)


def test_a_server_that_only_sends_blanks_times_out_too() -> None:
    started = time.perf_counter()
    answer, _ = ask(keep_alive(200), timeout_s=0.2, max_tries=1)
    assert answer.failure == "timed_out"
    assert time.perf_counter() - started < 5.0


def test_a_closed_connection_and_a_closed_port_are_a_provider_that_is_down() -> None:
    answer, _ = ask(hang_up(), max_tries=2)
    assert statuses(answer) == ["provider_down"] * 2
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answer = planner_for(f"http://127.0.0.1:{port}/v1", max_tries=1).ask(1)
    assert answer.failure == "provider_down"


def test_missing_samples_are_asked_for_again_and_the_rest_is_kept() -> None:
    one = plans(GOOD)
    answer, bodies = ask(one, one, status(500), one)
    assert answer.failure is None
    # The samples are asked for at once: any of them may meet the failure.
    assert sorted(statuses(answer)) == ["ok", "ok", "ok", "provider_down"]
    assert answer.advice is not None
    assert answer.advice.probs == pytest.approx((1.0,))
    assert len(bodies) == 4


def test_an_incomplete_answer_serves_but_is_not_stored(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path / "plans.sqlite")
    chosen = settings(max_tries=1)
    with OpenAIServer(plans(GOOD), status(500)) as server:
        provider = make_chat_model("openai:test-model", server.base_url, chosen)
        teacher = Teacher(Door(), PromptLibrary(None), provider, chosen, cache)
        teacher.submit([1], 0)
        (answer,) = teacher.harvest(wait_for_all=True)
    assert answer.failure == "provider_down"
    assert answer.advice is not None
    assert answer.advice.probs == pytest.approx((1 / 3,))
    assert cache.entries() == {}
    cache.close()


def test_a_cached_answer_is_found_again_whatever_the_way_it_came(tmp_path: Path) -> None:
    chosen = settings()
    with OpenAIServer(rejects("tools", talk(IN_WORDS))) as server:
        for expected in (1, 0):
            cache = PlanCache(tmp_path / "plans.sqlite")
            provider = make_chat_model("openai:test-model", server.base_url, chosen)
            teacher = Teacher(Door(), PromptLibrary(None), provider, chosen, cache)
            found = teacher.lookup([1])
            assert teacher.submit({1} - {answer.situation_id for answer in found}, 0) == expected
            teacher.harvest(wait_for_all=True)
            cache.close()
    (answer,) = found
    assert answer.output_mode == "json"
    assert {call.status for call in answer.calls} == {"cached"}
    assert IN_WORDS in json.dumps([call.answers for call in answer.calls]).replace("\\", "")


def test_only_the_requests_that_brought_the_samples_are_replayed(tmp_path: Path) -> None:
    """Of five requests: one way of asking that was given up, one failure, three samples."""

    def forgets_tools(body: dict[str, Any]) -> Reply:
        return (status(400, "no tools after all") if "tools" in body else talk(IN_WORDS))(body)

    chosen = settings(samples=3)
    cache = PlanCache(tmp_path / "plans.sqlite")
    with OpenAIServer(plans(GOOD), forgets_tools) as server:
        provider = make_chat_model("openai:test-model", server.base_url, chosen)
        teacher = Teacher(Door(), PromptLibrary(None), provider, chosen, cache)
        teacher.submit([1], 0)
        (asked,) = teacher.harvest(wait_for_all=True)
        (found,) = teacher.lookup([1])
    cache.close()
    assert asked.calls[0].status == "ok"
    assert "bad_request" in statuses(asked)
    assert (asked.output_mode, found.output_mode) == ("json", "json")
    assert [call.settings["output_mode"] for call in found.calls] == ["json"] * 3
    assert [conversation(c) for c in found.calls] == [conversation(c) for c in asked.calls[-3:]]


def test_a_secret_in_an_answer_does_not_reach_the_cache(tmp_path: Path) -> None:
    """A server that knows the key may put it anywhere."""
    message = {**tool_message(*GOOD), "content": f"Your key is {KEY}."}
    chosen = settings(samples=1)
    cache = PlanCache(tmp_path / "plans.sqlite")
    with OpenAIServer(lambda body: completion([message], body)) as server:
        provider = make_chat_model("openai:test-model", server.base_url, chosen)
        teacher = Teacher(Door(), PromptLibrary(None), provider, chosen, cache)
        teacher.submit([1], 0)
        teacher.harvest(wait_for_all=True)
        (found,) = teacher.lookup([1])
    cache.close()
    assert found.calls[0].answers[0]["content"] == "Your key is [redacted]."
    content = (tmp_path / "plans.sqlite").read_bytes()
    assert b"Your key is [redacted]" in content
    assert KEY.encode() not in content


def test_the_key_is_sent_and_never_recorded() -> None:
    def leaky(body: dict[str, Any]) -> Reply:
        return status(401, f"Incorrect API key provided: {KEY}; Authorization: Bearer {KEY}")(body)

    with OpenAIServer(leaky) as server:
        answer = planner_for(server.base_url).ask(1)
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert answer.failure == "refused"
    assert "Incorrect API key" in (answer.calls[0].error or "")
    assert KEY not in repr(answer)


def test_credentials_in_the_address_are_never_recorded() -> None:
    with OpenAIServer(status(500)) as server:
        url = server.base_url.replace("http://", "http://user:hunter22@")
        answer = planner_for(url, max_tries=1).ask(1)
    assert answer.failure == "provider_down"
    assert "hunter22" not in repr(answer)


def test_a_server_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    answer, _ = ask(plans(GOOD, GOOD, GOOD))
    assert answer.failure is None


def test_control_characters_in_an_error_become_blanks() -> None:
    answer, _ = ask(status(404, "no\x1b[31m such\nmodel"))
    assert answer.calls[0].error is not None
    assert answer.calls[0].error.isprintable()


def test_only_plans_come_out_of_answers_that_try_to_run_something() -> None:
    attack = "__import__('os').system('true')"
    message = tool_message(("explore", {"target": attack}))
    answer, _ = ask(lambda body: completion([message], body), samples=1, max_tries=1)
    assert answer.failure == "unusable_answer"
    assert attack[:20] in json.dumps(answer.calls[0].answers)
