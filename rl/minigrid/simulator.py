"""The MiniGrid rules behind one small interface, and Farama's own implementation of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias

import gymnasium as gym
import numpy as np
from minigrid.minigrid_env import MiniGridEnv

from tutelage.rl.minigrid.codes import IDLE, cell_codes
from tutelage.rl.tasks.arrays import BoolArray, CodeArray, FloatArray, IntArray
from tutelage.rl.tasks.numbering import Numbering

MakeEnv: TypeAlias = Callable[[], gym.Env[Any, Any]]
"""Makes an environment on MiniGrid's rules, bare or wrapped, always the same one."""


@dataclass(frozen=True)
class Frames:
    """What N agents perceive: views uint8 [N, v, v], headings and missions int64 [N].

    A view is indexed [row, column], looking towards row 0; the agent stands in the middle of the
    last row. A mission is its number in the task's numbering of them.
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
    """Farama's MiniGrid, one Gymnasium environment for each world, stepped in turn.

    missions: numbers those that are met.
    """

    def __init__(self, envs: Sequence[gym.Env[Any, Any]], missions: Numbering[str]) -> None:
        self._envs, self._missions = envs, missions
        self.frames = Frames.allocate(len(envs), bare(envs[0]).agent_view_size)

    def restart(self, rows: IntArray, seeds: IntArray) -> None:
        for row, seed in zip(rows, seeds, strict=True):
            observation: dict[str, Any]
            observation, _ = self._envs[row].reset(seed=int(seed))
            self._perceive(row, observation)

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
            rewards[i], terminated[i], truncated[i] = float(reward), ended, cut and not ended
        return rewards, terminated, truncated

    def close(self) -> None:
        for env in self._envs:
            env.close()

    def _perceive(self, row: int, observation: dict[str, Any]) -> None:
        frames = self.frames
        frames.views[row], frames.headings[row] = perceived(observation)
        frames.missions[row] = self._missions.number(mission_text(observation["mission"]))


def perceived(observation: dict[str, Any]) -> tuple[CodeArray, int]:
    """The view, uint8 [v, v] as in `Frames`, and the heading of MiniGrid's own observation.

    Raises UncodedObjectError.
    """
    # MiniGrid's image is indexed [column, row].
    return cell_codes(observation["image"]).T, int(observation["direction"])


def mission_text(mission: Any) -> str:
    """A mission in one line, its words with a space between them; `none` where it is empty."""
    return " ".join(str(mission).split()) or "none"


def bare(env: gym.Env[Any, Any]) -> MiniGridEnv:
    """The environment inside its wrappers. Raises ValueError where it is none of MiniGrid's."""
    inside = env.unwrapped
    if not isinstance(inside, MiniGridEnv):
        raise ValueError(f"{inside} is not a MiniGrid environment")
    return inside


def make_minigrid(env_id: str) -> MiniGridEnv:
    """One bare MiniGrid environment. Raises ValueError where the id names something else."""
    # The wrappers check the API at every step; the environments are checked in the tests.
    return bare(gym.make(env_id, disable_env_checker=True))


def minigrid_maker(env_id: str) -> MakeEnv:
    """Makes bare MiniGrid environments of an id."""
    return partial(make_minigrid, env_id)


def missions_of(env: MiniGridEnv) -> list[str]:
    """Every mission that the environment can set, in an order that never changes."""
    spaces: Any = env.observation_space
    space = spaces["mission"]
    choices = itertools.product(*(space.ordered_placeholders or ()))
    return [str(space.mission_func(*words)) for words in choices]
