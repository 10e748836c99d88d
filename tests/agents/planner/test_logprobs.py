"""Soft advice from token probabilities: one request, the letters' shares, and what else comes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from helpers.openai_planners import Door, ask, planner_for, statuses
from helpers.openai_server import Behaviour, Body, OpenAIServer, Reply, completion, rejects, teach
from tutelage.agents.client.errors import UnusableAnswer
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner.logprobs import LETTERS, advice_of
from tutelage.agents.providers.make import make_chat_model
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.agents.teacher.teacher import Teacher
from tutelage.prompts.library import PromptLibrary
from tutelage.rl.tasks.options import Option

OFFERED = (Option("explore"), Option("pick_up", "red key"), Option("open", "red door"))


def position(probs: Mapping[str, float]) -> dict[str, Any]:
    """One token's place in the protocol's `logprobs`, the likeliest token chosen."""
    chosen = max(probs, key=lambda token: probs[token])
    ranked = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in probs.items()]
    return {"token": chosen, "logprob": math.log(probs[chosen]), "top_logprobs": ranked}


def weighs(*positions: Mapping[str, float]) -> Behaviour:
    """Answers with a letter and these probabilities, where it is asked for them; else teaches."""

    def answer(body: Body) -> Reply:
        if not body.get("logprobs"):
            return teach()(body)
        reply = completion([{"role": "assistant", "content": "B"}], body)
        assert isinstance(reply.body, dict)
        reply.body["choices"][0]["logprobs"] = {"content": [position(p) for p in positions]}
        return reply

    return answer


def message(*positions: Mapping[str, float]) -> AIMessage:
    content = [position(probs) for probs in positions]
    return AIMessage("B", response_metadata={"logprobs": {"content": content}})


def test_one_request_gives_the_whole_distribution() -> None:
    server = weighs({"B": 0.6, "A": 0.2, " B": 0.05, "C": 0.05, "The": 0.1})
    answer, bodies = ask(server, samples=10, uncertainty="logprobs")
    assert (answer.failure, answer.output_mode) == (None, "logprobs")
    assert answer.advice is not None
    assert answer.advice.plans == ((OFFERED[1],), (OFFERED[0],), (OFFERED[2],))
    assert answer.advice.probs == pytest.approx((0.65, 0.2, 0.05)), "the rest is no option's"
    (body,) = bodies
    assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
    assert not {"n", "tools"} & body.keys()
    question = body["messages"][-1]["content"]
    assert "A. explore()\nB. pick_up(red key)\nC. open(red door)" in question


@pytest.mark.parametrize(
    ("temperature", "shares"),
    [
        (1.0, (0.5, 0.3, 0.2)),
        (2.0, tuple(math.sqrt(p) for p in (0.5, 0.3, 0.2))),
        (0.5, (0.25, 0.09, 0.04)),
        (0.0, (1.0,)),
    ],
)
def test_temperature_is_applied_here(temperature: float, shares: tuple[float, ...]) -> None:
    advice = advice_of(message({"C": 0.5, "A": 0.3, "B": 0.2}), OFFERED, temperature)
    total = sum(shares)
    assert advice.probs == pytest.approx(tuple(share / total for share in shares))
    assert advice.plans[0] == (OFFERED[2],)


def test_blank_tokens_before_the_letter_are_passed_over() -> None:
    found = message({"\n": 0.9, "A": 0.1}, {"\u0120C.": 1.0})
    assert advice_of(found, OFFERED, 1.0).plans == ((OFFERED[2],),)


tokens = st.sampled_from([*LETTERS[:5], " A", "B.", "(C)", "The", "a", "", "\n"]) | st.text()


@given(
    st.lists(st.dictionaries(tokens, st.floats(1e-9, 1.0), min_size=1, max_size=20), max_size=3),
    st.floats(0.0, 2.0),
)
def test_any_probabilities_are_advice_or_unusable(
    positions: list[dict[str, float]], temperature: float
) -> None:
    try:
        advice = advice_of(message(*positions), OFFERED, temperature)
    except UnusableAnswer:
        return
    assert 0 < sum(advice.probs) <= 1.0001
    assert {plan[0] for plan in advice.plans} <= set(OFFERED)
    assert list(advice.probs) == sorted(advice.probs, reverse=True)


@pytest.mark.parametrize(
    "given_",
    [
        None,
        [],
        {},
        {"content": None},
        {"content": [3]},
        {"content": [{"token": "A"}]},
        {"content": [{"token": "A", "top_logprobs": 7}]},
        {"content": [{"token": "A", "top_logprobs": [{"token": 1, "logprob": "x"}, None]}]},
    ],
)
def test_probabilities_in_no_form_are_unusable(given_: Any) -> None:
    with pytest.raises(UnusableAnswer):
        advice_of(AIMessage("A", response_metadata={"logprobs": given_}), OFFERED, 1.0)


@pytest.mark.parametrize(
    "server",
    [
        rejects("logprobs", teach()),
        teach(),
        weighs({"The": 0.9, "A": 0.1}),
        weighs({"Z": 1.0}),
    ],
    ids=["refused", "ignored", "hardly a letter", "no option's letter"],
)
def test_without_probabilities_samples_are_counted_and_that_is_remembered(
    server: Behaviour,
) -> None:
    with OpenAIServer(server) as running:
        planner = planner_for(running.base_url, uncertainty="logprobs")
        first, second = planner.ask(1), planner.ask(2)
    assert first.output_mode == second.output_mode == "required"
    assert first.failure is second.failure is None
    assert len(statuses(first)) == 2
    assert statuses(second) == ["ok"]
    assert second.calls[0].settings["n"] == 3


def test_more_options_than_letters_are_counted_in_samples() -> None:
    class Many(Door):
        def options(self, situation_id: int) -> tuple[Option, ...]:
            more = tuple(Option("go_to", f"place {i}") for i in range(len(LETTERS)))
            return super().options(situation_id) + more

    chosen = TeacherSettings(samples=2, uncertainty="logprobs")
    with OpenAIServer(weighs({"A": 1.0})) as server:
        provider = make_chat_model("openai:m", server.base_url, chosen)
        teacher = Teacher(Many(), PromptLibrary(None), provider, chosen)
        assert teacher.lookup([1]) == []
        teacher.submit([1], 0)
        (answer,) = teacher.harvest(wait_for_all=True)
    assert (answer.output_mode, answer.failure) == ("required", None)


def test_the_cache_tells_shares_by_samples_from_shares_by_probabilities(tmp_path: Any) -> None:
    cache = PlanCache(tmp_path / "plans.sqlite")
    with OpenAIServer(weighs({"A": 0.5, "B": 0.5})) as server:
        for uncertainty in ("samples", "logprobs", "samples", "logprobs"):
            chosen = TeacherSettings(samples=2, uncertainty=uncertainty)
            provider = make_chat_model("openai:m", server.base_url, chosen)
            teacher = Teacher(Door(), PromptLibrary(None), provider, chosen, cache)
            found = teacher.lookup([1])
            if not found:
                teacher.submit([1], 0)
                teacher.harvest(wait_for_all=True)
    cache.close()
    assert [answer.output_mode for answer in found] == ["logprobs"]
    assert len(server.requests) == 2


@pytest.mark.parametrize("logprob", [-(10**400), 10**400, math.nan, math.inf, "0", True, None, [0]])
def test_a_log_probability_that_is_no_number_is_no_letters(logprob: Any) -> None:
    answer = message({"A": 0.1, "B": 0.8, "C": 0.1})
    for choice in answer.response_metadata["logprobs"]["content"][0]["top_logprobs"]:
        if choice["token"] == "A":
            choice["logprob"] = logprob
    advice = advice_of(answer, OFFERED, 1.0)
    assert advice.plans == ((OFFERED[1],), (OFFERED[2],))
