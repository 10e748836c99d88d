"""What comes in place of an answer is named by its cause, with the server's words: by real HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from helpers.openai_planners import ask, planner_for, statuses
from helpers.openai_server import (
    Body,
    OpenAIServer,
    Reply,
    plans,
    raw,
    rejects,
    saying_no,
    status,
    talk,
)
from tutelage.agents.client.bodies import check_text
from tutelage.agents.client.cures import cause, what_next
from tutelage.agents.client.errors import FailureName
from tutelage.agents.planner.answer import PlannerAnswer

GOOD = plans(*[[("explore", {})]] * 3)
KEY = "sk-live-0123456789abcdefABCDEF"
JSON_ANSWER = talk('{"plan": [{"option": "explore", "target": ""}]}')


def in_200(error: Any, **others: Any) -> Any:
    """An error as gateways send it: with status 200."""
    return lambda _: Reply(200, {"choices": None, "usage": None, "error": error, **others})


def said(answer: PlannerAnswer) -> str:
    return answer.calls[-1].error or ""


def hint(answer: PlannerAnswer) -> str:
    assert answer.failure is not None
    return what_next(answer.failure, ["A_KEY"], said(answer))


class TestErrorsInsideA200:
    @pytest.mark.parametrize(
        ("error", "name", "requests"),
        [
            ({"message": "Provider returned error", "code": 429}, "rate_limited", 3),
            ({"message": "Provider returned error", "code": "502"}, "provider_down", 3),
            ({"message": "overloaded"}, "provider_down", 3),
            ({"message": "Slow down", "code": "rate_limit_exceeded"}, "rate_limited", 3),
            ({"message": "No such key", "code": 401}, "refused", 1),
            ({"message": "Wrong", "type": "invalid_api_key"}, "refused", 1),
            ({"message": "No", "code": "insufficient_quota"}, "no_credit", 1),
            ("model 'm' not found", "not_found", 1),
        ],
    )
    def test_they_are_named_by_their_own_code(
        self, error: Any, name: FailureName, requests: int
    ) -> None:
        answer, bodies = ask(in_200(error), max_tries=3)
        assert statuses(answer) == [name] * requests
        assert len(bodies) == requests
        words = error if isinstance(error, str) else error["message"]
        assert f"inside an answer of status 200: {words}" in said(answer)
        assert "larger one" not in hint(answer)

    def test_what_passes_leaves_the_rung_alone(self) -> None:
        answer, bodies = ask(in_200({"message": "busy", "code": 429}), GOOD)
        assert statuses(answer) == ["rate_limited", "ok"]
        assert answer.output_mode == "required"
        assert [body["n"] for body in bodies] == [3, 3]

    def test_they_are_read_on_the_rung_of_json_too(self) -> None:
        """There the client library reads the choices before it looks at the error."""
        turns = iter(range(100))

        def after_two(body: Body) -> Reply:
            busy = in_200({"message": "busy", "code": 503})
            return (busy if next(turns) == 0 else JSON_ANSWER)(body)

        answer, _ = ask(rejects("tools", after_two), samples=1)
        assert answer.output_mode == "json"
        assert statuses(answer)[-2:] == ["provider_down", "ok"]

    def test_a_choice_that_is_an_error_is_one(self) -> None:
        choice = {
            "index": 0,
            "finish_reason": "error",
            "message": {"role": "assistant", "content": ""},
            "error": {"code": 502, "message": "the line broke"},
        }
        answer, _ = ask(lambda _: Reply(200, {"choices": [choice]}), max_tries=1)
        assert (answer.failure, len(answer.calls)) == ("provider_down", 1)
        assert "the line broke" in said(answer)

    def test_the_words_of_the_one_behind_a_gateway_are_told(self) -> None:
        error = {
            "message": "Provider returned error",
            "code": 429,
            "metadata": {"raw": "queue full"},
        }
        answer, _ = ask(in_200(error), max_tries=1)
        assert "Provider returned error: queue full" in said(answer)

    def test_they_hold_no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        answer, _ = ask(in_200({"message": f"bad key {KEY}", "code": 401}))
        assert KEY not in repr(answer)
        assert "bad key [redacted]" in said(answer)


class TestNoAnswersAtAll:
    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (
                b"<!doctype html><head><title>Gate</title><style>p {}</style></head><p>Sign in</p>",
                "a web page: Gate Sign in",
            ),
            (b'data: {"choices": []}\n\ndata: [DONE]\n\n', "an event stream: data: {"),
            (b"It works!", "text: It works!"),
            (b"", "nothing"),
            (b"[1, 2]", "JSON of another form: [1, 2]"),
        ],
    )
    @pytest.mark.parametrize("kind", ["application/json", "text/html", "text/event-stream"])
    def test_they_are_named_and_quoted(self, content: bytes, says: str, kind: str) -> None:
        server = OpenAIServer(lambda _: Reply(200, content, headers={"Content-Type": kind}))
        with server:
            answer = planner_for(server.base_url, max_tries=3).ask(1)
        assert (answer.failure, len(answer.calls)) == ("not_compatible", 1)
        assert f"not an OpenAI-compatible answer, but {says}" in said(answer)
        assert f"(asked {server.base_url}" in said(answer)
        assert "larger one" not in hint(answer)

    def test_on_the_rung_of_json_too(self) -> None:
        answer, _ = ask(rejects("tools", raw(b"<html>Sign in</html>")), samples=1)
        assert statuses(answer)[-1] == "not_compatible"
        assert "a web page: Sign in" in said(answer)

    @pytest.mark.parametrize(
        "behaviour",
        [
            lambda _: Reply(404, b"404 page not found", headers={"Content-Type": "text/plain"}),
            lambda _: Reply(404, {"detail": "Not Found"}),
            lambda _: Reply(405, {"detail": "Method Not Allowed"}),
            lambda _: Reply(
                200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}
            ),
            status(404, "Invalid URL (POST /chat/completions)"),
            lambda _: Reply(404, b"<html><title>404 Not Found</title></html>"),
        ],
        ids=["ollama", "vllm", "method", "lm studio", "openai", "page"],
    )
    def test_an_address_without_v1_is_asked_about(self, behaviour: Any) -> None:
        answer, bodies = ask(behaviour)
        assert (answer.failure, len(bodies)) == ("not_compatible", 1)
        assert "does the address end in /v1 (--base-url)?" in hint(answer)
        assert "/v1" in said(answer).partition("(asked ")[2]

    def test_json_that_breaks_off_is_an_answer_that_cannot_be_read(self) -> None:
        check_text('{"choices": [')
        answer, _ = ask(raw(b'{"choices": ['), max_tries=1)
        assert answer.failure == "unusable_answer"


class TestContext:
    @pytest.mark.parametrize(
        ("code", "error"),
        [
            (
                400,
                {
                    "message": "This model's maximum context length is 4096 tokens.",
                    "code": "context_length_exceeded",
                },
            ),
            (
                400,
                {
                    "message": "the request exceeds the available context size, try increasing it",
                    "type": "exceed_context_size_error",
                    "n_ctx": 512,
                },
            ),
            (400, {"message": "prompt is too long: 300 tokens > 200 maximum"}),
            (413, {"message": "Request too large for model m"}),
        ],
    )
    def test_one_that_is_too_small_is_named(self, code: int, error: Body) -> None:
        answer, bodies = ask(lambda _: Reply(code, {"error": error}))
        assert (answer.failure, len(bodies)) == ("too_long", 1)
        assert error["message"][:40] in said(answer)
        assert "larger context (llama-server -c" in hint(answer)


class TestFilters:
    @pytest.mark.parametrize(
        ("code", "error"),
        [
            (400, {"code": "content_filter", "param": "prompt", "message": "The prompt was."}),
            (403, {"code": 403, "message": "Your input was flagged"}),
            (400, {"code": "data_inspection_failed", "message": "Input data may be improper"}),
        ],
    )
    def test_one_prompt_that_is_refused_fails_alone(self, code: int, error: Body) -> None:
        def server(body: Body) -> Reply:
            refused = "number: 1" in json.dumps(body["messages"])
            return Reply(code, {"error": error}) if refused else GOOD(body)

        with OpenAIServer(server) as listening:
            planner = planner_for(listening.base_url)
            first, second = planner.ask(1), planner.ask(2)
            mode = planner.mode
        assert (first.failure, len(first.calls)) == ("filtered", 1)
        assert (second.failure, len(second.calls)) == (None, 1)
        assert (mode.output_mode, mode.with_n, mode.with_seed) == ("required", True, True)
        assert (
            cause("filtered") == "the provider's content filter refused the question or the answer"
        )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("the server's certificate is not trusted (expired)", "is to be mended there"),
        ("certificate is not trusted (self-signed); SSL_CERT_FILE names", "set SSL_CERT_FILE to"),
        ("the proxy refuses (HTTPS_PROXY, …)", "NO_PROXY"),
        ("refused (by way of HTTPS_PROXY, …)", "NO_PROXY"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version", "http:// in place of https://"),
        ("InternalServerError: Error code: 503 - {}", "its own log says why"),
        ("APIConnectionError: Connection refused", "is the server running there"),
    ],
)
def test_a_server_that_is_down_is_told_about_by_what_was_said(line: str, says: str) -> None:
    assert says in what_next("provider_down", [], line)


def test_an_odd_status_stays_what_it_was() -> None:
    answer, _ = ask(saying_no(400, "no such thing as a grammar"), max_tries=1)
    assert answer.failure == "bad_request"
