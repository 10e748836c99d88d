"""Numbers of a server that are none: they are not known, and end no run and lower no budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.fork_server import ForkServer, Kill
from helpers.openai_server import Behaviour, Body, OpenAIServer, Reply, teach
from helpers.planners import run_once, settings, teacher
from helpers.small_runs import Runner, assert_only_notices
from tutelage.agents.client.numbers import MOST, count_of, finite
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader

NONE = ["1.5", "-1000000000000", "NaN", str(2**63), "[1]", "{}", "null", "1e400", "9" * 400, '"x"']
"""As a server writes them."""

PRICES: dict[str, Any] = {
    "usd_per_million_prompt_tokens": 10.0,
    "usd_per_million_completion_tokens": 20.0,
}


def writing(text: str, *place: str) -> Behaviour:
    """A sensible answer with something else in one place of its `usage`; raw, whatever it is."""

    def answer(body: Body) -> Reply:
        reply = teach()(body)
        assert isinstance(reply.body, dict)
        within = reply.body
        *outer, last = ("usage", *place)
        for name in outer:
            within = within[name]
        within[last] = "@"
        return Reply(body=json.dumps(reply.body).replace('"@"', text).encode())

    return answer


@pytest.mark.parametrize(
    ("value", "count"),
    [
        *[(n, n) for n in (0, 7, MOST)],
        (7.0, 7),
        *[(n, None) for n in (-1, MOST + 1, 1.5, float("nan"), float("inf"), 10**400)],
        *[(n, None) for n in (None, True, "7", [7], {})],
    ],
)
def test_what_is_a_count(value: object, count: int | None) -> None:
    assert count_of(value) == count


def test_what_is_a_finite_number() -> None:
    assert [finite(n) for n in (-3, 0.5)] == [-3.0, 0.5]
    assert {finite(n) for n in (10**400, float("-inf"), float("nan"), True, None, "1")} == {None}


@pytest.mark.parametrize("text", NONE, ids=[text[:12] for text in NONE])
def test_tokens_that_are_no_number_are_not_known(text: str) -> None:
    with OpenAIServer(writing(text, "prompt_tokens")) as server:
        limits = settings(budget_tokens=15, samples=1, concurrency=1, **PRICES)
        asking = teacher(limits, url=server.base_url)
        answers = run_once(asking, [1, 2, 3])
        assert len(server.requests) == 2
    (call,) = answers[1].calls
    assert (call.status, call.prompt_tokens, call.completion_tokens) == ("ok", None, 10)
    assert call.cost_usd is None
    assert answers[3].failure == "budget_spent", "what is known counts, and nothing is taken off"
    json.dumps(asking.snapshot(), allow_nan=False)


@pytest.mark.parametrize("place", [(), ("prompt_tokens_details",), ("total_tokens",)])
@pytest.mark.parametrize("text", ["1.5", "[1]", '"x"', "true"])
def test_a_usage_without_any_form_costs_no_answer(text: str, place: tuple[str, ...]) -> None:
    with OpenAIServer(writing(text, *place)) as server:
        answer = run_once(teacher(settings(samples=1), url=server.base_url), [1])[1]
    (call,) = answer.calls
    assert (call.status, call.error) == ("ok", None)
    assert (call.prompt_tokens, call.completion_tokens) == ((100, 10) if place else (None, None))


@pytest.mark.parametrize("text", ["-1000000000000", str(2**63)])
def test_an_answer_of_unknown_cost_ends_a_limit_in_dollars(text: str) -> None:
    with OpenAIServer(writing(text, "completion_tokens")) as server:
        asking = teacher(settings(budget_usd=100.0, concurrency=1, **PRICES), url=server.base_url)
        run_once(asking, [1, 2, 3])
        assert len(server.requests) == 1
    assert asking.cost_usd is None


@pytest.mark.slow
def test_a_run_is_resumed_and_ends_with_such_a_server(server: ForkServer, tmp_path: Path) -> None:
    turns = iter(NONE * 100)
    with OpenAIServer(lambda body: writing(next(turns), "prompt_tokens")(body)) as teaching:
        named = ["--provider", "openai:test-model", "--base-url", teaching.base_url]
        runner = Runner(server, ["--env", "helpers.toy_task:Corridor", "--wait", *named])
        killed = runner.run(tmp_path, kill=Kill(2, "os.replace:record.json:after"))
        assert killed.code == -9
        done = server.run(["resume", str(tmp_path / "run"), "--base-url", teaching.base_url])
    assert_only_notices(done)
    run = RunFolder.open(tmp_path / "run")
    summary = run.read_summary()
    assert summary is not None
    assert (summary.status, summary.llm.prompt_tokens, summary.llm.cost_usd) == (
        "finished",
        0,
        None,
    )
    with TraceReader(run.trace) as trace:
        assert {call.prompt_tokens for call in trace.calls()} == {None}
