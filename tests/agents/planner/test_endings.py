"""Answers that end at a limit, too late or at a filter: what comes of them, and what they cost."""

from __future__ import annotations

from typing import Any

import pytest

from helpers import habits
from helpers.openai_planners import GOOD_PLAN, ask, planner_for, settings, statuses
from helpers.openai_server import (
    Behaviour,
    Body,
    OpenAIServer,
    Reply,
    hang,
    plans,
    rejects,
    saying_no,
    status,
)
from tutelage.agents.client.cures import cause, what_next
from tutelage.agents.client.limits import limited
from tutelage.agents.client.request_modes import RequestMode
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.planner.evidence import Evidence
from tutelage.agents.providers.make import make_chat_model

MODE = RequestMode("required", with_n=False, with_seed=False)
CUT = habits.ends("length")
BLANKS = habits.ends("length", {"role": "assistant", "content": "\n" * 400})
GOOD = plans(habits.CALLS)


def with_tools(first: Behaviour, then: Behaviour) -> Behaviour:
    """One habit where there are tools, another where there are none."""
    return lambda body: (first if "tools" in body else then)(body)


def modes(answer: PlannerAnswer) -> list[str]:
    return [call.settings["output_mode"] for call in answer.calls]


IN_JSON = habits.choices(habits.asked_for, habits.says(habits.IN_JSON))


def test_every_answer_has_a_limit() -> None:
    for values, limit in (({}, 512), ({"thinking": True}, 8192), ({"max_tokens": 99}, 99)):
        answer, bodies = ask(plans(*[habits.CALLS] * 3), **values)
        assert [body["max_tokens"] for body in bodies] == [limit]
        assert [call.settings["max_tokens"] for call in answer.calls] == [limit]


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google_genai", "ollama"])
def test_every_shipped_provider_is_told_of_the_limit(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, "sk-0123456789")
    chosen = settings(max_tokens=77)
    made = make_chat_model(f"{provider}:m", "http://127.0.0.1:9", chosen)
    model = limited(made, MODE, chosen)
    told: Any = getattr(model, str(made.limit_field))
    assert told == 77
    assert made.model is not model
    assert made.identity["max_tokens"] == 77


