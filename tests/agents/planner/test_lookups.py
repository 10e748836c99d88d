"""Look-ups in conversation: asked once, before the samples; the cache knows their answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from helpers.cache_entries import conversation
from helpers.openai_server import Behaviour, Body, OpenAIServer, plans, rejects, status, talk, teach
from helpers.tiny_runs import NEVER, ROLLOUT, TinyRun, make_run, tiny_config
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.make import make_chat_model
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.agents.teacher.teacher import Teacher
from tutelage.graphs.runtime.errors import one_line
from tutelage.graphs.runtime.run_spec import RunSpec
from tutelage.prompts.library import PromptLibrary
from tutelage.rl.minigrid.script import GridScript
from tutelage.rl.tasks.lookups import UnknownLookupError
from tutelage.rl.tasks.options import Option

GOOD: list[tuple[str, Any]] = [("pick_up", {"target": "red key"}), ("open", {"target": "red door"})]
GOOD_PLAN = (Option("pick_up", "red key"), Option("open", "red door"))
WEATHER: list[tuple[str, Any]] = [("look_up_weather", {})]
TIME: list[tuple[str, Any]] = [("look_up_time", {})]
ALL = ("weather", "time")


class House:
    """Situations with two look-ups; only the first four bits of a situation id are in the text."""

    name = "House"
    teacher_script = GridScript()
    offered_lookups: Mapping[str, str] = {
        "weather": "how the weather is.",
        "time": "what time it is.",
    }

    def __init__(self, lookups: Sequence[str] = ALL) -> None:
        self.lookups = tuple(lookups)

    def with_lookups(self, names: Sequence[str]) -> Any:
        return House(names)

    def look_up(self, name: str, situation_id: int) -> str:
        return f"{name}: {'sunny' if name == 'weather' else 'noon'} {situation_id >> 4}"

    def describe(self, situation_id: int) -> str:
        return (
            "mission: open the door\ncarrying: nothing\n"
            f"seen: red key; red door (locked)\nunexplored: yes\nnumber: {situation_id & 15}"
        )

    def options(self, situation_id: int) -> tuple[Option, ...]:  # noqa: ARG002  # the protocol's
        return (Option("explore"), Option("pick_up", "red key"), Option("open", "red door"))


def settings(**values: Any) -> TeacherSettings:
    return TeacherSettings(
        **{"backoff_s": 0.0, "timeout_s": 5.0, "samples": 3, "lookups": ALL, **values}
    )


def planner_for(url: str, **values: Any) -> Planner:
    chosen = settings(**values)
    provider = make_chat_model("openai:test-model", url, chosen)
    return Planner(House(chosen.lookups), PromptLibrary(None), provider, chosen)


def ask(
    *behaviours: Behaviour, situations: Sequence[int] = (1,), **values: Any
) -> tuple[list[PlannerAnswer], list[Body]]:
    with OpenAIServer(*behaviours) as server:
        planner = planner_for(server.base_url, **values)
        answers = [planner.ask(situation) for situation in situations]
        return answers, [request.body for request in server.requests]


def tools_of(body: Body) -> list[str]:
    return [tool["function"]["name"] for tool in body.get("tools", [])]


OPTIONS = ["explore", "pick_up", "open"]
LOOKS = ["look_up_weather", "look_up_time"]


# --- the conversation -----------------------------------------------------------------------------


def test_look_ups_come_first_and_once_and_the_samples_after_them() -> None:
    (answer,), bodies = ask(plans(WEATHER + TIME), plans(GOOD, GOOD, GOOD), situations=[0x21])
    assert answer.failure is None
    assert answer.advice is not None
    assert answer.advice.probs == pytest.approx((1.0,))
    looking, deciding = bodies
    assert tools_of(looking) == LOOKS + OPTIONS
    assert "n" not in looking
    assert tools_of(deciding) == OPTIONS, "looking is over"
    assert deciding["n"] == 3
    assert [m["role"] for m in deciding["messages"]] == [
        *(m["role"] for m in looking["messages"]),
        "assistant",
        "tool",
        "tool",
    ]
    called, weather, noon = deciding["messages"][-3:]
    assert [c["function"]["name"] for c in called["tool_calls"]] == LOOKS
    assert [c["id"] for c in called["tool_calls"]] == [
        weather["tool_call_id"],
        noon["tool_call_id"],
    ]
    assert (weather["content"], noon["content"]) == ("weather: sunny 2", "time: noon 2")
    assert "sunny" not in json.dumps(looking["messages"])


def test_the_model_may_look_again_within_bounds() -> None:
    (answer,), bodies = ask(plans(WEATHER), plans(TIME), plans(GOOD, GOOD, GOOD))
    assert len(bodies) == 3
    assert answer.failure is None
    stubborn = plans(WEATHER)
    (answer,), bodies = ask(stubborn, max_lookup_rounds=4)
    looking = [bool(set(LOOKS) & set(tools_of(body))) for body in bodies]
    assert looking == [True] * 4 + [False] * 6, "each of three samples goes back once"
    assert (answer.advice, answer.failure) == (None, "unusable_answer")


def test_a_model_that_decides_at_once_has_given_its_first_sample() -> None:
    (answer,), bodies = ask(plans(GOOD), plans(GOOD, [("explore", {})]))
    assert answer.advice is not None
    assert answer.advice.probs == pytest.approx((2 / 3, 1 / 3))
    assert [body.get("n") for body in bodies] == [None, 2]
    assert all(m["role"] != "tool" for m in bodies[1]["messages"])


def test_look_ups_and_options_in_one_answer_are_a_look() -> None:
    (answer,), bodies = ask(plans(WEATHER + GOOD), plans(TIME), plans(*[GOOD] * 3))
    assert answer.failure is None
    assert len(bodies) == 3
    told = [m["content"] for m in bodies[1]["messages"] if m["role"] == "tool"]
    assert told == ["weather: sunny 0"]


def test_an_unknown_look_up_is_told_which_there_are() -> None:
    (answer,), bodies = ask(
        plans(
            [("look_up_prices", {"of": 1})],
        ),
        plans(*[GOOD] * 3),
    )
    assert answer.failure is None
    told = next(m["content"] for m in bodies[1]["messages"] if m["role"] == "tool")
    assert told == "There is no such look-up; there are: look_up_weather, look_up_time."


def test_what_to_look_up_is_asked_once_where_the_situations_read_the_same() -> None:
    answers, bodies = ask(plans(WEATHER + TIME), plans(*[GOOD] * 3), situations=[0x11, 0x21, 0x31])
    assert [answer.failure for answer in answers] == [None] * 3
    assert len(bodies) == 1 + 3
    told = [[m["content"] for m in b["messages"] if m["role"] == "tool"] for b in bodies[1:]]
    assert told == [[f"weather: sunny {i}", f"time: noon {i}"] for i in (1, 2, 3)]
    assert [len(answer.calls) for answer in answers] == [2, 1, 1]


@pytest.mark.parametrize("fault", [status(503), status(429), talk("Hm.")])
def test_a_fault_while_looking_is_tried_again_or_passed_over(fault: Behaviour) -> None:
    (answer,), _ = ask(fault, plans(WEATHER + TIME), plans(*[GOOD] * 3))
    assert answer.failure is None or answer.advice is None
    assert answer.calls[0].status in ("provider_down", "rate_limited", "ok")


def test_a_server_without_tools_is_told_all_at_once() -> None:
    in_words = json.dumps({"plan": [{"option": n, "target": a["target"]} for n, a in GOOD]})
    (answer,), bodies = ask(rejects("tools", talk(*[in_words] * 3)), situations=[0x31])
    assert (answer.output_mode, answer.failure) == ("json", None)
    assert answer.advice is not None
    assert answer.advice.plans == (GOOD_PLAN,)
    last = bodies[-1]["messages"][-1]["content"]
    assert "weather: sunny 3\n\ntime: noon 3" in last


def test_the_script_looks_everything_up_and_reconsiders_plans_that_failed() -> None:
    class Failing(House):
        word = "nothing clear so far"

        def look_up(self, name: str, situation_id: int) -> str:
            return (
                f"plans here: {self.word}"
                if name == "time"
                else super().look_up(name, situation_id)
            )

    chosen, task = settings(temperature=0.0, samples=1), Failing()
    found = []
    for word in ("nothing clear so far", "tried and mostly failed: they could not be carried out"):
        task.word = word
        planner = Planner(
            task, PromptLibrary(None), make_chat_model("offline", None, chosen, task), chosen
        )
        answer = planner.ask(1)
        assert len(answer.calls) == 2
        assert answer.advice is not None
        found.append(answer.advice.plans[0])
    assert found[0][:2] == GOOD_PLAN
    assert found[1] != found[0]


# --- the cache ------------------------------------------------------------------------------------


def asked(cache: PlanCache, url: str, situation: int, **values: Any) -> bool:
    """Whether the model had to be asked."""
    chosen = settings(**values)
    provider = make_chat_model("openai:test-model", url, chosen)
    teacher = Teacher(House(chosen.lookups), PromptLibrary(None), provider, chosen, cache)
    if teacher.lookup([situation]):
        return False
    teacher.submit([situation], 0)
    (answer,) = teacher.harvest(wait_for_all=True)
    assert answer.failure is None
    return True


def test_the_cache_covers_what_could_be_looked_up(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path / "plans.sqlite")
    with OpenAIServer() as server:
        url = server.base_url
        assert asked(cache, url, 0x11)
        assert not asked(cache, url, 0x11)
        assert asked(cache, url, 0x21), "the same words, but another answer of a look-up"
        assert asked(cache, url, 0x11, lookups=("weather",)), "one look-up less"
        assert asked(cache, url, 0x11, lookups=())
        assert not asked(cache, url, 0x21, lookups=()), "nothing tells the two apart"
        assert not asked(cache, url, 0x21)
    cache.close()


def test_a_hit_brings_the_look_ups_with_it(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path / "plans.sqlite")
    chosen = settings()
    with OpenAIServer() as server:
        provider = make_chat_model("openai:test-model", server.base_url, chosen)
        teacher = Teacher(House(), PromptLibrary(None), provider, chosen, cache)
        teacher.submit([0x21], 0)
        (fresh,) = teacher.harvest(wait_for_all=True)
        (found,) = teacher.lookup([0x21])
    cache.close()
    assert found.advice == fresh.advice
    assert [conversation(c) for c in found.calls] == [conversation(c) for c in fresh.calls]
    assert "weather: sunny 2" in json.dumps(found.calls[-1].messages)


# --- settings -------------------------------------------------------------------------------------


def test_names_may_be_written_with_commas_and_count_once() -> None:
    assert TeacherSettings(lookups="objects, record,objects").lookups == ("objects", "record")
    assert TeacherSettings(lookups="").lookups == ()


def test_a_look_up_that_is_not_on_offer_is_refused_in_one_line(tmp_path: Path) -> None:
    chosen = settings(lookups=("weather",))
    provider = make_chat_model("offline", None, chosen, House())
    with pytest.raises(UnknownLookupError, match="not switched on"):
        Planner(House(()), PromptLibrary(None), provider, chosen)
    config = tiny_config(tmp_path, teacher__lookups=["objects", "weather"])
    with pytest.raises(UnknownLookupError) as caught:
        RunSpec(config)
    assert one_line(caught.value) == (
        "task SimpleDoorKey offers no look-up 'weather'; allowed: objects, inventory, record"
    )


# --- real runs ------------------------------------------------------------------------------------


def texts_by_iteration(run: TinyRun) -> dict[int, set[int]]:
    with run.trace() as trace:
        found: dict[int, set[int]] = {}
        for situation in trace.situations():
            for visit in trace.visits(situation.situation_id):
                found.setdefault(visit.iteration, set()).add(situation.situation_id)
    return found


def test_a_run_with_all_look_ups_asks_little_and_keys_change_only_at_evaluations(
    tmp_path: Path,
) -> None:
    options: dict[str, Any] = {
        "steps": 30 * ROLLOUT,
        "evaluation__every": 10 * ROLLOUT,
        "teacher__lookups": ["objects", "inventory", "record"],
        "weaning__schedule": "constant",
    }
    run = make_run(tmp_path, **options)
    assert run.summary.llm.failures == 0
    assert 10 <= run.summary.llm.calls <= 40
    seen = texts_by_iteration(run)
    words = {
        iteration: {own: {s & 3 for s in found if s >> 2 == own} for own in {s >> 2 for s in found}}
        for iteration, found in seen.items()
    }
    for start in (1, 11, 21):
        spans = [words[i] for i in range(start, start + 10) if i in words]
        for own in {own for span in spans for own in span}:
            assert len(set().union(*(span.get(own, set()) for span in spans))) == 1
    again = make_run(tmp_path / "again", **options, cache=run.cache)
    assert again.summary.llm.calls == 0
    assert again.figures("llm_calls", "cache_hits") == run.figures("llm_calls", "cache_hits")


def test_ten_samples_cost_one_request_a_situation(tmp_path: Path) -> None:
    with OpenAIServer(teach()) as server:
        run = make_run(
            tmp_path,
            provider="openai:test-model",
            base_url=server.base_url,
            wait=True,
            teacher__samples=10,
            steps=40 * ROLLOUT,
            evaluation__every=NEVER,
        )
    assert run.summary.llm.failures == 0
    assert run.summary.llm.situations >= 6
    assert len(server.requests) == run.summary.llm.calls == run.summary.llm.situations <= 10
    assert {request.body["n"] for request in server.requests} == {10}
