"""What a teacher may cost and how hard it may be pressed: budgets, rates, pauses, back-offs."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.openai_server import Behaviour, Body, OpenAIServer, Reply, hang, plans, status, teach
from helpers.planners import LIBRARY, TASK, run_once, settings
from helpers.tiny_runs import ROLLOUT, make_run
from tutelage.agents.client.errors import retry_after
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.make import make_chat_model
from tutelage.agents.teacher.scheduler import Scheduler
from tutelage.agents.teacher.teacher import Teacher
from tutelage.graphs.config.events import Event, Notice

PRICES: dict[str, Any] = {
    "usd_per_million_prompt_tokens": 10.0,
    "usd_per_million_completion_tokens": 20.0,
}
ONE: dict[str, Any] = {"samples": 1, "max_tries": 1}
PER_ANSWER = 110
"""Tokens of an answer of one choice by the loopback server."""


def teacher(url: str, told: list[str] | None = None, **values: Any) -> Teacher:
    chosen = settings(**{**ONE, **values})
    provider = make_chat_model("openai:test-model", url, chosen)
    return Teacher(TASK, LIBRARY, provider, chosen, on_notice=(told or []).append)


def asker(url: str, **values: Any) -> Scheduler:
    chosen = settings(**{**ONE, **values})
    provider = make_chat_model("openai:test-model", url, chosen)
    return Scheduler(Planner(TASK, LIBRARY, provider, chosen), chosen.concurrency)


class TestBudgets:
    @pytest.mark.parametrize("concurrency", [1, 4])
    @pytest.mark.parametrize(
        ("limit", "answers"),
        [
            ({"budget_calls": 5}, 5),
            ({"budget_tokens": 5 * PER_ANSWER}, 5),
            ({"budget_usd": 5 * 0.0012, **PRICES}, 5),
        ],
        ids=["calls", "tokens", "usd"],
    )
    def test_they_are_overrun_by_what_was_under_way_and_no_more(
        self, limit: dict[str, Any], answers: int, concurrency: int
    ) -> None:
        told: list[str] = ["something"]
        with OpenAIServer() as server:
            asking = teacher(server.base_url, told, concurrency=concurrency, **limit)
            found = run_once(asking, list(range(30)))
            made = len(server.requests)
            assert asking.submit(range(30, 60), 10_000) == 0
        most = answers if "budget_calls" in limit else answers + concurrency - 1
        assert answers <= made <= most
        failures = Counter(answer.failure for answer in found.values())
        assert failures == {None: made, "budget_spent": 30 - made}
        (line,) = told[1:]
        name, value = next(iter(limit.items()))
        assert line.startswith(f"the budget is spent ({name} = {value:g}")

    def test_an_answer_that_nobody_counted_ends_a_limit_in_dollars_at_once(self) -> None:
        def uncounted(body: Body) -> Reply:
            reply = teach()(body)
            assert isinstance(reply.body, dict)
            reply.body.pop("usage")
            return reply

        with OpenAIServer(uncounted) as server:
            asking = teacher(server.base_url, concurrency=1, budget_usd=100.0, **PRICES)
            run_once(asking, [1, 2, 3])
            assert len(server.requests) == 1
        assert asking.cost_usd is None

    @pytest.mark.parametrize("wait", [True, False], ids=["wait", "no-wait"])
    def test_a_run_says_once_that_its_budget_is_spent(self, wait: bool, tmp_path: Path) -> None:
        told: list[str] = []

        def watch(event: Event) -> None:
            if isinstance(event, Notice):
                told.append(event.text)

        with OpenAIServer() as server:
            run = make_run(
                tmp_path,
                watch,
                provider="openai:test-model",
                base_url=server.base_url,
                wait=wait,
                steps=3 * ROLLOUT,
                teacher__budget_calls=3,
                weaning__schedule="constant",
            )
            assert len(server.requests) == 3
        assert run.summary.status == "finished"
        assert told == [
            "the budget is spent (budget_calls = 3); the run goes on without new advice"
        ]
        with run.trace() as trace:
            assert [e.message for e in trace.events() if e.kind == "no_more_advice"] == told
        assert 0 < (run.rows[-1].advised_share or 0) < 1


def limited(headers: dict[str, str]) -> Exception:
    """A refusal as client libraries raise it."""
    request = httpx.Request("POST", "http://127.0.0.1/v1")
    response = httpx.Response(429, headers=headers, request=request)
    return httpx.HTTPStatusError("slow down", request=request, response=response)


class TestRates:
    def test_no_more_requests_in_a_second_than_allowed(self) -> None:
        """Only that it is not too fast: how slow a busy machine is says nothing."""
        with OpenAIServer() as server:
            asking = teacher(server.base_url, requests_per_second=20.0, concurrency=8)
            answers = run_once(asking, list(range(12)))
        began = sorted(call.started_at for a in answers.values() for call in a.calls)
        assert len(began) == 12
        # A bucket that holds one request: of any 5 in a row, the last is 4 steps after the first.
        assert all(later - first > 3 / 20 for first, later in zip(began, began[4:], strict=False))

    def test_no_more_at_the_same_time_than_allowed(self) -> None:
        now, most, lock = 0, 0, threading.Lock()

        def counted(body: Body) -> Reply:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            reply = teach()(body)
            with lock:
                now -= 1
            return reply

        with OpenAIServer(counted) as server:
            run_once(teacher(server.base_url, concurrency=3), list(range(20)))
        assert 1 <= most <= 3

    def test_closing_ends_the_wait_for_a_turn(self) -> None:
        with OpenAIServer() as server:
            asking = teacher(server.base_url, requests_per_second=0.001)
            asking.submit([1, 2], 1)
            asking.close()
            assert server.requests == []

    def test_a_server_is_left_alone_for_as_long_as_it_says(self) -> None:
        with OpenAIServer(status(429, retry_after="0.3"), teach()) as server:
            (answer,) = run_once(teacher(server.base_url, max_tries=2, backoff_s=0), [1]).values()
        first, second = answer.calls
        assert (first.status, second.status) == ("rate_limited", "ok")
        assert second.started_at - first.started_at > 0.29

    def test_an_hour_is_not_waited_for(self) -> None:
        with OpenAIServer(status(429, retry_after="3600"), teach()) as server:
            asking = teacher(server.base_url, max_tries=5, concurrency=1)
            assert run_once(asking, [1])[1].failure == "rate_limited"
            assert run_once(asking, [2], 100)[2].calls == ()
            assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"retry-after": "7"}, 7.0),
            ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
            ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, None),
            *[({"retry-after": text}, None) for text in ("", "soon", "-1", "nan", "inf")],
            ({}, None),
        ],
    )
    def test_what_the_header_says(self, headers: dict[str, str], seconds: float | None) -> None:
        assert retry_after(limited(headers)) == seconds

    def test_a_date_in_the_header(self) -> None:
        error = limited({"retry-after": "Fri, 31 Dec 2100 23:59:59 GMT"})
        assert (retry_after(error) or 0) > 3600


class TestBreaker:
    def test_others_follow_as_soon_as_one_is_answered(self) -> None:
        with OpenAIServer() as server:
            asking = asker(server.base_url, concurrency=2)
            assert asking.submit(range(9), 1) == 9
            assert asking.pending == tuple(range(9))
            assert asking.asked == 2
            assert len(asking.harvest(wait_for_all=True)) == 9
            assert (asking.asked, asking.pending) == (9, ())

    def test_a_server_that_talks_nonsense_is_there(self) -> None:
        with OpenAIServer(plans([("fly", {})])) as server:
            asking = asker(server.base_url, concurrency=2)
            asking.submit(range(5), 1)
            assert len(asking.harvest(wait_for_all=True)) == 5

    @pytest.mark.parametrize(
        "fault", [hang(30), status(500), status(401)], ids=["hang", "500", "401"]
    )
    def test_a_dead_server_costs_a_few_requests_now_and_then(self, fault: Behaviour) -> None:
        with OpenAIServer(fault) as server:
            asking = asker(server.base_url, concurrency=2, timeout_s=0.1)
            for iteration in range(1, 71):
                asking.submit(range(50), iteration)
                asking.harvest(wait_for_all=True)
            # In iterations 1, 11 and 31: after 10 and 20 of rest.
            assert len(server.requests) == 6
            assert asking.paused_until == 71

    def test_the_news_tell_of_its_rest_and_of_its_return(self) -> None:
        with OpenAIServer(status(500), teach()) as server:
            asking = teacher(server.base_url)
            for iteration in (1, 5, 11):
                run_once(asking, [1], iteration)
            messages = [n.message for n in asking.take_events() if n.kind == "provider_rests"]
        assert messages == [
            "openai:test-model is not asked before iteration 11",
            "openai:test-model answers again",
        ]

    def test_answers_that_fail_one_by_one_are_one_failure(self) -> None:
        gate = threading.Event()

        def slow(body: Body) -> Reply:
            gate.wait(30)
            return status(500)(body)

        with OpenAIServer(status(500), slow) as server:
            asking = asker(server.base_url, concurrency=2)
            asking.submit([1, 2], 1)
            while not asking.harvest(wait_for_all=False):
                pass
            assert asking.paused_until == 11
            gate.set()
            assert len(asking.harvest(wait_for_all=True)) == 1
            assert asking.paused_until == 11

    def test_a_slow_one_is_waited_for_no_longer_than_said(self) -> None:
        with OpenAIServer(hang(30)) as server:
            asking = asker(server.base_url, concurrency=1)
            asking.submit(range(3), 1)
            assert asking.harvest(wait_for_all=True, timeout_s=0.05) == []
            assert asking.pending == (0, 1, 2)
            assert asking.close() == []


def test_the_settings_have_bounds() -> None:
    for bad in (0.0, -1.0, 1e9):
        with pytest.raises(ValueError, match="requests_per_second"):
            TeacherSettings(requests_per_second=bad)