def test_openais_own_models_are_told_by_the_name_that_they_want(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    for variable in ("OPENAI_API_BASE", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    for url, name in ((None, "max_completion_tokens"), ("http://127.0.0.1:9/v1", "max_tokens")):
        chosen = settings()
        model: Any = limited(make_chat_model("openai:gpt-4o", url, chosen), MODE, chosen)
        payload = model._get_request_payload([("human", "Hm?")])
        assert {key: payload[key] for key in payload if key.endswith("tokens")} == {name: 512}


@pytest.mark.parametrize(
    ("refused", "sent"),
    [
        (("max_tokens",), {"max_completion_tokens": 512}),
        (("max_tokens", "max_completion_tokens"), {}),
    ],
)
def test_a_limit_that_a_server_does_not_know_goes_by_another_name_or_not_at_all(
    refused: tuple[str, ...], sent: dict[str, int]
) -> None:
    behaviour = plans(*[habits.CALLS] * 3)
    for name in refused:
        behaviour = rejects(name, behaviour)
    with OpenAIServer(behaviour) as server:
        planner = planner_for(server.base_url)
        first, second = planner.ask(1), planner.ask(2)
        last = server.requests[-1].body
    assert (first.failure, second.failure) == (None, None)
    assert statuses(first) == ["bad_request"] * len(refused) + ["ok"]
    assert statuses(second) == ["ok"], "it is remembered"
    assert {key: last[key] for key in last if key.endswith("tokens")} == sent
    assert last["n"] == 3, "nothing else was left out"


@pytest.mark.parametrize("endless", [CUT, BLANKS], ids=["nothing", "blank lines"])
def test_tools_that_never_end_are_left_for_json_after_one_answer(endless: Behaviour) -> None:
    with OpenAIServer(with_tools(endless, IN_JSON)) as server:
        planner = planner_for(server.base_url)
        first, second = planner.ask(1), planner.ask(2)
    assert modes(first) == ["required", "json"]
    assert statuses(first) == ["cut_off", "ok"]
    assert first.advice is not None
    assert first.advice.plans == (GOOD_PLAN,)
    assert modes(second) == ["json"], "it is remembered"
    cut = first.calls[0]
    assert cut.error == "cut at the limit of 512 tokens (teacher.max_tokens)"
    assert (cut.prompt_tokens, cut.completion_tokens) == (100, 30)


def test_what_was_cut_is_no_plan_and_is_paid_for() -> None:
    """The beginning of a plan in text reads like a whole one; JSON that is cut is counted too."""
    line = habits.ends("length", {"role": "assistant", "content": habits.LINE})
    answer, bodies = ask(
        rejects("tools", line),
        samples=1,
        usd_per_million_prompt_tokens=1.0,
        usd_per_million_completion_tokens=1.0,
    )
    assert (answer.advice, answer.failure) == (None, "cut_off")
    cut = [call for call in answer.calls if call.status == "cut_off"]
    assert {call.settings["output_mode"] for call in cut} == {"json", "text"}
    assert all(call.cost_usd == pytest.approx(110e-6) for call in cut)
    assert len(bodies) == 4
    assert "cut" in cause("cut_off")
    assert "teacher.max_tokens" in what_next("cut_off", [])


def test_a_proven_rung_is_not_left_for_one_answer_that_was_cut() -> None:
    with OpenAIServer(GOOD, GOOD, GOOD, CUT, CUT, CUT, GOOD) as server:
        planner = planner_for(server.base_url)
        first, second, third = (planner.ask(number) for number in (1, 2, 3))
    assert first.failure is third.failure is None
    assert (second.advice, second.failure) == (None, "cut_off")
    assert set(modes(first) + modes(second) + modes(third)) == {"required"}


def test_one_of_several_samples_that_was_cut_leaves_its_share_out() -> None:
    def one_cut(body: Body) -> Reply:
        reply = plans(*[habits.CALLS] * 3)(body)
        assert isinstance(reply.body, dict)
        reply.body["choices"][1]["finish_reason"] = "length"
        return reply

    answer, bodies = ask(one_cut)
    assert answer.failure is None
    assert answer.advice is not None
    assert answer.advice.probs == (pytest.approx(2 / 3),)
    assert len(bodies) == 1, "it is not sent back"


def test_a_model_that_thinks_is_given_more_room() -> None:
    with OpenAIServer(habits.thinks(4000, GOOD)) as server:
        planner = planner_for(server.base_url, samples=1)
        first, second = planner.ask(1), planner.ask(2)
        limits = [request.body["max_tokens"] for request in server.requests]
    assert limits == [512, 8192, 8192], "it is remembered"
    assert modes(first) == ["required", "required"]
    assert statuses(first) == ["cut_off", "ok"]
    assert first.failure is second.failure is None
    error = str(first.calls[0].error)
    assert error.startswith("cut at the limit of 512 tokens (teacher.max_tokens), while it thought")
    assert error.endswith("But the key is")
    assert error.isprintable()
    assert "But the key" in str(first.calls[0].answers)


def test_a_limit_that_is_set_holds_for_thoughts_too() -> None:
    answer, bodies = ask(habits.thinks(4000, GOOD), max_tokens=300, samples=1)
    assert {body["max_tokens"] for body in bodies} == {300}
    assert (answer.advice, answer.failure) == (None, "cut_off"), "thoughts hold no plan"
    assert list(dict.fromkeys(modes(answer))) == ["required", "json", "text"]


def test_thoughts_in_the_words_and_those_that_are_only_counted_are_seen() -> None:
    said = habits.ends("length", {"role": "assistant", "content": "<think>plan: explore()"})

    def counted(body: Body) -> Reply:
        reply = CUT(body)
        assert isinstance(reply.body, dict)
        reply.body["usage"]["completion_tokens_details"] = {"reasoning_tokens": 512}
        return reply

    for behaviour in (said, counted):
        answer, bodies = ask(behaviour, GOOD, samples=1)
        assert answer.failure is None
        assert [body["max_tokens"] for body in bodies] == [512, 8192]


def test_a_time_out_on_an_unproven_rung_leads_to_the_next() -> None:
    with OpenAIServer(with_tools(hang(), IN_JSON)) as server:
        planner = planner_for(server.base_url, timeout_s=0.3)
        first, second = planner.ask(1), planner.ask(2)
    assert modes(first) == ["required", "json"]
    assert statuses(first) == ["timed_out", "ok"]
    assert (first.failure, modes(second)) == (None, ["json"])


def test_a_time_out_on_a_proven_rung_is_its_situations_own() -> None:
    with OpenAIServer(GOOD, hang(), hang(), GOOD) as server:
        planner = planner_for(server.base_url, timeout_s=0.3, samples=1, max_tries=2)
        answers = [planner.ask(number) for number in (1, 2, 3)]
    assert [answer.failure for answer in answers] == [None, "timed_out", None]
    assert {mode for answer in answers for mode in modes(answer)} == {"required"}


@pytest.mark.parametrize(
    "refusal",
    [
        saying_no(400, "The response was filtered", "content_filter"),
        status(403, "Your chosen model requires moderation and your input was flagged"),
        habits.ends("content_filter"),
    ],
    ids=["400", "403", "an answer"],
)
def test_one_prompt_that_is_filtered_is_its_situations_own(refusal: Behaviour) -> None:
    def filters(body: Body) -> Reply:
        is_second = "number: 2" in str(body["messages"])
        return (refusal if is_second else plans(*[habits.CALLS] * 3))(body)

    with OpenAIServer(filters) as server:
        planner = planner_for(server.base_url)
        answers = [planner.ask(number) for number in (2, 1, 2, 3)]
    assert [answer.failure for answer in answers] == ["filtered", None, "filtered", None]
    assert [modes(answer) for answer in answers] == [["required"]] * 4


def test_three_in_a_row_must_leave_a_rung_that_has_brought_plans() -> None:
    evidence, tools = Evidence(), RequestMode("required", True, True)
    json_ = RequestMode("json", False, True)
    assert evidence.next_mode(tools, tools, ["required"]) == tools
    kept = RequestMode("required", False, True)
    assert evidence.next_mode(tools, json_, ["json"]) == kept, "what else was found out is kept"
    assert evidence.next_mode(kept, kept, ["required"]) == kept
    found = [evidence.next_mode(kept, json_, ["json"]) for _ in range(3)]
    assert found == [kept, kept, json_]
    assert Evidence().next_mode(tools, json_, ["json"]) == json_, "it had brought none"
