"""Environments are restored by replay: an episode's number and the actions done in it so far.

That serves any deterministic environment and needs no access to its inside: episode k of
environment i is always the same level, so playing the same actions leads to the same state.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tutelage.rl.errors import UserError
from tutelage.rl.tasks.arrays import BoolArray, IntArray
from tutelage.rl.tasks.base import IDLE, VectorEnv

_PREFIX: Final = "collector.replay."


class ReplayError(UserError):
    """An environment did not play the same when its actions were repeated."""


class EpisodeReplay:
    """The running episodes of a vector environment: which they are, and what was done in them."""

    def __init__(self, num_envs: int, max_episode_steps: int, num_actions: int) -> None:
        self._num_actions = num_actions
        self._episodes = np.zeros(num_envs, dtype=np.int64)
        self._lengths = np.zeros(num_envs, dtype=np.int64)
        self._actions = np.full((num_envs, max_episode_steps), IDLE, dtype=np.int64)
        self._rows = np.arange(num_envs)

    def step(self, actions: IntArray, ended: BoolArray) -> None:
        """Note a step. actions: int64 [N], IDLE where none was done; ended: bool [N]."""
        if self._lengths.max() >= self._actions.shape[1]:
            # A task may let an episode run longer than it announced.
            self._actions = np.pad(
                self._actions, ((0, 0), (0, self._actions.shape[1])), constant_values=IDLE
            )
        self._actions[self._rows, self._lengths] = actions
        self._lengths += actions != IDLE
        self._episodes[ended] += 1
        self._lengths[ended] = 0
        self._actions[ended] = IDLE

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """All of it as arrays, by name."""
        longest = max(int(self._lengths.max()), 1)
        return {
            f"{_PREFIX}episodes": self._episodes.copy(),
            f"{_PREFIX}actions": self._actions[:, :longest].copy(),
        }

    def restore(self, arrays: dict[str, NDArray[np.int64]], envs: VectorEnv) -> None:
        """Bring a fresh vector environment to where the snapshot was taken.

        Raises ReplayError where an episode ends before its recorded actions do, and where the
        arrays are no snapshot of this many environments and actions.
        """
        episodes, actions = arrays[f"{_PREFIX}episodes"], arrays[f"{_PREFIX}actions"]
        self._check(episodes, actions)
        envs.reset(episodes)
        self._episodes[:] = episodes
        self._lengths[:] = 0
        self._actions[:] = IDLE
        for column in actions.T:
            playing = column != IDLE
            if not playing.any():
                break
            result = envs.step(column)
            if ((result.terminated | result.truncated) & playing).any():
                raise ReplayError(
                    "an environment cannot be resumed: repeating an episode's actions ended it "
                    "early, so it is not deterministic for its seed"
                )
        if actions.shape[1] > self._actions.shape[1]:
            self._actions = np.full_like(actions, IDLE)
        self._actions[:, : actions.shape[1]] = actions
        self._lengths[:] = (actions != IDLE).sum(axis=1)

    def _check(self, episodes: NDArray[np.int64], actions: NDArray[np.int64]) -> None:
        """A file may hold anything, and an environment need not check its actions."""
        num_envs = len(self._rows)
        played = actions != IDLE
        if (
            not episodes.dtype == actions.dtype == np.int64
            or episodes.shape != (num_envs,)
            or actions.ndim != 2
            or len(actions) != num_envs
            or not ((actions >= IDLE) & (actions < self._num_actions)).all()
            or (played[:, 1:] & ~played[:, :-1]).any()
            or not ((episodes >= 0) & (episodes < 2**48)).all()
        ):
            raise ReplayError("the recorded episodes are not those of this run's environments")
