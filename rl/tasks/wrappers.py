"""Tasks around tasks: the base of wrappers, and what a task offers, found through them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, Final, TypeVar, cast

from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import (
    Episode,
    ListsOptions,
    LookupTask,
    Noted,
    Rehearsed,
    Remembers,
    Split,
    States,
    Task,
    VectorEnv,
    Viewed,
)
from tutelage.rl.tasks.options import Option, OptionActions
from tutelage.rl.tasks.scripts import Script, Scripted
from tutelage.rl.tasks.spaces import ActionSpace, ObservationSpace
from tutelage.rl.tasks.watching import Watchable, World

ABILITIES: Final = (
    *(Noted, ListsOptions, LookupTask, Rehearsed, Remembers, Scripted, Viewed, Watchable),
)
"""The protocols of what a task may offer besides `Task`."""

Ability = TypeVar("Ability")


@functools.cache
def members_of(protocol: Any) -> frozenset[str]:
    """The names of the attributes and methods that a protocol asks for."""
    names = {*inspect.get_annotations(protocol), *vars(protocol)}
    return frozenset(name for name in names if not name.startswith("_"))


def missing_from(task: object, protocol: Any) -> list[str]:
    """Members of a protocol that an object lacks, or has as None."""
    return [m for m in sorted(members_of(protocol)) if getattr(task, m, None) is None]


def find_ability(task: object, protocol: Callable[..., Ability]) -> Ability | None:
    """The task as one of that protocol, None where it lacks some of it; wrapped or not."""
    return None if missing_from(task, protocol) else cast("Ability", task)


class TaskWrapper:
    """A task around another one, which does what that does; subclasses change some of it.

    All of `Task` and of `ABILITIES` that a wrapper does not define itself is the inner task's, as
    far as that has it. Where a wrapper has states of its own (`inner_states`), it takes those.

    task: the task inside.
    """

    name: str
    observation_space: ObservationSpace
    action_space: ActionSpace
    action_names: tuple[str, ...]
    masks_actions: bool
    normalise: bool
    scored: bool
    max_episode_steps: int
    default_steps: int
    notes: str
    offered_lookups: Mapping[str, str]
    lookups: Sequence[str]
    teacher_script: Script | None
    view: Mapping[str, int]

    def __init__(self, task: Task) -> None:
        self.task = task

    def __getattr__(self, name: str) -> Any:
        if name not in _MEMBERS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        member = getattr(self.task, name)
        if callable(member) and name == "with_lookups":
            return lambda names: self._around(member(names))
        if callable(member) and name == "world":
            return lambda *episode: _OuterWorld(member(*episode), self.inner_states)
        return _taking_outer(name, member, self.inner_states)

    @property
    def unwrapped(self) -> Task:
        """The innermost task."""
        return self.task.unwrapped if isinstance(self.task, TaskWrapper) else self.task

    def inner_states(self, states: States) -> States:
        """The states as the task inside has them."""
        return states

    def make_envs(self, num_envs: int, split: Split, seed: int) -> VectorEnv:
        return self.task.make_envs(num_envs, split, seed)

    def situation_ids(self, states: States) -> IntArray:
        return self.task.situation_ids(self.inner_states(states))

    def describe(self, situation_id: int) -> str:
        return self.task.describe(situation_id)

    def read(self, text: str) -> int:
        return self.task.read(text)

    def options(self, situation_id: int) -> tuple[Option, ...]:
        return self.task.options(situation_id)

    def encode(self, option: Option) -> int:
        return self.task.encode(option)

    def act(self, options: IntArray, states: States) -> OptionActions:
        return self.task.act(options, self.inner_states(states))

    def success(self, episode: Episode) -> bool:
        return self.task.success(episode)

    def picture(self, states: States, row: int) -> str:
        return self.task.picture(self.inner_states(states), row)

    def _around(self, task: Task) -> TaskWrapper:
        """The same wrapper around another task."""
        wrapper = copy(self)
        wrapper.task = task
        return wrapper


class _OuterWorld:
    """A world of the inner task that takes the states of a wrapper."""

    def __init__(self, world: World, inner_states: Callable[[States], States]) -> None:
        self._world, self._inner_states = world, inner_states

    def __getattr__(self, name: str) -> Any:
        return _taking_outer(name, getattr(self._world, name), self._inner_states)


def _taking_outer(name: str, member: Any, inner_states: Callable[[States], States]) -> Any:
    """A member of the inner task or its world; where it takes states, those of the wrapper."""
    if name not in _STATES_FIRST or not callable(member):
        return member
    return lambda states, *rest: member(inner_states(states), *rest)


def _takes_states(method: Any) -> bool:
    """Whether the first argument of a protocol's method is `states`."""
    return callable(method) and [*inspect.signature(method).parameters][1:2] == ["states"]


_MEMBERS: Final = frozenset[str]().union(*map(members_of, (Task, *ABILITIES)))
_STATES_FIRST: Final = frozenset(
    name
    for protocol in (*ABILITIES, World)
    for name in members_of(protocol)
    if _takes_states(getattr(protocol, name, None))
)
