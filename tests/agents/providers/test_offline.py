"""The offline teacher: sensible plans from the situation alone, draws that no order can change."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from helpers.offline_situations import (
    SCRIPT,
    ask,
    offered_in,
    situations,
    text_of,
)
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.planner.option_tools import OptionTools
from tutelage.agents.planner.planner import Planner
from tutelage.agents.planner.verbaliser import plain
from tutelage.agents.providers.make import ProviderError, make_chat_model
from tutelage.agents.providers.offline import MODEL_NAME, OfflineTeacher, draw
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.agents.teacher.fallback import make_models
from tutelage.agents.teacher.teacher import Teacher
from tutelage.prompts.library import PromptLibrary
from tutelage.rl.advice.advice import Advice
from tutelage.rl.minigrid.script import SituationFields, candidates
from tutelage.rl.tasks.options import Option, Plan
from tutelage.rl.tasks.scripts import BEST, ScriptedByPlan


@given(situations, st.integers(0, 5), st.integers(1, 6), st.sampled_from((0.0, 0.5, 1.0, 2.0)))
def test_every_answer_is_a_plan_of_options_on_offer(
    case: tuple[str, str, tuple[str, ...], bool], seed: int, limit: int, temperature: float
) -> None:
    offered = offered_in(*case[1:])
    if offered:
        model = OfflineTeacher(script=SCRIPT, seed=seed, temperature=temperature, max_options=limit)
        for plan in ask(model, text_of(*case), offered, n=4):
            assert 1 <= len(plan) <= limit
            assert set(plan) <= set(offered)
            assert len(set(plan)) == len(plan)


@given(situations, st.integers(0, 100), st.permutations(range(6)))
def test_draws_depend_on_the_sample_index_and_on_no_order(
    case: tuple[str, str, tuple[str, ...], bool], seed: int, order: list[int]
) -> None:
    offered = offered_in(*case[1:]) or (Option("wait"),)
    model = OfflineTeacher(script=SCRIPT, seed=seed, temperature=2.0)
    together = ask(model, text_of(*case), offered, n=6)
    alone = {i: ask(model, text_of(*case), offered, first=i)[0] for i in order}
    assert together == [alone[i] for i in range(6)]


@given(situations, st.integers(0, 100), st.text())
def test_draws_do_not_depend_on_the_wording_of_the_prompt(
    case: tuple[str, str, tuple[str, ...], bool], seed: int, system: str
) -> None:
    offered = offered_in(*case[1:]) or (Option("wait"),)
    model = OfflineTeacher(script=SCRIPT, seed=seed, temperature=2.0)
    here, reworded = (ask(model, text_of(*case), offered, n=6, system=s) for s in ("", system))
    assert here == reworded


def test_draws_are_the_same_in_many_threads() -> None:
    seen = ("red key", "red door (locked)")
    offered = offered_in("nothing", seen, True)
    model = OfflineTeacher(script=SCRIPT, temperature=2.0)

    def draw_one(i: int) -> Plan:
        return ask(model, text_of("open the door", "nothing", seen, True), offered, first=i)[0]

    with ThreadPoolExecutor(8) as pool:
        threaded = list(pool.map(draw_one, range(64)))
    assert threaded == [draw_one(i) for i in range(64)]
    assert len(set(threaded)) > 1


def plan(*steps: str) -> Plan:
    """A plan from texts such as `pick_up(red key)`."""
    pairs = [step.rstrip(")").split("(") for step in steps]
    return tuple(Option(name, target or None) for name, target in pairs)


@pytest.mark.parametrize(
    ("mission", "carrying", "seen", "unexplored", "best"),
    [
        ("open the door", "nothing", "", True, ["explore()"]),
        (
            "open the door",
            "nothing",
            "red key; red door (locked)",
            True,
            ["pick_up(red key)", "open(red door)", "explore()"],
        ),
        (
            "open the door",
            "red key",
            "red door (locked); lava",
            True,
            ["open(red door)", "explore()"],
        ),
        ("open the door", "red key", "", True, ["explore()"]),
        ("open the door", "nothing", "red key", True, ["pick_up(red key)", "explore()"]),
        ("open the door", "nothing", "red door (locked)", True, ["explore()"]),
        ("open the door", "red key", "blue door (locked)", True, ["drop()", "explore()"]),
        (
            "open the door",
            "red key",
            "blue key; blue door (locked)",
            False,
            ["drop()", "pick_up(blue key)", "open(blue door)"],
        ),
        (
            "open the red door then the blue door",
            "nothing",
            "blue door (closed); red door (closed)",
            False,
            ["open(red door)", "open(blue door)"],
        ),
        ("get to the green goal square", "nothing", "", True, ["explore()"]),
        ("reach the goal", "nothing", "green goal", True, ["go_to(green goal)", "explore()"]),
        ("reach the goal", "nothing", "green goal; lava", False, ["go_to(green goal)"]),
        (
            "use the key to open the door and then get to the goal",
            "nothing",
            "green goal; yellow key; yellow door (locked)",
            True,
            ["go_to(green goal)", "pick_up(yellow key)", "open(yellow door)", "explore()"],
        ),
        (
            "use the key to open the door and then get to the goal",
            "yellow key",
            "yellow door (open)",
            True,
            ["explore()"],
        ),
        (
            "traverse the rooms to get to the goal",
            "nothing",
            "grey door (closed)",
            True,
            ["open(grey door)", "explore()"],
        ),
        (
            "pick up the green box",
            "red key",
            "green box; red door (open)",
            True,
            ["drop()", "pick_up(green box)", "explore()"],
        ),
        (
            "pick up the green box",
            "red key",
            "green box; red door (locked)",
            False,
            ["open(red door)", "drop()", "pick_up(green box)"],
        ),
        ("go to the red ball", "nothing", "blue ball; red ball", False, ["go_to(red ball)"]),
        ("fetch a blue key", "nothing", "blue key", False, ["pick_up(blue key)"]),
        (
            "put the red ball near the blue box",
            "red ball",
            "blue box",
            False,
            ["go_to(blue box)", "drop()"],
        ),
        ("go to the red ball", "nothing", "blue ball", False, ["go_to(blue ball)"]),
    ],
)
def test_the_best_plan_is_the_sensible_one(
    mission: str, carrying: str, seen: str, unexplored: bool, best: list[str]
) -> None:
    things_seen = tuple(item for item in seen.split("; ") if item)
    text = text_of(mission, carrying, things_seen, unexplored)
    offered = offered_in(carrying, things_seen, unexplored)
    assert ask(OfflineTeacher(script=SCRIPT, temperature=0.0), text, offered) == [plan(*best)]


@pytest.mark.parametrize(
    ("carrying", "seen"),
    [
        ("nothing", ("red key", "red door (locked)")),
        ("red key", ("red door (locked)",)),
        ("nothing", ("red key",)),
        ("red key", ("blue key", "blue door (locked)")),
    ],
)
def test_mostly_right_sometimes_unsure_rarely_wrong(carrying: str, seen: tuple[str, ...]) -> None:
    text = text_of("open the door", carrying, seen, True)
    offered = offered_in(carrying, seen, True)
    plans = Counter(ask(OfflineTeacher(script=SCRIPT), text, offered, n=2000))
    best = ask(OfflineTeacher(script=SCRIPT, temperature=0.0), text, offered)[0]
    assert 0.80 < plans[best] / 2000 < 0.97
    assert len(plans) >= 2
    hot = Counter(ask(OfflineTeacher(script=SCRIPT, temperature=2.0), text, offered, n=2000))
    assert hot[best] < plans[best]


@given(situations, st.sampled_from((0.3, 1.0, 2.0)))
def test_draws_follow_softmax_of_the_scores(
    case: tuple[str, str, tuple[str, ...], bool], temperature: float
) -> None:
    offered = offered_in(*case[1:]) or (Option("wait"),)
    found = candidates(SituationFields.parse(text_of(*case)), offered, 5)
    assert found[0].score == BEST == max(candidate.score for candidate in found)
    assert len({candidate.plan for candidate in found}) == len(found)
    weights = [math.exp(candidate.score / temperature) for candidate in found]
    grid = Counter(draw(found, temperature, (i + 0.5) / 1000) for i in range(1000))
    for candidate, weight in zip(found, weights, strict=True):
        assert grid[candidate.plan] / 1000 == pytest.approx(weight / sum(weights), abs=2e-3)


def test_seed_and_text_change_the_draws() -> None:
    seen = ("red key", "red door (locked)")
    offered = offered_in("nothing", seen, True)
    text = text_of("open the door", "nothing", seen, True)
    one = ask(OfflineTeacher(script=SCRIPT, seed=1, temperature=2.0), text, offered, n=50)
    assert one != ask(OfflineTeacher(script=SCRIPT, seed=2, temperature=2.0), text, offered, n=50)
    assert one != ask(
        OfflineTeacher(script=SCRIPT, seed=1, temperature=2.0), text + "\nnote: x", offered, n=50
    )
    assert one == ask(OfflineTeacher(script=SCRIPT, seed=1, temperature=2.0), text, offered, n=50)


VALVE = Option("turn valve", "left")
"""An option whose name no tool may have."""
WAIT = Option("wait")


class Boiler(ScriptedByPlan):
    """A task of one's own. said: what its script says in each situation."""

    name = "Boiler"

    def __init__(self, *said: Plan | None) -> None:
        self.said = said

    def describe(self, situation_id: int) -> str:
        return f"pressure: {situation_id}"

    def options(self, situation_id: int) -> tuple[Option, ...]:  # noqa: ARG002  # the protocol's
        return (VALVE, WAIT, Option("shout"))

    def script(self, situation: str) -> Plan | None:
        return self.said[int(situation.removeprefix("pressure: "))]


