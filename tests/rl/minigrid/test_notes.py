"""What every grid task tells its teacher: in all of them, with examples that could be real."""

from __future__ import annotations

import hashlib
import re

import pytest

from helpers.offline_situations import offered_in
from tutelage.rl.minigrid.notes import EXAMPLES, notes_with
from tutelage.rl.minigrid.options import VERBS, every_option
from tutelage.rl.minigrid.script import SituationFields
from tutelage.rl.minigrid.task import GridTask
from tutelage.rl.tasks.registry import make_task


@pytest.mark.parametrize("name", ["SimpleDoorKey", "LavaDoorKey", "MiniGrid-Empty-5x5-v0"])
def test_a_grid_task_tells_the_common_notes_around_its_own(name: str) -> None:
    task = make_task(name, 7)
    assert isinstance(task, GridTask)
    common = notes_with("")
    assert set(common.split("\n\n")) < set(task.notes.split("\n\n"))
    assert task.notes.startswith(common.partition("## The fields")[0])


@pytest.mark.parametrize(("why", "text", "plan"), EXAMPLES)
def test_an_example_is_possible_and_names_only_what_was_seen(
    why: str, text: str, plan: str
) -> None:
    assert why.endswith(":")
    situation = SituationFields.parse(text)
    assert situation.mission
    carried = situation.carrying.name if situation.carrying else "nothing"
    seen = re.findall(r"^seen: (.*)$", text, re.MULTILINE)[0].split("; ")
    offered = {str(o) for o in offered_in(carried, tuple(seen), situation.unexplored)}
    steps = re.findall(r"`(.*?)`", plan)
    assert steps
    # What comes after a step that changes the situation may be on offer only then.
    assert steps[0] in offered
    assert set(steps) - offered <= {"explore()"}


def test_each_option_says_what_it_does() -> None:
    told = {option.name: option.help for option in every_option()}
    assert set(told) == set(VERBS)
    assert len(set(told.values())) == len(VERBS)
    assert all(help_.endswith(".") for help_ in told.values())
    task = make_task("LavaDoorKey", 7)
    first = 1 << 43 | 1 << 2 | 1 << 32
    assert {o.help for o in task.options(first)} <= set(told.values())
    assert all(option.help for option in task.options(first))


def test_the_notes_change_on_purpose_alone() -> None:
    """Plan caches depend on each byte that is sent."""
    digest = "f71a9e5041526545211af0cb96d618be0b42d2c07f403c58f2c7b8ae1e93fe93"
    assert hashlib.sha256(notes_with("<own>").encode()).hexdigest() == digest
