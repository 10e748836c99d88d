"""What the student meets most is asked about first, also where others have waited for longer."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from helpers.hurried_runs import HURRIED
from helpers.openai_server import Body, OpenAIServer, Reply, teach
from helpers.planners import run_once, settings, teacher
from helpers.tiny_runs import make_run


def number_of(body: Body) -> int:
    """The situation that a request is about, see `helpers.planners.Doors`."""
    return int(body["messages"][-1]["content"].partition("open the door ")[2].split()[0])


def asked_about(server: OpenAIServer) -> list[int]:
    return [number_of(request.body) for request in server.requests]


def asked_in_order(situations: list[int], visits: Mapping[int, int] | None) -> list[int]:
    with OpenAIServer() as server:
        asking = teacher(settings(samples=1, concurrency=1), url=server.base_url)
        asking.submit(situations, 1, visits)
        asking.harvest(wait_for_all=True)
        return asked_about(server)


def test_the_most_visited_come_first_and_ties_go_by_text() -> None:
    visits = {2: 5, 10: 7, 3: 5, 11: 1}
    assert asked_in_order([2, 3, 4, 10, 11], visits) == [10, 2, 3, 11, 4]
    assert asked_in_order([9, 10, 2], {}) == [10, 2, 9], "by text, as ids mean nothing"


def test_without_visits_the_ids_decide() -> None:
    assert asked_in_order([9, 10, 2], None) == [2, 9, 10]


def test_what_waits_is_put_in_order_anew() -> None:
    gate = threading.Event()

    def slow(body: Body) -> Reply:
        gate.wait(30)
        return teach()(body)

    with OpenAIServer(teach(), slow) as server:
        asking = teacher(settings(samples=1, concurrency=1), url=server.base_url)
        run_once(asking, [0])  # it has answered once: nothing is held back any more
        assert asking.submit([1, 2, 3], 1, {1: 9, 2: 8, 3: 7}) == 3
        while len(server.requests) < 2:
            threading.Event().wait(0.01)
        assert asking.submit([4, 5], 2, {1: 9, 2: 8, 3: 30, 4: 20, 5: 40}) == 2
        assert asking.pending == (1, 2, 3, 4, 5)
        gate.set()
        assert len(asking.harvest(wait_for_all=True)) == 5
        assert asked_about(server) == [0, 1, 5, 3, 4, 2]


def test_so_does_what_is_held_back_until_the_provider_has_answered() -> None:
    with OpenAIServer() as server:
        asking = teacher(settings(samples=1, concurrency=1), url=server.base_url)
        asking.submit([1, 2], 1, {1: 3, 2: 2})
        asking.submit([3], 1, {1: 3, 2: 2, 3: 9})
        asking.harvest(wait_for_all=True)
        assert asked_about(server) == [1, 3, 2]


def test_what_waits_is_not_asked_about_any_more_once_the_teacher_is_closed() -> None:
    gate = threading.Event()

    def slow(body: Body) -> Reply:
        gate.wait(30)
        return teach()(body)

    with OpenAIServer(teach(), slow) as server:
        asking = teacher(settings(samples=1, concurrency=1), url=server.base_url)
        run_once(asking, [0])
        asking.submit(range(1, 9), 1, {})
        while len(server.requests) < 2:
            threading.Event().wait(0.01)
        assert asking.close() == []
        gate.set()
        assert asked_about(server) == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("wait", [True, False], ids=["wait", "no-wait"])
def test_a_bounded_run_spends_its_requests_on_what_its_student_meets(
    wait: bool, tmp_path: Path
) -> None:
    few = 4
    options: dict[str, Any] = {
        "teacher__samples": 1,
        "teacher__concurrency": 1,
        "teacher__budget_calls": few,
        "teacher__patience_s": 60.0,
        "weaning__schedule": "constant",
        "wait": wait,
    }
    with OpenAIServer() as server:
        run = make_run(tmp_path, base_url=server.base_url, **{**HURRIED, **options})
        assert len(server.requests) == few
    with run.trace() as trace:
        met = {s.situation_id: trace.visits(s.situation_id) for s in trace.situations()}
        answered = [s for s in met if trace.advice(s)]
    assert len(answered) == few
    visits = Counter({s: sum(v.visits for v in rows) for s, rows in met.items()})
    first = {s: sum(v.visits for v in rows if v.iteration == 1) for s, rows in met.items()}
    if wait:
        most = sorted(first.values(), reverse=True)[:few]
        assert sorted((first[s] for s in answered), reverse=True) == most
    use = run.summary.advice
    assert use is not None
    assert use.covered == sum(visits[s] for s in answered) / visits.total()
    assert 0.2 < use.covered < 1.0
