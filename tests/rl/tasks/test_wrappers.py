"""Wrappers of tasks forget nothing: every member of every protocol."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

import numpy as np
import pytest
from gymnasium.spaces import Discrete

from helpers.toy_task import Corridor, CorridorStates
from tutelage.rl.tasks import wrappers
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import (
    ListsOptions,
    LookupTask,
    Noted,
    Remembers,
    States,
    Task,
    notes_of,
)
from tutelage.rl.tasks.option_mdp import OptionStates, OptionTask
from tutelage.rl.tasks.options import Option
from tutelage.rl.tasks.plan_outcomes import PlanOutcomeTask
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.spaces import CategoryGrid
from tutelage.rl.tasks.watching import Watchable, World
from tutelage.rl.tasks.wrappers import (
    ABILITIES,
    TaskWrapper,
    find_ability,
    members_of,
    missing_from,
)

PROTOCOLS = (Task, *ABILITIES)
INNER_STATES = CorridorStates(np.array([3]), np.array([4]), np.array([False]))
EXAMPLES = {
    "int": 12,
    "str": "record",
    "Sequence": ["inventory"],
    "States": INNER_STATES,
    "Option": Option("pull"),
    "IntArray": np.array([[0]]),
    "Split": "train",
    "Episode": object(),
    "Mapping": {"words": {}},
}
"""An argument of each type that a method of the protocols takes."""


class Everything:
    """A task that has all members of all protocols; each call tells its name and arguments."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        vars(self).update(attributes)

    def __getattr__(self, name: str) -> Any:
        if name == "all_options":
            return lambda: (Option("walk"), Option("pull"))
        if name == "encode":
            return lambda option: ["walk", "pull"].index(option.name)
        if name == "situation_ids":
            return lambda _: np.array([7])
        if name == "world":
            return lambda *_: TellingWorld()
        if not any(name in members_of(protocol) for protocol in PROTOCOLS):
            raise AttributeError(name)
        return lambda *arguments: (name, *arguments)


