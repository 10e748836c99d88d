"""The offline teacher: sensible plans from the situation alone, draws that no order can change."""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from helpers.offline_situations import (
    ask,
    offered_in,
    situations,
    text_of,
)
from tutelage.agents.planner.option_tools import OptionTools
from tutelage.agents.planner.verbaliser import plain
from tutelage.agents.providers.offline import MODEL_NAME, OfflineTeacher
from tutelage.agents.providers.offline_rules import BEST, SituationFields, candidates, draw
from tutelage.rl.tasks.options import Option, Plan


@given(situations, st.integers(0, 5), st.integers(1, 6), st.sampled_from((0.0, 0.5, 1.0, 2.0)))
def test_every_answer_is_a_plan_of_options_on_offer(
    case: tuple[str, str, tuple[str, ...], bool], seed: int, limit: int, temperature: float
) -> None:
    offered = offered_in(*case[1:])
    if offered:
        model = OfflineTeacher(seed=seed, temperature=temperature, max_options=limit)
        for plan in ask(model, text_of(*case), offered, n=4):
            assert 1 <= len(plan) <= limit
            assert set(plan) <= set(offered)
            assert len(set(plan)) == len(plan)


@given(situations, st.integers(0, 100), st.permutations(range(6)))
def test_draws_depend_on_the_sample_index_and_on_no_order(
    case: tuple[str, str, tuple[str, ...], bool], seed: int, order: list[int]
) -> None:
    offered = offered_in(*case[1:]) or (Option("wait"),)
    model = OfflineTeacher(seed=seed, temperature=2.0)
    together = ask(model, text_of(*case), offered, n=6)
    alone = {i: ask(model, text_of(*case), offered, first=i)[0] for i in order}
    assert together == [alone[i] for i in range(6)]


@given(situations, st.integers(0, 100), st.text())
def test_draws_do_not_depend_on_the_wording_of_the_prompt(
    case: tuple[str, str, tuple[str, ...], bool], seed: int, system: str
) -> None:
    offered = offered_in(*case[1:]) or (Option("wait"),)
    model = OfflineTeacher(seed=seed, temperature=2.0)
    here, reworded = (ask(model, text_of(*case), offered, n=6, system=s) for s in ("", system))
    assert here == reworded


def test_draws_are_the_same_in_many_threads() -> None:
    seen = ("red key", "red door (locked)")
    offered = offered_in("nothing", seen, True)
    model = OfflineTeacher(temperature=2.0)

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
    assert ask(OfflineTeacher(temperature=0.0), text, offered) == [plan(*best)]


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
    plans = Counter(ask(OfflineTeacher(), text, offered, n=2000))
    best = ask(OfflineTeacher(temperature=0.0), text, offered)[0]
    assert 0.80 < plans[best] / 2000 < 0.97
    assert len(plans) >= 2
    hot = Counter(ask(OfflineTeacher(temperature=2.0), text, offered, n=2000))
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
    one = ask(OfflineTeacher(seed=1, temperature=2.0), text, offered, n=50)
    assert one != ask(OfflineTeacher(seed=2, temperature=2.0), text, offered, n=50)
    assert one != ask(OfflineTeacher(seed=1, temperature=2.0), text + "\nnote: x", offered, n=50)
    assert one == ask(OfflineTeacher(seed=1, temperature=2.0), text, offered, n=50)


def test_a_task_of_ones_own_gets_its_first_option() -> None:
    offered = (Option("turn_valve", "left"), Option("wait"))
    assert ask(OfflineTeacher(), "pressure: high", offered) == [offered[:1]]


def test_the_last_block_of_the_last_human_message_counts() -> None:
    tools = OptionTools((Option("explore"), Option("go_to", "green goal"))).schemas
    model = OfflineTeacher(temperature=0.0)
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
    model = OfflineTeacher()
    assert "no-llm" in model._llm_type
    assert model._identifying_params["is_llm"] is False
    assert "script" in str(model.invoke("Who are you?").content)
    tools = OptionTools((Option("explore"),)).schemas
    answer = model.bind_tools(tools).invoke("Plan.")
    assert answer.response_metadata["model_name"] == MODEL_NAME
    assert answer.usage_metadata is not None
    usage = answer.usage_metadata
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
