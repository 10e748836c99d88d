"""When a provider that refuses for good ends a run, and when there is something to go on with."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.openai_server import Body, OpenAIServer, Reply, plans, status
from helpers.planners import settings, teacher
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.agents.teacher.counters import FAULT
from tutelage.agents.teacher.teacher import Teacher

GOOD = plans(*[[("explore", {})]] * 5)


def ask(asking: Teacher, situations: list[int], iteration: int = 1) -> None:
    """As a run does, and waits."""
    known = {answer.situation_id for answer in asking.lookup(situations)}
    asking.submit([s for s in situations if s not in known], iteration)
    asking.harvest(wait_for_all=True)


@pytest.mark.parametrize(
    ("chosen", "ends"),
    [({}, True), ({"keep_going": True}, False), ({"fallback": ("cached",)}, False)],
)
def test_it_ends_a_run_unless_the_settings_say_otherwise(
    chosen: dict[str, Any], ends: bool
) -> None:
    with OpenAIServer(status(401, "bad key")) as server:
        asking = teacher(settings(**chosen), url=server.base_url)
        ask(asking, [1, 2])
        asking.close()
    assert (asking.refusal is not None) == ends
    if asking.refusal is not None:
        assert asking.refusal.startswith("openai:test-model: the key was refused (")
        assert asking.refusal.endswith("check OPENAI_API_KEY")
    (fault,) = [e.message for e in asking.take_events() if e.kind == FAULT]
    assert ("the run goes on" in fault) != ends


def test_one_answer_is_something_to_go_on_with() -> None:
    def behaviour(body: Body) -> Reply:
        asked = body["messages"][-1]["content"]
        return (GOOD if "open the door 1" in asked else status(401))(body)

    with OpenAIServer(behaviour) as server:
        asking = teacher(settings(), url=server.base_url)
        ask(asking, [1, 2, 3])
        asking.close()
    assert (asking.counters.answers, asking.counters.failures) == (1, {"refused": 2})
    assert asking.refusal is None


@pytest.mark.parametrize(("iteration", "ends"), [(1, True), (2, False)])
def test_answers_of_the_cache_are_so_once_the_run_has_begun(
    iteration: int, ends: bool, cache: PlanCache
) -> None:
    key_is_good = True

    def behaviour(body: Body) -> Reply:
        return (GOOD if key_is_good else status(403))(body)

    with OpenAIServer(behaviour) as server:
        before = teacher(settings(), cache, server.base_url)
        ask(before, [1])
        before.close()
        key_is_good = False
        asking = teacher(settings(), cache, server.base_url)
        ask(asking, [1, 2], iteration)
        asking.close()
    assert asking.counters.cache_hits == 1
    assert (asking.refusal is not None) == ends


def test_what_has_answered_once_may_refuse_after_a_resume() -> None:
    with OpenAIServer(GOOD, status(401)) as server:
        before = teacher(settings(), url=server.base_url)
        ask(before, [1])
        snapshot = before.snapshot()
        before.close()
        asking = teacher(settings(), url=server.base_url)
        asking.restore(snapshot)
        ask(asking, [2], iteration=7)
        asking.close()
    assert asking.counters.answers == 1
    assert asking.refusal is None
