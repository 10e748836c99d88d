"""Small students of every kind, and observations for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from tutelage.rl.policy.policy import Policy, make_policy
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.spaces import (
    MAX_TOKEN,
    ActionSpace,
    CategoryGrid,
    ObservationSpace,
    Tokens,
    is_vector,
)

SMALL = StudentSettings(body="dense", hidden=16, embedding=3)
CONV = StudentSettings(body="conv", hidden=16, embedding=3, crop=7)
ATTRIBUTES = ((0, 0), (1, 0), (2, 1), (2, 2), (3, 1), (3, 2))


def vector(size: int, bound: float = np.inf) -> spaces.Box:
    """A vector's space, without bounds unless one is given."""
    return spaces.Box(-bound, bound, (size,), np.float32)


def picture(height: int, width: int, channels: int = 3) -> spaces.Box:
    """A picture's space."""
    return spaces.Box(0, 255, (height, width, channels), np.uint8)


KINDS: Final[dict[str, tuple[ObservationSpace, StudentSettings]]] = {
    "features": ({"features": vector(5)}, SMALL),
    "codes": ({"grid": CategoryGrid(3, 4, 6)}, SMALL),
    "dense": ({"grid": CategoryGrid(3, 4, 6), "features": vector(5)}, SMALL),
    "attributes": ({"grid": CategoryGrid(3, 4, 6, ATTRIBUTES), "features": vector(5)}, SMALL),
    "conv": ({"grid": CategoryGrid(7, 6, 6), "features": vector(5)}, CONV),
    "smallest conv": ({"grid": CategoryGrid(5, 5, 6), "features": vector(5)}, CONV),
    "normalised": ({"a": vector(5), "b": vector(2, bound=3.0)}, SMALL),
    "picture": ({"pixels": picture(9, 13, 3)}, SMALL),
    "large picture": ({"pixels": picture(64, 64, 1)}, SMALL),
    "words": ({"words": Tokens(6)}, SMALL),
    "categories": (
        {"one": spaces.Discrete(40, start=3), "several": spaces.MultiDiscrete([30, 1, 50])},
        SMALL,
    ),
    "words over a grid": ({"words": Tokens(6), "grid": CategoryGrid(3, 4, 6)}, SMALL),
    "words over a conv": ({"grid": CategoryGrid(7, 6, 6), "words": Tokens(6)}, CONV),
    "words over pictures": (
        {"pixels": picture(8, 8, 2), "hint": Tokens(3), "words": Tokens(6), "map": picture(9, 9)},
        SMALL,
    ),
    "everything": (
        {
            "": vector(3),
            "a.b": CategoryGrid(3, 4, 6, ATTRIBUTES),
            "forward": picture(8, 8),
            "words": Tokens(4),
            "two\nlines": spaces.Discrete(2),
            "parts": spaces.MultiDiscrete([2, 2]),
        },
        SMALL,
    ),
}
"""Observation spaces and settings; the vectors of those in `NORMALISED` are normalised."""
NORMALISED: Final = ("normalised", "everything")

ACTIONS: Final[dict[str, ActionSpace]] = {
    "Discrete": spaces.Discrete(3),
    "MultiDiscrete": spaces.MultiDiscrete([3, 1, 2]),
    "Box": spaces.Box(np.array([-2, 0, -np.inf], np.float32), np.array([2, 5, 1], np.float32)),
}
"""An action space of each kind."""


@dataclass(frozen=True)
class Seen:
    """As much of a task as a student is made of."""

    observation_space: ObservationSpace
    action_space: ActionSpace
    normalise: bool = False
    masks_actions: bool = False
    name: str = "a task"
    view: Mapping[str, int] = field(default_factory=dict)

    @property
    def action_names(self) -> tuple[str, ...]:
        count = self.action_space.n if isinstance(self.action_space, spaces.Discrete) else 3
        return tuple(f"action {number}" for number in range(int(count)))


def student_for(
    observation_space: ObservationSpace,
    action_space: ActionSpace = ACTIONS["Discrete"],
    settings: StudentSettings = SMALL,
    seed: int = 0,
    **more: Any,
) -> Policy:
    """A new student for these spaces. more: of `Seen`."""
    task = cast(Task, Seen(observation_space, action_space, **more))
    return make_policy(task, settings, "cpu", seed)


def student_of(
    kind: str, seed: int = 0, num_actions: int = 3, action_space: ActionSpace | None = None
) -> Policy:
    """A new student of one of the kinds."""
    observation_space, settings = KINDS[kind]
    actions = spaces.Discrete(num_actions) if action_space is None else action_space
    return student_for(observation_space, actions, settings, seed, normalise=kind in NORMALISED)


def decided(student: Policy, scale: float = 100.0) -> Policy:
    """The student, far from the policy that it began with, which treats all states alike."""
    with torch.no_grad():
        student.network.policy_head.weight *= scale
    return student


def observations_for(
    space: ObservationSpace, rows: int = 20, seed: int = 3
) -> dict[str, NDArray[Any]]:
    """Random observations that a student of these spaces can be shown."""
    rng = np.random.default_rng(seed)
    return {key: _elements(each, rows, rng) for key, each in space.items()}


def _elements(space: spaces.Space[Any], rows: int, rng: np.random.Generator) -> NDArray[Any]:
    if is_vector(space):
        return rng.normal(size=(rows, *space.shape)).astype(space.dtype)
    if isinstance(space, Tokens):
        words = rng.integers(1, MAX_TOKEN, (rows, space.length))
        words[np.arange(space.length) >= rng.integers(1, space.length + 1, rows)[:, None]] = 0
        return words.astype(np.int32)
    if isinstance(space, CategoryGrid):
        return rng.integers(0, space.num_codes, (rows, *space.shape)).astype(np.uint8)
    if isinstance(space, spaces.Box):
        return rng.integers(0, 256, (rows, *space.shape)).astype(np.uint8)
    sizes = space.n if isinstance(space, spaces.Discrete) else np.asarray(space.nvec)  # type: ignore[attr-defined]
    return rng.integers(0, sizes, (rows, *(space.shape or ()))).astype(np.int64)
