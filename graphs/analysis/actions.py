"""Spaces and actions in words, and what teacher and student would do by their targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np
from gymnasium import spaces

from tutelage.rl.tasks.action_targets import action_targets, column_names
from tutelage.rl.tasks.arrays import ActionArray
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.spaces import ActionSpace, CategoryGrid, Tokens, is_picture

Action: TypeAlias = "int | tuple[float, ...]"
"""An action of one state: a number, or one for each part or dimension."""

Targets: TypeAlias = Sequence[float]
"""What somebody says of actions in one state: D numbers (`rl.tasks.action_targets`)."""


@dataclass(frozen=True)
class Actions:
    """An action space and its names (`rl.tasks.base.Task.action_names`).

    Raises ValueError where they do not fit each other.
    """

    space: ActionSpace
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if isinstance(self.space, spaces.Discrete):
            count = int(self.space.n)
        else:
            (count,) = self.space.shape
        if len(self.names) != count:
            raise ValueError(f"{len(self.names)} names for {self.space}")

    @classmethod
    def of(cls, task: Task) -> Actions:
        """Those of a task."""
        return cls(task.action_space, tuple(task.action_names))

    @property
    def kind(self) -> Literal["discrete", "parts", "box"]:
        """Which kind of space it is; `parts` is MultiDiscrete."""
        if isinstance(self.space, spaces.Discrete):
            return "discrete"
        return "parts" if isinstance(self.space, spaces.MultiDiscrete) else "box"

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The columns of each part, from and to."""
        assert isinstance(self.space, spaces.MultiDiscrete)
        return list(pairwise([0, *self.space.nvec.cumsum().tolist()]))

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """The least and the greatest action of each dimension of a Box; they may be infinite."""
        assert isinstance(self.space, spaces.Box)
        return list(zip(self.space.low.tolist(), self.space.high.tolist(), strict=True))

    @property
    def columns(self) -> tuple[str, ...]:
        """A name for each of the D numbers of targets."""
        return column_names(self.space, self.names)

    def by_column(self, targets: Targets) -> dict[str, float]:
        """Targets by the names of their columns, for machines."""
        return dict(zip(self.columns, targets, strict=True))

    def likeliest(self, targets: Targets) -> Action:
        """The action that targets are most for; the first of equals."""
        if isinstance(self.space, spaces.Discrete):
            return int(np.argmax(targets))
        if isinstance(self.space, spaces.MultiDiscrete):
            return tuple(int(np.argmax(targets[start:end])) for start, end in self.spans)
        mean = np.asarray(targets)[: len(self.names)]
        return tuple(np.clip(mean, self.space.low, self.space.high).tolist())

    def agree(self, teacher: Targets, student: Targets) -> bool:
        """Whether the student's likeliest action is what the teacher is most for.

        In a Box: whether it lies within one standard deviation of the teacher's mean.
        """
        kind = action_targets(self.space)
        done = np.array([self.likeliest(student)])
        return bool(kind.agree(np.array([teacher], dtype=np.float32), done)[0])

    def values(self, action: Action) -> Any:
        """An action for machines: its name, or a number by the name of each part or dimension."""
        if isinstance(action, int):
            return self.names[action]
        return dict(zip(self.names, action, strict=True))

    def words(self, action: Action) -> str:
        """An action for people, in a line."""
        if isinstance(action, int):
            return self.names[action]
        pairs = zip(self.names, action, strict=True)
        return ", ".join(f"{name}={value:.3g}" for name, value in pairs)

    def chosen(self, action: Action | None) -> set[int]:
        """The columns of targets that stand for an action; none for None and in a Box."""
        if action is None or isinstance(self.space, spaces.Box):
            return set()
        if isinstance(action, int):
            return {action}
        return {start + int(value) for (start, _), value in zip(self.spans, action, strict=True)}


def action_of(actions: ActionArray, row: int) -> Action:
    """One of a batch of actions [B, ...]."""
    found = actions[row].tolist()
    return tuple(found) if isinstance(found, list) else found


def actions_in_words(task: Task) -> str:
    """What a task's student does at each step, in a line."""
    space, names = task.action_space, task.action_names
    if isinstance(space, spaces.Discrete):
        return f"actions: {', '.join(names)}"
    if isinstance(space, spaces.MultiDiscrete):
        parts = [f"{name} (0 to {n - 1})" for name, n in zip(names, space.nvec, strict=True)]
        return f"each action is a choice of {', '.join(parts)}"
    limits = zip(names, Actions.of(task).bounds, strict=True)
    parts = [f"{name} ({low:.3g} to {high:.3g})" for name, (low, high) in limits]
    return f"each action is a number for {', '.join(parts)}"


def space_in_words(space: spaces.Space[Any]) -> str:
    """What can be observed, in a few words."""
    if isinstance(space, CategoryGrid):
        return f"{space.height} x {space.width} cells of {space.num_codes} kinds"
    if isinstance(space, Tokens):
        return f"the first {space.length} words of a text"
    if is_picture(space):
        assert space.shape is not None
        height, width, channels = space.shape
        return f"a picture of {height} x {width} pixels with {channels} channels"
    if isinstance(space, spaces.Discrete):
        return f"one of {space.n} categories"
    if isinstance(space, spaces.MultiDiscrete):
        return f"a category of each of {', '.join(map(str, space.nvec))}"
    assert space.shape is not None
    return f"{space.shape[0]} numbers"
