"""What a teacher says about actions: targets of an action space, D numbers for each state.

    Discrete        D = n, the probability of each action
    MultiDiscrete   D = sum of nvec, the probabilities of each part, one part after the other
    Box             D = 2 * dimensions: the mean of each, then the variance of each

A student's policy is a distribution of the same kind, whose parameters are another matter
(`rl.policy.heads`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from tutelage.rl.tasks.arrays import ActionArray, BoolArray, FloatArray
from tutelage.rl.tasks.seeding import pick
from tutelage.rl.tasks.spaces import ACTION_SPACES, ActionSpace, is_vector

_FAR: Final = 1e12
"""Some environments have the largest number that there is for a bound where they have none."""


class ActionTargets(Protocol):
    """The targets of one action space.

    size: D. blends: whether several plans make one target by mixing their distributions. Where they
    do not, the mean of two actions may be worse than both, and one plan is drawn.
    """

    size: int
    blends: bool

    def uniform(self, mask: BoolArray | None, rows: int) -> FloatArray:
        """Every action alike, float32 [rows, D]. mask: bool [rows, D], what is allowed; None: all.

        Only discrete actions have masks.
        """

    def draw(self, targets: FloatArray, rng: np.random.Generator) -> ActionArray:
        """An action for each row of targets, float32 [B, D]."""

    def mix(self, shares: FloatArray, targets: FloatArray) -> FloatArray:
        """The mixture of P distributions, float32 [B, D]; zero where all shares are.

        shares: float32 [B, P]; targets: float32 [B, P, D].
        """

    def agree(self, targets: FloatArray, actions: ActionArray) -> BoolArray:
        """Whether each action, [B, ...], is what its targets are most for, bool [B]."""

    def favour(self, targets: FloatArray, actions: ActionArray) -> FloatArray:
        """How much targets are for actions, float32 [B] in 0..1."""


def action_targets(space: ActionSpace) -> ActionTargets:
    """The targets of an action space. Raises ValueError for a space of another kind."""
    if isinstance(space, spaces.Discrete):
        return CategoricalTargets(int(space.n))
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return MultiCategoricalTargets([int(n) for n in space.nvec])
    if isinstance(space, spaces.Box) and is_vector(space):
        return GaussianTargets(space.low, space.high)
    raise ValueError(f"actions must be {ACTION_SPACES}: {space}")


def column_names(space: ActionSpace, names: Sequence[str]) -> tuple[str, ...]:
    """A name for each of the D numbers. names: of the actions, or of their parts or dimensions."""
    if isinstance(space, spaces.Discrete):
        return tuple(names)
    if isinstance(space, spaces.MultiDiscrete):
        return tuple(
            f"{name}={value}"
            for name, n in zip(names, space.nvec, strict=True)
            for value in range(n)
        )
    return tuple(f"{kind} {name}" for kind in ("mean", "variance") for name in names)


class CategoricalTargets:
    """Of a Discrete space: probs float32 [B, n]."""

    blends = True

    def __init__(self, n: int) -> None:
        self.size = n

    def uniform(self, mask: BoolArray | None, rows: int) -> FloatArray:
        probs = np.ones((rows, self.size), np.float32) if mask is None else mask.astype(np.float32)
        probs /= probs.sum(axis=1, keepdims=True)
        return probs

    def draw(self, targets: FloatArray, rng: np.random.Generator) -> ActionArray:
        return pick(targets, rng.random(len(targets)))

    def mix(self, shares: FloatArray, targets: FloatArray) -> FloatArray:
        return _weighted_mean(shares, targets)

    def agree(self, targets: FloatArray, actions: ActionArray) -> BoolArray:
        same: BoolArray = targets.argmax(axis=1) == actions
        return same

    def favour(self, targets: FloatArray, actions: ActionArray) -> FloatArray:
        return np.take_along_axis(targets, actions[:, None], 1)[:, 0]


class MultiCategoricalTargets:
    """Of a MultiDiscrete space: the parts' probs side by side, float32 [B, sum of nvec]."""

    blends = True

    def __init__(self, nvec: Sequence[int]) -> None:
        self.size = sum(nvec)
        self._parts = [CategoricalTargets(n) for n in nvec]
        self._ends = np.cumsum(nvec)[:-1]

    def uniform(self, mask: BoolArray | None, rows: int) -> FloatArray:
        masks = [None] * len(self._parts) if mask is None else np.split(mask, self._ends, axis=1)
        parts = [part.uniform(m, rows) for part, m in zip(self._parts, masks, strict=True)]
        return np.concatenate(parts, axis=1)

    def draw(self, targets: FloatArray, rng: np.random.Generator) -> ActionArray:
        parts = zip(self._parts, np.split(targets, self._ends, axis=1), strict=True)
        return np.stack([part.draw(probs, rng) for part, probs in parts], axis=1)

    def mix(self, shares: FloatArray, targets: FloatArray) -> FloatArray:
        return _weighted_mean(shares, targets)

    def agree(self, targets: FloatArray, actions: ActionArray) -> BoolArray:
        parts = zip(self._parts, np.split(targets, self._ends, axis=1), actions.T, strict=True)
        same: BoolArray = np.all([part.agree(p, chosen) for part, p, chosen in parts], axis=0)
        return same

    def favour(self, targets: FloatArray, actions: ActionArray) -> FloatArray:
        parts = zip(self._parts, np.split(targets, self._ends, axis=1), actions.T, strict=True)
        favours = [part.favour(probs, chosen) for part, probs, chosen in parts]
        return np.asarray(np.prod(favours, axis=0), dtype=np.float32)