def asked(
    task: Boiler, provider: str = "offline", situation: int = 0, **more: Any
) -> PlannerAnswer:
    chosen = TeacherSettings(samples=2, backoff_s=0.0, **more)
    model = make_chat_model(provider, None, chosen, task)
    return Planner(task, PromptLibrary(), model, chosen).ask(situation)


def test_a_task_of_ones_own_is_taught_by_its_script() -> None:
    task = Boiler((VALVE, WAIT, VALVE), [WAIT])  # type: ignore[arg-type]  # a list does as well
    assert asked(task).advice == Advice(((VALVE, WAIT, VALVE),), (1.0,))
    assert asked(task, max_options=2).advice == Advice(((VALVE, WAIT),), (1.0,))
    assert asked(task, situation=1).advice == Advice(((WAIT,),), (1.0,))


def test_its_faults_are_the_other_options_on_offer() -> None:
    task = Boiler((VALVE, WAIT))
    assert asked(task, "adversarial").advice == Advice(((Option("shout"),),), (1.0,))
    assert asked(task, "faulty:1").advice == Advice(((Option("shout"),),), (1.0,))
    assert asked(task, "faulty:0").advice == Advice(((VALVE, WAIT),), (1.0,))
    assert asked(task, "weak", temperature=0.0).advice == Advice(((VALVE,),), (1.0,))
    assert asked(task, "forgetful:1").failure == "unusable_answer"


