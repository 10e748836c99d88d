"""The MiniGrid rules behind one small interface, and Farama's own implementation of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from minigrid.minigrid_env import MiniGridEnv

from tutelage.rl.minigrid.codes import IDLE, cell_codes
from tutelage.rl.tasks.arrays import BoolArray, CodeArray, FloatArray, IntArray


@dataclass(frozen=True)
class Frames:
    """What N agents perceive: views uint8 [N, v, v], headings and missions int64 [N].

    A view is indexed [row, column], looking towards row 0; the agent stands in the middle of the
    last row. A mission is its number in the order of `missions_of`.
    """

    views: CodeArray
    headings: IntArray
    missions: IntArray

    @classmethod
    def allocate(cls, num_envs: int, view_side: int) -> Frames:
        """Frames of agents that have perceived nothing yet."""
        return cls(
            np.zeros((num_envs, view_side, view_side), dtype=np.uint8),
            np.zeros(num_envs, dtype=np.int64),
            np.zeros(num_envs, dtype=np.int64),
        )


class Simulator(Protocol):
    """N grid worlds; `frames` is updated in place."""

    frames: Frames

    def restart(self, rows: IntArray, seeds: IntArray) -> None:
        """Begin new episodes in the given worlds, int64 [n], with a seed for each."""

    def step(self, actions: IntArray) -> tuple[FloatArray, BoolArray, BoolArray]:
        """One action in each world, none where it is IDLE.

        Returns rewards float32 [N], terminated and truncated bool [N], never both.
        """

    def close(self) -> None:
        """Release what the worlds hold."""


class GymnasiumSimulator:
    """Farama's MiniGrid, one Gymnasium environment for each world, stepped in turn."""

    def __init__(self, env_id: str, num_envs: int) -> None:
        # The wrappers check the API at every step; the environments are checked in the tests.
        self._envs = [make_minigrid(env_id) for _ in range(num_envs)]
        self._missions = missions_of(self._envs[0])
        self.frames = Frames.allocate(num_envs, self._envs[0].agent_view_size)

    def restart(self, rows: IntArray, seeds: IntArray) -> None:
        for row, seed in zip(rows, seeds, strict=True):
            observation: dict[str, Any]
            observation, _ = self._envs[row].reset(seed=int(seed))
            self._perceive(row, observation)
            self.frames.missions[row] = self._missions.index(str(observation["mission"]))

    def step(self, actions: IntArray) -> tuple[FloatArray, BoolArray, BoolArray]:
        num_envs = len(self._envs)
        rewards = np.zeros(num_envs, dtype=np.float32)
        terminated = np.zeros(num_envs, dtype=np.bool_)
        truncated = np.zeros(num_envs, dtype=np.bool_)
        for i, env in enumerate(self._envs):
            if actions[i] == IDLE:
                continue
            observation: dict[str, Any]
            observation, reward, ended, cut, _ = env.step(int(actions[i]))
            self._perceive(i, observation)
            rewards[i], terminated[i], truncated[i] = reward, ended, cut and not ended
        return rewards, terminated, truncated

    def close(self) -> None:
        for env in self._envs:
            env.close()  # type: ignore[no-untyped-call]  # MiniGrid leaves it untyped

    def _perceive(self, row: int, observation: dict[str, Any]) -> None:
        # MiniGrid's image is indexed [column, row].
        self.frames.views[row] = cell_codes(observation["image"]).T
        self.frames.headings[row] = observation["direction"]


def make_minigrid(env_id: str) -> MiniGridEnv:
    """One bare MiniGrid environment. Raises ValueError where the id names something else."""
    env = gym.make(env_id, disable_env_checker=True).unwrapped
    if not isinstance(env, MiniGridEnv):
        raise ValueError(f"{env_id} is not a MiniGrid environment")
    return env


def missions_of(env: MiniGridEnv) -> list[str]:
    """Every mission that the environment can set, in an order that never changes."""
    spaces: Any = env.observation_space
    space = spaces["mission"]
    choices = itertools.product(*(space.ordered_placeholders or ()))
    return [str(space.mission_func(*words)) for words in choices]