class GaussianTargets:
    """Of a Box: means and variances of independent dimensions, float32 [B, 2 * dimensions].

    low, high: float [dimensions], the bounds, which may be infinite.
    """

    blends = False

    def __init__(self, low: NDArray[Any], high: NDArray[Any]) -> None:
        self.size = 2 * len(low)
        self._low, self._high = low.astype(np.float32), high.astype(np.float32)
        self._center, self._half = center_and_half(low, high)

    def uniform(self, mask: BoolArray | None, rows: int) -> FloatArray:  # noqa: ARG002
        # The variance of a uniform distribution is a third of its half width's square.
        row = np.concatenate((self._center, self._half**2 / 3))
        return np.tile(row, (rows, 1)).astype(np.float32)

    def draw(self, targets: FloatArray, rng: np.random.Generator) -> ActionArray:
        mean, variance = np.split(targets, 2, axis=1)
        noise = rng.standard_normal(mean.shape, dtype=np.float32)
        return np.clip(mean + np.sqrt(variance) * noise, self._low, self._high)

    def mix(self, shares: FloatArray, targets: FloatArray) -> FloatArray:
        """The mean and the variance of the mixture, which is no Gaussian itself."""
        mean, variance = np.split(targets, 2, axis=2)
        mixed_mean = _weighted_mean(shares, mean)
        # Not the mean of squares less the square of the mean: of nearly alike they leave nothing.
        distance = mean - mixed_mean[:, None]
        return np.concatenate((mixed_mean, _weighted_mean(shares, variance + distance**2)), axis=1)

    def agree(self, targets: FloatArray, actions: ActionArray) -> BoolArray:
        """Within one standard deviation of the mean in each dimension; both are clipped."""
        mean, variance = np.split(targets, 2, axis=1)
        distance = np.abs(self._clip(actions) - self._clip(mean))
        within: BoolArray = (distance <= np.sqrt(variance)).all(axis=1)
        return within

    def favour(self, targets: FloatArray, actions: ActionArray) -> FloatArray:
        """The density relative to the mean's: exp of minus half the squared distance."""
        mean, variance = np.split(targets, 2, axis=1)
        squared = (self._clip(actions) - mean) ** 2 / np.maximum(variance, 1e-12)
        return np.asarray(np.exp(-0.5 * squared.mean(axis=1)), dtype=np.float32)

    def _clip(self, actions: ActionArray) -> FloatArray:
        clipped: FloatArray = np.clip(actions, self._low, self._high)
        return clipped


def center_and_half(low: NDArray[Any], high: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """The middle and half the width of each dimension, float32.

    They are 0 and 1 where it is unbounded, as which bounds count that are too far from each other
    for their squares to be computed; and half is 1 where the bounds are alike.
    """
    low, high = low.astype(np.float64), high.astype(np.float64)
    bounded = (np.abs(low) < _FAR) & (np.abs(high) < _FAR)
    low, high = np.where(bounded, low, -1), np.where(bounded, high, 1)
    center, half = (low + high) / 2, (high - low) / 2
    half[half < 1 / _FAR] = 1.0
    return center.astype(np.float32), half.astype(np.float32)


def _weighted_mean(shares: FloatArray, values: FloatArray) -> FloatArray:
    """Over the second axis of values [B, P, D]; zero where all shares [B, P] are."""
    total = shares.sum(axis=1)
    mixed = (shares[:, :, None] * values).sum(axis=1)
    mean = mixed / np.maximum(total, np.finfo(np.float32).tiny)[:, None]
    return np.asarray(mean, dtype=np.float32)