@pytest.mark.parametrize("provider", ["offline", "weak", "faulty:1", "adversarial", "forgetful:0"])
@pytest.mark.parametrize("nothing", [None, ()])
def test_a_script_that_says_nothing_is_no_usable_answer(
    provider: str, nothing: Plan | None
) -> None:
    answer = asked(Boiler(nothing), provider)
    assert (answer.failure, answer.advice) == ("unusable_answer", None)
    assert all(call.settings["output_mode"] == "required" for call in answer.calls)
    if provider != "adversarial":
        assert answer.calls[0].error == (
            "unknown tool 'script_says_nothing'; allowed: turn_valve, wait, shout"
        )


@pytest.mark.parametrize(
    ("plan", "error"),
    [
        ((WAIT, Option("fly")), "unknown tool 'fly'; allowed: turn_valve, wait, shout"),
        (
            (Option("turn valve", "up"),),
            "unknown target 'up' for tool turn_valve; allowed: left",
        ),
    ],
)
def test_a_plan_that_is_not_on_offer_is_no_usable_answer(plan: Plan, error: str) -> None:
    answer = asked(Boiler(plan))
    assert (answer.failure, answer.advice) == ("unusable_answer", None)
    assert {call.error for call in answer.calls} == {error}


class Mute(Boiler):
    """A task whose script was never written."""

    name = "Mute"
    script = ScriptedByPlan.script


