"""The record of past plans: words that follow from what was seen, and keys that change seldom."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.toy_task import OPTIONS, Corridor
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import LookupTask, States, Task
from tutelage.rl.tasks.lookups import UnknownLookupError, checked_lookups, full_text, with_lookups
from tutelage.rl.tasks.numbering import Numbering
from tutelage.rl.tasks.plan_outcomes import (
    FAILED,
    FINISHED,
    LARGEST,
    UNCLEAR,
    PlanOutcome,
    PlanOutcomeTask,
)
from tutelage.rl.tasks.registry import make_task, settings_of
from tutelage.rl.tasks.settings import TaskSettings
from tutelage.rl.tasks.watching import Watchable
from tutelage.rl.tasks.wrappers import find_ability, missing_from

GOOD = PlanOutcome(steps=500, carried_out=500.0, agreed=400.0, episodes=100, successes=90)
BAD = PlanOutcome(steps=500, carried_out=10.0, agreed=0.0, episodes=100, successes=5)


def with_record() -> PlanOutcomeTask:
    task = with_lookups(Corridor(), ["record"])
    assert isinstance(task, PlanOutcomeTask)
    return task


def states_of(task: Task, num_envs: int = 6) -> States:
    envs = task.make_envs(num_envs, "train", 3)
    envs.reset()
    return envs.states()


@pytest.mark.parametrize(
    ("outcome", "before", "word"),
    [
        (PlanOutcome(), UNCLEAR, UNCLEAR),
        (PlanOutcome(), FAILED, FAILED),
        (GOOD, UNCLEAR, FINISHED),
        (GOOD, FAILED, FINISHED),
        (BAD, FINISHED, FAILED),
        (PlanOutcome(500, 500.0, 100.0, 100, 5), UNCLEAR, UNCLEAR),
        (PlanOutcome(500, 500.0, 450.0, 100, 5), UNCLEAR, FAILED),
        (PlanOutcome(500, 500.0, 450.0, 100, 30), FINISHED, FINISHED),
        (PlanOutcome(20, 0.0, 0.0, 3, 3), UNCLEAR, UNCLEAR),
    ],
    ids=[
        "nothing seen",
        "nothing seen since",
        "finished",
        "finished at last",
        "not to be carried out",
        "a student that cannot follow yet",
        "followed to no avail",
        "neither clearly",
        "too little seen",
    ],
)
def test_a_word_follows_from_what_was_seen(outcome: PlanOutcome, before: int, word: int) -> None:
    assert outcome.word(before) == word


def test_keys_change_when_the_record_is_settled_and_not_before() -> None:
    task = with_record()
    states = states_of(task)
    first = task.situation_ids(states)
    one = int(first[0])
    task.note(one, GOOD)
    task.note(one, GOOD)
    assert (task.situation_ids(states) == first).all(), "counting changes nothing"
    task.settle()
    second = task.situation_ids(states)
    assert ((second != first) == (first == one)).all(), "its own key, and no other"
    assert "mostly finished" in task.look_up("record", int(second[0]))
    assert "nothing clear" in task.look_up("record", one)
    task.settle()
    assert (task.situation_ids(states) == second).all(), "what was counted is counted once"
    task.note(int(second[0]), BAD)
    task.settle()
    assert "mostly failed" in task.look_up("record", int(task.situation_ids(states)[0]))


@given(st.dictionaries(st.integers(0, 3), st.sampled_from([GOOD, BAD, PlanOutcome()]), max_size=4))
def test_a_restored_record_goes_on_as_the_first(notes: dict[int, PlanOutcome]) -> None:
    task, other = with_record(), with_record()
    states = states_of(task)
    for own, outcome in notes.items():
        task.note(own << 2, outcome)
    if len(notes) % 2:
        task.settle()
    other.restore(json.loads(json.dumps(task.snapshot())))
    assert (other.situation_ids(states) == task.situation_ids(states)).all()
    for each in (task, other):
        each.note(0, GOOD)
        each.settle()
    assert (other.situation_ids(states) == task.situation_ids(states)).all()


class Numbered(Corridor):
    """Hands out its ids at first sight, and remembers them."""

    def __init__(self) -> None:
        self.numbers = Numbering[int]()

    def situation_ids(self, states: States) -> IntArray:
        own = super().situation_ids(states).tolist()
        return np.array([self.numbers.number(number) for number in own], dtype=np.int64)

    def snapshot(self) -> dict[str, Any]:
        return {"numbers": list(self.numbers.keys())}

    def restore(self, record: Mapping[str, Any]) -> None:
        self.numbers.restore(record["numbers"])


def test_what_the_task_inside_remembers_is_kept_too() -> None:
    task, other = PlanOutcomeTask(Numbered()), PlanOutcomeTask(Numbered())
    states = states_of(task)
    task.note(int(task.situation_ids(states)[0]), GOOD)
    task.settle()
    record = json.loads(json.dumps(task.snapshot()))
    other.situation_ids(states[3:])
    other.restore(record)
    assert (other.situation_ids(states) == task.situation_ids(states)).all()
    for bad in ({**record, "task": {"numbers": [1, 1]}}, {**record, "words": {"x": 1}}):
        with pytest.raises(ValueError, match=r"two numbers|words|int"):
            other.restore(bad)
        assert other.snapshot() == record


def test_a_text_is_read_with_what_is_told_of_past_plans_now() -> None:
    task = with_record()
    states = states_of(task)
    one = int(task.situation_ids(states)[0])
    assert task.read(task.describe(one)) == one
    task.note(one, GOOD)
    task.settle()
    assert task.read(task.describe(one)) == int(task.situation_ids(states)[0]) != one


def test_a_text_is_read_with_what_it_tells_of_past_plans_itself() -> None:
    task = with_record()
    one = int(task.situation_ids(states_of(task))[0])
    for word in range(3):
        assert task.read(full_text(task, one + word)) == one + word


@pytest.mark.parametrize(
    "bad",
    [
        None,
        {},
        {"words": {"1": 9}, "tallies": {}},
        {"words": {"x": 1}, "tallies": {}},
        {"words": {}, "tallies": {"1": {"stps": 3}}},
        {"words": {str(10**30): 1}, "tallies": {}},
        {"words": {}, "tallies": {"1": {"steps": "x"}}},
        {"words": {}, "tallies": {str(10**30): {"steps": 1}}},
        {"words": 3, "tallies": {}},
    ],
)
def test_another_record_is_refused_and_nothing_changed(bad: Any) -> None:
    task = with_record()
    task.note(0, GOOD)
    before = task.snapshot()
    with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
        task.restore(bad)
    assert task.snapshot() == before


def test_all_else_is_the_tasks_own() -> None:
    plain, task = Corridor(), with_record()
    states = states_of(plain)
    own, keys = plain.situation_ids(states), task.situation_ids(states)
    assert (keys >> 2 == own).all()
    for mine, theirs in zip(keys.tolist(), own.tolist(), strict=True):
        assert task.describe(mine) == plain.describe(theirs)
        assert task.options(mine) == plain.options(theirs)
        assert full_text(task, mine).startswith(plain.describe(theirs) + "\nplans here: ")
    codes = np.tile(np.arange(len(OPTIONS)), (len(own), 1))
    for ours, its in zip(
        vars(task.act(codes, states)).values(), vars(plain.act(codes, states)).values(), strict=True
    ):
        assert (ours == its).all()
    assert [task.encode(option) for option in OPTIONS] == [plain.encode(o) for o in OPTIONS]
    assert task.picture(states, 0) == plain.picture(states, 0)
    assert (task.name, task.action_names) == (plain.name, plain.action_names)
    assert not missing_from(task, Task)
    assert find_ability(task, LookupTask) is task


def test_situation_ids_that_leave_no_room_are_refused() -> None:
    class Large(Corridor):
        largest = LARGEST

        def situation_ids(self, states: States) -> IntArray:
            return np.full(len(states), self.largest, dtype=np.int64)

    task = Large()
    states = states_of(task)
    kept = PlanOutcomeTask(task)
    assert (kept.situation_ids(states) >> 2 == LARGEST).all()
    task.largest += 1
    with pytest.raises(ValueError, match=str(LARGEST)):
        kept.situation_ids(states)


def test_a_task_without_look_ups_works_and_says_what_it_lacks() -> None:
    plain = Corridor()
    assert with_lookups(plain, []) is plain
    assert checked_lookups(plain, []) == {}
    assert full_text(plain, 0) == plain.describe(0)
    with pytest.raises(UnknownLookupError, match=r"Corridor offers no look-up 'objects'.*record"):
        with_lookups(plain, ["record", "objects"])
    with pytest.raises(UnknownLookupError, match="not switched on"):
        checked_lookups(plain, ["objects"])
    with pytest.raises(KeyError):
        with_record().look_up("objects", 0)


def test_what_people_look_at_and_the_engine_are_still_there() -> None:
    settings = TaskSettings(engine="gymnasium")
    plain = make_task("SimpleDoorKey", 7, settings)
    task = with_lookups(plain, ["objects", "record"])
    watchable, plainly = find_ability(task, Watchable), find_ability(plain, Watchable)
    assert find_ability(with_record(), Watchable) is None
    assert settings_of(task, TaskSettings()).engine == "gymnasium"
    states = states_of(task)
    assert watchable is not None
    assert plainly is not None
    assert watchable.inks(states, 0) == plainly.inks(states, 0)
    assert watchable.aliases(states, 0) == plainly.aliases(states, 0)
