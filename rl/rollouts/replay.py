"""Environments are restored by replay: an episode's number and the actions done in it so far.

That serves any deterministic environment and needs no access to its inside: episode k of
environment i is always the same level, so playing the same actions leads to the same state. What
is observed there must be what was observed when the snapshot was taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from tutelage.rl.errors import UserError
from tutelage.rl.tasks.arrays import ActionArray, BoolArray
from tutelage.rl.tasks.base import Observation, VectorEnv
from tutelage.rl.tasks.spaces import ActionSpace

_PREFIX: Final = "collector.replay."
_TOLERANCE: Final = (1e-4, 1e-6)
"""Relative and absolute, of observed floats: a simulator of physics may round in another way on
another processor. All else that is observed must be the same."""


_OTHERS: Final = "the recorded episodes are not those of this run's environments"


class ReplayError(UserError):
    """An environment did not play the same when its actions were repeated."""


class EpisodeReplay:
    """The running episodes of a vector environment: which they are, and what was done in them.

    episodes: int64 [N], their numbers.
    """

    def __init__(self, num_envs: int, max_episode_steps: int, action_space: ActionSpace) -> None:
        self._space = action_space
        self._shape = action_space.shape or ()
        self.episodes = np.zeros(num_envs, dtype=np.int64)
        self._lengths = np.zeros(num_envs, dtype=np.int64)
        self._actions = np.zeros(
            (num_envs, max_episode_steps, *self._shape), dtype=action_space.dtype
        )
        self._rows = np.arange(num_envs)

    def step(self, actions: ActionArray, ended: BoolArray, active: BoolArray | None = None) -> None:
        """Note a step. actions: [N, ...]; ended: bool [N]; active: bool [N], None for all."""
        if self._lengths.max() >= self._actions.shape[1]:
            # A task may let an episode run longer than it announced.
            self._actions = np.concatenate((self._actions, np.zeros_like(self._actions)), axis=1)
        self._actions[self._rows, self._lengths] = actions
        self._lengths += 1 if active is None else active
        self.episodes[ended] += 1
        self._lengths[ended] = 0

    def snapshot(self, envs: VectorEnv) -> dict[str, NDArray[Any]]:
        """All of it as arrays, by name, with what its environments observe now."""
        actions = self._actions[:, : max(int(self._lengths.max()), 1)].copy()
        actions[np.arange(actions.shape[1]) >= self._lengths[:, None]] = 0
        return {
            f"{_PREFIX}episodes": self.episodes.copy(),
            f"{_PREFIX}lengths": self._lengths.copy(),
            f"{_PREFIX}actions": actions,
            **_observed(envs.observe()),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]], envs: VectorEnv) -> None:
        """Bring a fresh vector environment to where the snapshot was taken.

        Raises ReplayError where an episode ends before its recorded actions do, where something
        else is observed after them, and where the arrays are no snapshot of this many environments,
        actions and observations.
        """
        episodes, lengths, actions = (
            arrays[f"{_PREFIX}{name}"] for name in ("episodes", "lengths", "actions")
        )
        self._check(episodes, lengths, actions)
        envs.reset(episodes)
        for t in range(int(lengths.max())):
            active = t < lengths
            result = envs.step(actions[:, t], active)
            if ((result.terminated | result.truncated) & active).any():
                raise ReplayError(
                    "an environment cannot be resumed: repeating an episode's actions ended it "
                    "early, so it is not deterministic for its seed"
                )
        self._compare(arrays, _observed(envs.observe()))
        self.episodes[:], self._lengths[:] = episodes, lengths
        if actions.shape[1] > self._actions.shape[1]:
            self._actions = np.zeros_like(actions)
        self._actions[:, : actions.shape[1]] = actions

    @staticmethod
    def _compare(arrays: Mapping[str, NDArray[Any]], observed: dict[str, NDArray[Any]]) -> None:
        """What was observed with what is observed now."""
        for name, now in observed.items():
            before = arrays[name]
            if before.shape != now.shape or before.dtype != now.dtype:
                raise ReplayError(_OTHERS)
            with np.errstate(over="ignore", invalid="ignore"):  # a file may hold any numbers
                alike = (
                    np.isclose(before, now, *_TOLERANCE) if now.dtype.kind == "f" else before == now
                )
            if not alike.all():
                raise ReplayError(
                    "an environment cannot be resumed: repeating an episode's actions led to "
                    "something else, so it is not deterministic for its seed"
                )

    def _check(self, episodes: NDArray[Any], lengths: NDArray[Any], actions: NDArray[Any]) -> None:
        """A file may hold anything, and an environment need not check its actions."""
        num_envs = len(self._rows)
        if (
            not episodes.dtype == lengths.dtype == np.int64
            or actions.dtype != self._space.dtype
            or not episodes.shape == lengths.shape == (num_envs,)
            or actions.ndim < 2
            or actions.shape[:1] + actions.shape[2:] != (num_envs, *self._shape)
            or not _are_actions(actions, self._space)
            or not ((lengths >= 0) & (lengths <= actions.shape[1])).all()
            or not ((episodes >= 0) & (episodes < 2**48)).all()
        ):
            raise ReplayError(_OTHERS)


def _observed(observation: Observation) -> dict[str, NDArray[Any]]:
    """What is kept of an observation of N environments, as arrays by name.

    Its floats side by side, float64 [N, F], to be compared within a tolerance, and a digest of all
    the rest, uint8 [16], among which pictures may be large.
    """
    digest = hashlib.blake2b(digest_size=16)
    floats = []
    for key, array in sorted(observation.items()):
        digest.update(repr((key, str(array.dtype), array.shape)).encode())
        if array.dtype.kind == "f":
            floats.append(array.reshape(len(array), -1).astype(np.float64))
        else:
            digest.update(np.ascontiguousarray(array).tobytes())
    rows = len(next(iter(observation.values())))
    return {
        f"{_PREFIX}digest": np.frombuffer(digest.digest(), dtype=np.uint8).copy(),
        f"{_PREFIX}floats": np.concatenate((np.zeros((rows, 0)), *floats), axis=1),
    }


def _are_actions(actions: NDArray[Any], space: ActionSpace) -> bool:
    """Whether all of an array [N, T, ...] are actions; of a Box, before they are clipped."""
    if isinstance(space, Box):
        return bool(np.isfinite(actions).all())
    limit = space.n if isinstance(space, Discrete) else space.nvec
    return bool(((actions >= 0) & (actions < limit)).all())