@pytest.mark.parametrize(
    ("make", "begins"),
    [
        *(
            (partial(make_chat_model, name, None, TeacherSettings(), Mute()), f"provider '{name}'")
            for name in ("offline", "faulty:0.3", "forgetful:0.3", "adversarial", "weak")
        ),
        (
            partial(make_models, TeacherSettings(fallback=("cached", "offline")), Mute()),
            "teacher.fallback: provider 'offline'",
        ),
    ],
)
def test_a_task_without_a_script_is_refused_with_what_to_do(
    make: Callable[[], object], begins: str
) -> None:
    with pytest.raises(ProviderError, match="task 'Mute' has none") as refused:
        make()
    line = str(refused.value)
    assert "\n" not in line
    for way in ("script(situation)", "--provider openai:MODEL", "replay:FILE", "human"):
        assert way in line
    assert line.startswith(begins)


def test_what_a_script_of_no_version_says_is_not_kept(cache: PlanCache) -> None:
    task, chosen = Boiler((VALVE,)), TeacherSettings(samples=1)
    model = make_chat_model("offline", None, chosen, task)
    for plan in ((VALVE,), (WAIT,)):
        task.said = (plan,)  # as if it had been edited between two runs
        teacher = Teacher(task, PromptLibrary(), model, chosen, cache)
        assert teacher.lookup([0]) == []
        teacher.submit([0], 1)
        (answer,) = teacher.harvest(wait_for_all=True)
        assert answer.advice == Advice((plan,), (1.0,))
        teacher.close()
    assert cache.entries() == {}


def test_the_last_block_of_the_last_human_message_counts() -> None:
    tools = OptionTools((Option("explore"), Option("go_to", "green goal"))).schemas
    model = OfflineTeacher(script=SCRIPT, temperature=0.0)
    before = "```situation\nmission: reach the goal\nseen: green goal\n```"
    now = f"Earlier:\n{before}\nNow:\n```situation\nmission: reach the goal\nseen: nothing\n```"
    answer = model.bind_tools(tools).invoke([HumanMessage(now), AIMessage("?")])
    assert [call["name"] for call in answer.tool_calls] == ["explore"]


@given(st.text())
def test_text_from_the_world_cannot_end_its_fence(mission: str) -> None:
    fenced = f"```situation\n{plain(text_of(mission, 'nothing', (), True))}\n```\nOptions: none"
    assert fenced.count("```") == 2
    assert not any(ord(char) < 32 and char != "\n" for char in fenced)


def test_it_says_that_it_is_a_script() -> None:
    model = OfflineTeacher(script=SCRIPT)
    assert "no-llm" in model._llm_type
    assert model._identifying_params["is_llm"] is False
    assert "script" in str(model.invoke("Who are you?").content)
    tools = OptionTools((Option("explore"),)).schemas
    answer = model.bind_tools(tools).invoke("Plan.")
    assert answer.response_metadata["model_name"] == MODEL_NAME
    assert answer.usage_metadata is not None
    usage = answer.usage_metadata
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
