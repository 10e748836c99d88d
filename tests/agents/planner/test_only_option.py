"""Where one option is on offer nobody is asked: the plan is that option, at no cost."""

from __future__ import annotations

from pathlib import Path

from helpers.openai_planners import Door, settings
from helpers.openai_server import OpenAIServer, status, teach
from helpers.planners import Doors
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.make import make_chat_model
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.agents.teacher.teacher import Teacher
from tutelage.prompts.library import PromptLibrary
from tutelage.rl.advice.advice import Advice
from tutelage.rl.tasks.options import Option

ONLY = Advice(((Option("explore"),),), (1.0,))


class Corridor(Door):
    """One option in situations below 10."""

    def options(self, situation_id: int) -> tuple[Option, ...]:
        offered = super().options(situation_id)
        return (Option("explore", help="Look around."),) if situation_id < 10 else offered


def test_the_planner_asks_nobody() -> None:
    with OpenAIServer(status(500)) as server:
        provider = make_chat_model("openai:m", server.base_url, settings())
        answer = Planner(Corridor(), PromptLibrary(None), provider, settings()).without_asking(1)
        assert server.requests == []
    assert answer is not None
    assert (answer.source, answer.advice, answer.calls) == ("only_option", ONLY, ())
    assert answer.failure is None


def test_a_teacher_says_so_at_once_and_counts_nothing(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path / "plans.sqlite")
    with OpenAIServer(teach()) as server:
        provider = make_chat_model("openai:m", server.base_url, settings())
        teacher = Teacher(Corridor(), PromptLibrary(None), provider, settings(), cache)
        teacher.ask_ahead([1, 2], 1)
        assert teacher.pending == ()
        found = teacher.lookup([12, 2, 1])
        assert teacher.submit([12], 1) == 1
        teacher.harvest(wait_for_all=True)
        later = teacher.lookup([12, 2])
        teacher.close()
        asked = len(server.requests)
    assert [(a.situation_id, a.source, a.advice) for a in found] == [
        (1, "only_option", ONLY),
        (2, "only_option", ONLY),
    ]
    assert [(a.situation_id, a.source) for a in later] == [(2, "only_option"), (12, "cache")]
    counted = teacher.counters
    assert (counted.calls, counted.answers, counted.cache_hits) == (asked, 1, 1)
    assert counted.situations == 1
    assert [teacher.needs_asking(s) for s in (1, 12)] == [False, True]
    assert len(cache.entries()) == 1
    cache.close()


def test_a_script_is_asked_all_the_same() -> None:
    """It may be silent there, and its runs stay as they are."""

    class Single(Doors):
        def options(self, situation_id: int) -> tuple[Option, ...]:
            return super().options(situation_id)[:1]

    provider = make_chat_model("offline", None, settings(), Single())
    answer = Planner(Single(), PromptLibrary(None), provider, settings()).ask(1)
    assert answer.source == "model"
    assert answer.calls
