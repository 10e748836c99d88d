"""A tiny task of actions of any kind: steer a number to zero. There are two ways to do it.

What is steered starts in -1..1 and is seen; an action moves it, by at most half. The nearer it is
to zero after each of the steps, the better. The options are `slow` and `fast`, which move it by a
fifth of the way or all of it, and `away`, which is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from helpers.small_students import vector
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.arrays import ActionArray, BoolArray, FloatArray, IntArray
from tutelage.rl.tasks.base import (
    Batch,
    Episode,
    Observation,
    Split,
    States,
    StepResult,
    select_rows,
)
from tutelage.rl.tasks.options import Option, OptionActions
from tutelage.rl.tasks.seeding import episode_seed
from tutelage.rl.tasks.spaces import ActionSpace

STEPS: Final = 5
SLOW, FAST, AWAY = Option("slow"), Option("fast"), Option("away")
OPTIONS: Final = (SLOW, FAST, AWAY)
_SHARES: Final = (0.2, 1.0, -1.0)
STD: Final = 0.05

STEERING_ACTIONS: Final[dict[str, ActionSpace]] = {
    "Box": spaces.Box(-0.5, 0.5, (1,), np.float32),
    "MultiDiscrete": spaces.MultiDiscrete([2, 6]),
    "Discrete": spaces.Discrete(11),
}
"""Of MultiDiscrete: the sign, and how many tenths; of Discrete: from -5 to 5 tenths."""


@dataclass(frozen=True)
class SteeringStates(Batch):
    """places: float64 [B]."""

    places: NDArray[np.float64]


class SteeringEnvs:
    """N numbers to steer. cut: whether episodes are cut short by time, or end."""

    def __init__(self, task: Steering, num_envs: int, split: Split, seed: int) -> None:
        self.num_envs, self._task, self._split, self._seed = num_envs, task, split, seed
        self._episodes = np.full(num_envs, -1, dtype=np.int64)
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._places = np.zeros(num_envs)

    def reset(self, episodes: IntArray | None = None) -> None:
        if episodes is not None:
            self._episodes[:] = episodes - 1
        self._begin(np.arange(self.num_envs))

    def observe(self) -> Observation:
        seen = np.stack((self._places, self._steps == STEPS - 1), axis=1)
        return {"place": (self._task.SCALE * seen).astype(np.float32)}

    def states(self) -> SteeringStates:
        return SteeringStates(self._places.copy())

    def action_mask(self) -> None:
        """All can be picked, always."""

    def step(self, actions: ActionArray, active: BoolArray | None = None) -> StepResult:
        moved = np.ones(self.num_envs, dtype=np.bool_) if active is None else active
        self._places = self._places + moved * self._task.push(actions)
        self._steps += moved
        over = moved & (self._steps == STEPS)
        rewards = -self._task.REWARD * moved * np.abs(self._places)
        truncated = over if self._task.cut else np.zeros_like(over)
        final = select_rows(self.observe(), truncated) if truncated.any() else None
        self._begin(np.flatnonzero(over))
        return StepResult(rewards.astype(np.float32), over & ~truncated, truncated, final)

    def close(self) -> None:
        """There is nothing to release."""

    def _begin(self, rows: IntArray) -> None:
        self._episodes[rows] += 1
        self._steps[rows] = 0
        for i in rows:
            seed = episode_seed(self._seed, self._split, int(i), int(self._episodes[i]))
            self._places[i] = np.random.default_rng(seed).uniform(-1, 1)


class Steering:
    """The task. It is seen and paid in units that only normalisation makes small."""

    SCALE: Final = 40.0
    REWARD: Final = 25.0
    SOLVED: Final = -25.0 * 0.9
    """Who moves straight to zero has a return of -8 at most on average, who stays of -62."""

    name = "Steering"
    observation_space: Mapping[str, spaces.Space[Any]] = {"place": vector(2)}
    masks_actions = False
    normalise = scored = True
    max_episode_steps = STEPS
    default_steps = 10_000

    def __init__(self, actions: str = "Box", cut: bool = False) -> None:
        self.action_space = STEERING_ACTIONS[actions]
        self.cut = cut
        count = 11 if actions == "Discrete" else 2 if actions == "MultiDiscrete" else 1
        self.action_names = tuple(f"push {i}" for i in range(count))

    def push(self, actions: ActionArray) -> NDArray[np.float64]:
        """How far actions move, float64 [N]."""
        if isinstance(self.action_space, spaces.Discrete):
            return (actions - 5) / 10
        if isinstance(self.action_space, spaces.MultiDiscrete):
            return np.where(actions[:, 0] == 1, 1, -1) * actions[:, 1] / 10
        return np.clip(actions[:, 0].astype(np.float64), -0.5, 0.5)

    def make_envs(self, num_envs: int, split: Split, seed: int) -> SteeringEnvs:
        return SteeringEnvs(self, num_envs, split, seed)

    def situation_ids(self, states: States) -> IntArray:
        return (_own(states).places > 0).astype(np.int64)

    def describe(self, situation_id: int) -> str:
        return f"mission: go to zero\nplace: {('below', 'above')[situation_id]}"

    def read(self, text: str) -> int:
        return [self.describe(0), self.describe(1)].index(text)

    def options(self, situation_id: int) -> tuple[Option, ...]:  # noqa: ARG002 - the protocol's
        return OPTIONS

    def encode(self, option: Option) -> int:
        return OPTIONS.index(option)

    def act(self, options: IntArray, states: States) -> OptionActions:
        places = _own(states).places
        there = options >= 0
        share = np.array((*_SHARES, 0.0))[options]
        push = np.clip(-share * places[:, None], -0.5, 0.5)
        return OptionActions(self._targets(push) * there[..., None], there, np.zeros_like(there))

    def _targets(self, push: NDArray[np.float64]) -> FloatArray:
        size = action_targets(self.action_space).size
        targets = np.zeros((*push.shape, size), dtype=np.float32)
        if isinstance(self.action_space, spaces.Box):
            targets[..., 0], targets[..., 1] = push, STD**2
            return targets
        tenths = np.rint(10 * push).astype(np.int64)
        if isinstance(self.action_space, spaces.Discrete):
            np.put_along_axis(targets, tenths[..., None] + 5, 1.0, axis=-1)
            return targets
        np.put_along_axis(targets, (tenths > 0).astype(np.int64)[..., None], 1.0, axis=-1)
        np.put_along_axis(targets, 2 + np.abs(tenths)[..., None], 1.0, axis=-1)
        return targets

    def success(self, episode: Episode) -> bool:
        return episode.return_ > self.SOLVED

    def picture(self, states: States, row: int) -> str:
        return f"{_own(states).places[row]:.2f}"


def _own(states: States) -> SteeringStates:
    assert isinstance(states, SteeringStates)
    return states
