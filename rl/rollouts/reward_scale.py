"""The scale of rewards: they are divided by the standard deviation of the discounted return.

As Gymnasium's NormalizeReward and Stable-Baselines3's VecNormalize do (Engstrom et al. 2020,
"Implementation Matters in Deep RL"), but a rollout at a time, so that all of its rewards have one
scale. Rewards are not centred: that would change what is best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tutelage.rl.tasks.arrays import BoolArray, FloatArray

_CLIP: Final = 10.0
_LEAST: Final = 1e-8
_MOST_COUNTED: Final = 2**53
_FARTHEST: Final = 1e60
"""Of returns: 2**53 rewards of float32 add up to less, and their squares do not overflow."""


class RewardScale:
    """The running variance of the discounted returns of N environments."""

    def __init__(self, num_envs: int, gamma: float) -> None:
        self._gamma = gamma
        self._returns: NDArray[np.float64] = np.zeros(num_envs)
        self._count, self._mean, self._squares = 0, 0.0, 0.0

    def scaled(self, rewards: FloatArray, ended: BoolArray) -> FloatArray:
        """A rollout's rewards, which are taken into account first, scaled and clipped.

        rewards: float32 [T, N]; ended: bool [T, N], where an episode ended with the step.
        """
        for row, over in zip(rewards, ended, strict=True):
            self._returns = self._gamma * self._returns + row
            self._add(self._returns)
            self._returns = np.where(over, 0.0, self._returns)
        deviation = math.sqrt(self._squares / self._count + _LEAST)
        with np.errstate(over="ignore"):  # what is infinite is clipped, or divides to nothing
            scaled: FloatArray = np.clip(rewards / np.float32(deviation), -_CLIP, _CLIP)
        return scaled

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            "returns": self._returns.tolist(),
            "count": self._count,
            "mean": self._mean,
            "squares": self._squares,
        }

    def restore(self, record: Mapping[str, Any]) -> None:
        """The inverse of `snapshot`. Raises KeyError, TypeError or ValueError for anything else."""
        count = record["count"]
        try:
            returns = np.array(record["returns"], dtype=np.float64)
            mean, squares = float(record["mean"]), float(record["squares"])
        except OverflowError as error:  # a whole number of hundreds of digits
            raise ValueError("it holds numbers that are too large") from error
        if type(count) is not int:
            raise TypeError("it has no whole count")
        if (
            returns.shape != self._returns.shape
            or not (np.abs(returns) <= _FARTHEST).all()
            or not abs(mean) <= _FARTHEST
            or not 0 <= count <= _MOST_COUNTED
            or not 0 <= squares <= 4 * _FARTHEST**2 * count
            or (count == 0 and mean != 0)
        ):
            raise ValueError("it is the reward scale of other environments")
        self._returns, self._count, self._mean, self._squares = returns, count, mean, squares

    def _add(self, values: NDArray[np.float64]) -> None:
        """Chan et al. 1979: counts, means and sums of squared distances put together."""
        added, total = len(values), self._count + len(values)
        difference = float(values.mean()) - self._mean
        self._squares += float(((values - values.mean()) ** 2).sum())
        self._squares += difference**2 * self._count * added / total
        self._mean += difference * added / total
        self._count = total
