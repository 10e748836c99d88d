"""Scripts of tasks: one function is enough, and its mistakes are told in a line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from helpers.toy_task import PULL_IT, WALK_TO_EXIT, WALK_TO_LEVER, WANDER, Corridor
from tutelage.rl.minigrid.script import GridScript
from tutelage.rl.tasks.lookups import with_lookups
from tutelage.rl.tasks.option_mdp import OptionTask
from tutelage.rl.tasks.options import Option
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.scripts import (
    BEST,
    SENSIBLE,
    Candidate,
    PlanScript,
    ScriptedByPlan,
    ScriptError,
    script_of,
)

OFFERED = (WALK_TO_LEVER, PULL_IT, WALK_TO_EXIT, WANDER)
TEXT = "mission: leave\nplace: here"


def test_help_is_no_part_of_an_option() -> None:
    bare, told = Option("go", "home"), Option("go", "home", "Go there.")
    assert bare == told
    assert hash(bare) == hash(told)
    assert not bare < told
    assert str(bare) == str(told)
    assert told.bare().help == ""


def test_a_plan_is_the_best_and_all_else_is_wrong() -> None:
    plan = (WALK_TO_LEVER, PULL_IT, WALK_TO_EXIT)
    script = PlanScript(lambda text: plan if text == TEXT else None)
    assert script.candidates(TEXT, OFFERED, 5) == [Candidate(plan, BEST)]
    assert script.candidates(TEXT, OFFERED, 2) == [Candidate(plan[:2], BEST)]
    assert script.candidates("mission: stay", OFFERED, 5) == []
    assert script.wrong_steps(TEXT, OFFERED, plan) == [WANDER]
    assert script.wrong_steps(TEXT, plan, plan) == []


def test_a_teacher_that_stalls_leaves_out_the_last_step() -> None:
    script = PlanScript(lambda _: None)
    best = Candidate((WALK_TO_LEVER, PULL_IT), BEST)
    first, second = script.stalled(TEXT, OFFERED, [best], 5)
    assert first == Candidate((WALK_TO_LEVER,), BEST)
    assert second == Candidate(best.plan, SENSIBLE)
    alone = [Candidate((PULL_IT,), BEST)]
    assert script.stalled(TEXT, OFFERED, alone, 5) == alone


def _broken(situation: str) -> Any:
    return {}[situation]


@pytest.mark.parametrize("wrong", ["walk", ("walk",), WALK_TO_EXIT, 3, {WALK_TO_EXIT}])
def test_what_is_no_plan_is_told_in_a_line(wrong: Any) -> None:
    with pytest.raises(ScriptError) as told:
        PlanScript(lambda _: wrong).candidates(TEXT, OFFERED, 5)
    assert str(told.value) == (
        f"script: returned {wrong!r}; needed: a tuple of options, or None, "
        "in the situation: mission: leave; place: here"
    )


def test_an_exception_of_ones_own_is_told_with_its_line() -> None:
    line = _broken.__code__.co_firstlineno + 1
    with pytest.raises(ScriptError) as told:
        PlanScript(_broken).candidates(TEXT, OFFERED, 5)
    assert "\n" not in str(told.value)
    assert str(told.value).startswith("script: KeyError: ")
    assert f"test_scripts.py, line {line})" in str(told.value)
    assert str(told.value).endswith("in the situation: mission: leave; place: here")


def _broken_inside(situation: str) -> Any:
    json.loads(situation)


def test_the_line_is_ones_own_and_the_message_is_one_line() -> None:
    line = _broken_inside.__code__.co_firstlineno + 1
    with pytest.raises(ScriptError, match=rf"test_scripts\.py, line {line}\)"):
        PlanScript(_broken_inside).candidates(TEXT, OFFERED, 5)

    def shout(situation: str) -> Any:
        raise ValueError(f"two\nlines of {situation}")

    with pytest.raises(ScriptError) as told:
        PlanScript(shout).candidates(TEXT, OFFERED, 5)
    assert "\n" not in str(told.value)
    assert "ValueError: two lines of mission: leave place: here (" in str(told.value)


def test_only_a_script_that_was_written_is_one() -> None:
    class Mute(ScriptedByPlan):
        pass

    class Unwritten(Corridor):
        script = ScriptedByPlan.script

    assert script_of(Mute()) is None
    assert script_of(Unwritten()) is None
    assert script_of(object()) is None
    assert script_of(Corridor()) is not None


def test_wrappers_pass_the_script_on() -> None:
    for task in (
        with_lookups(make_task("SimpleDoorKey", 7), ["objects", "record"]),
        OptionTask(make_task("SimpleDoorKey", 7), 0.99, 10),
    ):
        assert isinstance(script_of(task), GridScript)
    corridor = with_lookups(Corridor(), ["record"])
    script = script_of(corridor)
    assert script is not None
    (found,) = script.candidates(corridor.describe(0), corridor.options(0), 5)
    assert found.plan == (WALK_TO_LEVER,)
