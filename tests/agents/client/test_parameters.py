"""What a server refuses of a request is left out alone, and remembered for the model: by HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from helpers.openai_planners import GOOD_PLAN, ask, planner_for, statuses
from helpers.openai_server import Behaviour, Body, OpenAIServer, Reply, plans, status, talk
from helpers.planners import settings, teacher
from tutelage.agents.client.parameters import blamed, named_in, without_system
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.make import make_chat_model
from tutelage.agents.teacher.counters import LEFT_OUT
from tutelage.graphs.config.config import make_config

CALLS = [("pick_up", {"target": "red key"}), ("open", {"target": "red door"})]
GOOD = plans(*[CALLS] * 3)
IN_JSON = json.dumps({"plan": [{"option": n, "target": a["target"]} for n, a in CALLS]})


def no_temperature(then: Behaviour, **error: Any) -> Behaviour:
    """A server that takes no temperature."""
    message = "Unsupported parameter: 'temperature' is not supported with this model."

    def answer(body: Body) -> Reply:
        if "temperature" not in body:
            return then(body)
        return Reply(400, {"error": {"message": message, **error}})

    return answer


def no_system(then: Behaviour, message: str = "System role not supported") -> Behaviour:
    """vLLM with a model whose template knows no system."""

    def answer(body: Body) -> Reply:
        if all(each["role"] != "system" for each in body["messages"]):
            return then(body)
        return Reply(400, {"message": message, "type": "BadRequestError"})

    return answer


class TestTemperature:
    @pytest.mark.parametrize(
        "error",
        [{}, {"param": "temperature", "code": "unsupported_parameter"}],
        ids=["in words", "named"],
    )
    def test_one_that_is_refused_is_left_out_and_remembered(self, error: Body) -> None:
        with OpenAIServer(no_temperature(GOOD, **error)) as server:
            planner = planner_for(server.base_url)
            first, second = planner.ask(1), planner.ask(2)
            bodies = [request.body for request in server.requests]
        assert (statuses(first), statuses(second)) == (["bad_request", "ok"], ["ok"])
        assert ["temperature" in body for body in bodies] == [True, False, False]
        assert [(body["n"], "seed" in body, body["tool_choice"]) for body in bodies] == [
            (3, True, "required")
        ] * 3, "nothing else is left out"
        assert ["temperature" in call.settings for call in first.calls] == [True, False]
        assert list(second.left_out) == ["temperature"]

    def test_a_detail_of_fastapi_names_it(self) -> None:
        detail = {"type": "extra_forbidden", "loc": ["body", "temperature"], "msg": "Extra inputs"}

        def server(body: Body) -> Reply:
            return Reply(422, {"detail": [detail]}) if "temperature" in body else GOOD(body)

        answer, bodies = ask(server)
        assert (answer.failure, len(bodies)) == (None, 2)

    def test_none_sends_none(self) -> None:
        chosen = make_config(None, ["teacher.temperature=none"], {}).teacher
        assert chosen.temperature is None
        answer, bodies = ask(GOOD, temperature=None)
        assert answer.failure is None
        assert "temperature" not in bodies[0]
        assert "temperature" not in answer.calls[0].settings

    def test_none_is_1_for_the_script(self) -> None:
        def offline(temperature: float | None) -> Any:
            chosen = settings(temperature=temperature)
            asking = teacher(chosen)
            asking.submit([1], 0)
            return asking.harvest(wait_for_all=True)[0].advice

        assert offline(None) == offline(1.0) != offline(0.0)

    @pytest.mark.parametrize("name", ["anthropic:m", "google_genai:gemini-x", "ollama:m"])
    def test_other_packages_take_none(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip(f"langchain_{name.partition(':')[0]}")
        for kind in ("ANTHROPIC", "GOOGLE"):
            monkeypatch.setenv(f"{kind}_API_KEY", "opensesame-0123456789")
        model: Any = make_chat_model(name, None, TeacherSettings(temperature=None)).model
        assert model.temperature is None

    def test_it_is_told_once(self) -> None:
        with OpenAIServer(no_temperature(plans(*[[("explore", {})]] * 5))) as server:
            asking = teacher(settings(), url=server.base_url)
            asking.submit([1, 2, 3], 0)
            asking.harvest(wait_for_all=True)
            snapshot = asking.snapshot()
            (told,) = [e.message for e in asking.take_events() if e.kind == LEFT_OUT]
            asking.close()
            later = teacher(settings(), url=server.base_url)
            later.restore(snapshot)
            later.submit([4], 1)
            later.harvest(wait_for_all=True)
            assert [e for e in later.take_events() if e.kind == LEFT_OUT] == []
            later.close()
        assert told.startswith("openai:test-model: it is asked without a temperature")
        assert "'temperature' is not supported with this model" in told


class TestSystem:
    @pytest.mark.parametrize(
        "message",
        [
            "System role not supported",
            "Conversation roles must alternate user/assistant/user/assistant/...",
            "Only user and assistant roles are supported!",
            "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
            "Developer instruction is not enabled for models/gemma-3-27b-it",
        ],
    )
    def test_its_text_moves_into_the_first_message(self, message: str) -> None:
        with OpenAIServer(no_system(GOOD, message)) as server:
            planner = planner_for(server.base_url)
            first, second = planner.ask(1), planner.ask(2)
            bodies = [request.body for request in server.requests]
        assert (statuses(first), statuses(second)) == (["bad_request", "ok"], ["ok"])
        system, user = bodies[0]["messages"]
        for body in bodies[1:]:
            (merged,) = body["messages"]
            assert merged["role"] == "user"
            assert merged["content"].startswith(system["content"] + "\n\n")
        assert bodies[1]["messages"][0]["content"].endswith(user["content"])
        sent = [[each["role"] for each in call.messages] for call in first.calls]
        assert sent == [["system", "user"], ["user"]], "what is kept is what was sent"

    def test_named_as_openai_does(self) -> None:
        said = "'messages[0].role' does not support 'system' with this model."
        error = {"message": said, "param": "messages[0].role"}
        assert list(blamed(f"Error code: 400 - {error}", named_in({"error": error}))) == ["system"]

    def test_later_messages_stay_as_they_are(self) -> None:
        a, b, c = SystemMessage("a"), HumanMessage("b"), AIMessage("c")
        merged = without_system([a, SystemMessage("A"), b, c, HumanMessage("d")])
        assert [(m.type, m.text) for m in merged] == [
            ("human", "a\n\nA\n\nb"),
            ("ai", "c"),
            ("human", "d"),
        ]
        assert without_system([b, c]) == [b, c]
        assert [(m.type, m.text) for m in without_system([a, c])] == [("human", "a"), ("ai", "c")]


class TestForms:
    def test_tool_choice_alone_is_left_out(self) -> None:
        def server(body: Body) -> Reply:
            return (status(400, "unknown: tool_choice") if "tool_choice" in body else GOOD)(body)

        answer, bodies = ask(server)
        assert (answer.output_mode, answer.failure) == ("auto", None)
        assert "tools" in bodies[-1]
        assert [body.get("tool_choice") for body in bodies] == ["required", "auto", None]

    def test_a_response_format_alone_is_left_out(self) -> None:
        def server(body: Body) -> Reply:
            if "tools" in body:
                return status(400, "no tools here")(body)
            if "response_format" in body:
                return status(400, "response_format.type must be 'json_object' or 'text'")(body)
            return talk(*[IN_JSON] * 3)(body)

        with OpenAIServer(server) as listening:
            planner = planner_for(listening.base_url)
            first, second = planner.ask(1), planner.ask(2)
        assert (first.output_mode, second.output_mode) == ("json", "json")
        assert first.advice is not None
        assert first.advice.plans == (GOOD_PLAN,)
        assert statuses(second) == ["ok"]
        assert second.calls[0].tools == []


class TestBounds:
    def test_what_stays_refused_is_given_up(self) -> None:
        words = "temperature, tool_choice, response_format: System role not supported"
        answer, bodies = ask(status(400, words), max_tries=3)
        assert answer.failure == "bad_request"
        assert len(bodies) <= 10
        planner_bodies = {json.dumps({k: v for k, v in b.items() if k != "seed"}) for b in bodies}
        assert len(planner_bodies) >= len(bodies) - 1, "no request is repeated as it was"

    def test_many_at_once_ask_once_more_each(self) -> None:
        with OpenAIServer(no_temperature(plans(*[CALLS]))) as server:
            planner = planner_for(server.base_url, samples=8, concurrency=4)
            answer = planner.ask(1)
        assert answer.failure is None
        assert statuses(answer).count("bad_request") == 1

    def test_another_model_is_sent_it(self) -> None:
        with OpenAIServer(no_temperature(GOOD)) as server:
            planner_for(server.base_url).ask(1)
            assert isinstance(planner := planner_for(server.base_url), Planner)
            assert planner.ask(1).calls[0].settings["temperature"] == 1.0


def test_what_a_field_names_counts_before_the_words() -> None:
    named = named_in({"error": {"param": "n"}})
    assert named == ["n"]
    assert list(blamed("n is too large; temperature is 1", named)) == []
    assert list(blamed("temperature is not for you", [])) == ["temperature"]
    assert named_in({"detail": [{"loc": ["body", "seed"]}]}) == ["seed"]
    assert named_in("text") == named_in({"detail": [{"loc": None}, 3]}) == []