class TellingWorld:
    """A world whose methods tell their name and arguments."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: (name, *arguments)


class Numbered(TaskWrapper):
    """A wrapper that changes the states, as options do, and nothing else."""

    def inner_states(self, states: States) -> States:
        assert isinstance(states, NumberedStates)
        return states.inner


@dataclass(frozen=True)
class NumberedStates:
    inner: CorridorStates

    def __len__(self) -> int:
        return len(self.inner)


def everything() -> Any:
    """The task, with a value of its own for each attribute that a protocol asks for."""
    names = {name for p in PROTOCOLS for name in inspect.get_annotations(p)}
    attributes: dict[str, Any] = {name: f"its {name}" for name in names}
    attributes |= {"action_names": ("go",), "offered_lookups": {"inventory": "what it carries"}}
    attributes |= {"lookups": ("inventory",), "action_space": Discrete(1)}
    return Everything(attributes)


def methods_of(protocol: Any) -> list[str]:
    return sorted(members_of(protocol) - set(inspect.get_annotations(protocol)))


def arguments_of(protocol: Any, method: str) -> list[Any]:
    hints = get_type_hints(getattr(protocol, method), vars(inspect.getmodule(protocol)))
    hints.pop("return", None)
    annotations = inspect.get_annotations(getattr(protocol, method))
    return [EXAMPLES[str(annotations[name]).partition("[")[0]] for name in hints]


def outside(arguments: Sequence[Any]) -> list[Any]:
    return [NumberedStates(a) if isinstance(a, CorridorStates) else a for a in arguments]


EVERY_METHOD = [(protocol, name) for protocol in PROTOCOLS for name in methods_of(protocol)]
REPLACED = {
    PlanOutcomeTask: {
        *("situation_ids", "describe", "read", "options", "look_up", "with_lookups"),
        *("snapshot", "restore"),
    },
    OptionTask: {"make_envs", "situation_ids", "act"},
}
"""What a wrapper does otherwise; tested with it."""
LEFT_ALONE = [
    (kind, *member)
    for kind, replaced in REPLACED.items()
    for member in EVERY_METHOD
    if member[1] not in replaced | {"world", "with_lookups"}
]


class TestForwarding:
    def test_attributes_of_all_protocols_are_the_inner_ones(self) -> None:
        inner = everything()
        for protocol in PROTOCOLS:
            for name in inspect.get_annotations(protocol):
                assert getattr(TaskWrapper(inner), name) is getattr(inner, name)
                assert getattr(Numbered(TaskWrapper(inner)), name) is getattr(inner, name)

    @pytest.mark.parametrize(("protocol", "method"), EVERY_METHOD)
    def test_methods_reach_the_task_inside_with_its_own_states(
        self, protocol: Any, method: str
    ) -> None:
        """Through one wrapper that changes the states and two that do not."""
        inner, arguments = everything(), arguments_of(protocol, method)
        wrapped = TaskWrapper(Numbered(TaskWrapper(inner)))
        if method == "with_lookups":
            innermost = TaskWrapper(Numbered(inner)).with_lookups(*arguments)
            assert isinstance(innermost, TaskWrapper)
            assert innermost.unwrapped == ("with_lookups", *arguments)
            return
        told = getattr(wrapped, method)(*outside(arguments))
        expected = getattr(inner, method)(*arguments)
        if method != "world":
            assert told == expected
            return
        for name in methods_of(World):
            asked = arguments_of(World, name)
            assert getattr(told, name)(*outside(asked)) in (None, (name, *asked))

    @pytest.mark.parametrize(("kind", "protocol", "method"), LEFT_ALONE)
    def test_so_do_those_of_the_wrappers_there_are(
        self, kind: Any, protocol: Any, method: str
    ) -> None:
        inner, arguments = everything(), arguments_of(protocol, method)
        wrapped: Any = OptionTask(inner, 0.9, 4) if kind is OptionTask else PlanOutcomeTask(inner)
        if kind is OptionTask:
            none = np.zeros((1, 2), dtype=np.bool_)
            arguments_outside = [
                OptionStates(a, np.array([7]), none, none) if a is INNER_STATES else a
                for a in arguments
            ]
        else:
            arguments_outside = arguments
        assert getattr(wrapped, method)(*arguments_outside) == getattr(inner, method)(*arguments)

    def test_a_member_that_is_added_and_not_forwarded_is_found(self) -> None:
        """The tests above go by the protocols; this one says that they can fail."""

        class More(Task):
            def more(self, states: States) -> str: ...

        assert "more" in members_of(More)
        with pytest.raises(AttributeError):
            TaskWrapper(everything()).more  # noqa: B018 - the access is what is tested

    def test_the_option_task_changes_the_actions_and_not_what_is_seen(self) -> None:
        inner = everything()
        found = OptionTask(inner, 0.9, 4)
        assert found.observation_space is inner.observation_space
        assert found.action_space == Discrete(3), "two options and an action"
        assert found.masks_actions is True

    def test_the_student_that_picks_options_shares_weights(self) -> None:
        plain = make_task("SimpleDoorKey", 7)
        grid = OptionTask(plain, 0.9, 4).observation_space["grid"]
        assert isinstance(grid, CategoryGrid)
        assert grid.attributes
        assert grid == plain.observation_space["grid"]


class TestAbilities:
    @pytest.mark.parametrize("ability", ABILITIES)
    def test_they_are_found_through_wrappers(self, ability: Any) -> None:
        inner = everything()
        wrapped = Numbered(TaskWrapper(inner))
        assert find_ability(inner, ability) is inner
        assert find_ability(wrapped, ability) is wrapped

    @pytest.mark.parametrize("ability", [Noted, LookupTask, Watchable, Remembers])
    def test_they_are_not_found_where_the_task_lacks_them(self, ability: Any) -> None:
        for task in (Corridor(), TaskWrapper(Corridor()), OptionTask(Corridor(), 0.9, 4)):
            assert find_ability(task, ability) is None
        assert notes_of(TaskWrapper(Corridor())) == ""

    def test_a_wrapper_adds_one(self) -> None:
        recorded = PlanOutcomeTask(Corridor())
        for task in (recorded, TaskWrapper(recorded)):
            found = find_ability(task, LookupTask)
            assert found is task
            assert list(found.lookups) == ["record"]

    @pytest.mark.parametrize("ability", ABILITIES)
    def test_one_member_missing_is_not_the_ability(self, ability: Any) -> None:
        for name in members_of(ability):
            inner = everything()
            vars(inner)[name] = None
            assert missing_from(inner, ability) == [name]
            assert find_ability(TaskWrapper(inner), ability) is None

    def test_what_is_asked_of_a_task_that_lacks_it_is_a_clear_error(self) -> None:
        with pytest.raises(AttributeError, match="'Corridor' object has no attribute 'inks'"):
            TaskWrapper(Corridor()).inks(INNER_STATES, 0)

    def test_a_world_of_options_takes_states_of_options(self) -> None:
        """A real one: the same drawing, whichever states it is handed."""
        plain = make_task("SimpleDoorKey", 7)
        task = OptionTask(plain, 0.9, 4)
        envs = task.make_envs(1, "evaluation", 3)
        envs.reset()
        watchable, plainly = find_ability(task, Watchable), find_ability(plain, Watchable)
        assert watchable is not None
        assert plainly is not None
        states = envs.states()
        mine, theirs = (w.world("evaluation", 3, 0, 0) for w in (watchable, plainly))
        assert mine.remembered(states, 0) == theirs.remembered(states.inner, 0)
        assert watchable.inks(states, 0) == plainly.inks(states.inner, 0)
        assert task.picture(states, 0) == plain.picture(states.inner, 0)

    def test_every_ability_is_listed(self) -> None:
        """A protocol that is added to these modules is to be passed on too."""
        from tutelage.rl.tasks import base, watching

        others = {"Task", "MakesTask", "States", "VectorEnv", "World"}
        for module in (base, watching):
            for name, kind in vars(module).items():
                if getattr(kind, "_is_protocol", False) and kind.__module__ == module.__name__:
                    assert kind in ABILITIES or name in others, name

    def test_unwrapped_is_the_innermost(self) -> None:
        task = Corridor()
        assert TaskWrapper(PlanOutcomeTask(task)).unwrapped is task


def test_mappings_are_passed_on_as_they_are() -> None:
    offered: Mapping[str, str] = TaskWrapper(everything()).offered_lookups
    assert offered == {"inventory": "what it carries"}
    assert wrappers.find_ability(everything(), ListsOptions) is not None


def test_look_ups_are_switched_on_inside() -> None:
    task = OptionTask(make_task("SimpleDoorKey", 7), 0.9, 4)
    on = task.with_lookups(["inventory"])
    found: Any = on
    assert isinstance(on, OptionTask)
    assert found.lookups == ("inventory",)
    assert task.lookups == ()
    envs = on.make_envs(2, "train", 0)
    envs.reset()
    ids: IntArray = on.situation_ids(envs.states())
    assert "carrying: nothing" in found.look_up("inventory", int(ids[0]))
