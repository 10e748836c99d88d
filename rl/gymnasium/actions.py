"""The actions of an environment: from an option's step to targets, from a student to `Env.step`."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from tutelage.rl.errors import one_line
from tutelage.rl.gymnasium.definition import OptionStep
from tutelage.rl.tasks.action_targets import center_and_half
from tutelage.rl.tasks.arrays import ActionArray, BoolArray, FloatArray
from tutelage.rl.tasks.spaces import ActionSpace, SpaceError, WrongValueError, space_to_json

_STD: Final = 0.25
"""Of an option that gives none, in half widths of the box."""
_LEAST_STD: Final = 0.05
"""In half widths of the box: a teacher that is sharper leaves nothing to explore."""
_TOLERANCE: Final = 1e-3
"""How far probabilities may be from a sum of 1."""


class Actions(ABC):
    """The actions of one space.

    space: as a task has it, numbered from 0 but for Discrete, whose `start` is kept. size: the D
    numbers of its targets (`rl.tasks.action_targets`). names: of actions, parts or dimensions.
    """

    space: ActionSpace
    size: int
    names: tuple[str, ...]

    @abstractmethod
    def write(self, step: OptionStep, target: FloatArray) -> None:
        """Write an option's step, which has an action or probs, into targets, float32 [D].

        They are zero before. Raises WrongValueError for what is no action of the space.
        """

    @abstractmethod
    def can_act(self, mask: BoolArray) -> bool:
        """Whether a mask, bool [D], leaves an action to be picked; a Box has no masks."""

    @abstractmethod
    def for_envs(self, actions: ActionArray) -> list[Any]:
        """A student's actions [B, ...], each as the environment takes it."""


class _Categories(Actions):
    """Discrete actions: one part of n, or several."""

    _parts: list[tuple[int, int, int]]
    """Of each part: where its targets begin, its start, and its n."""

    def can_act(self, mask: BoolArray) -> bool:
        return all(mask[offset : offset + n].any() for offset, _, n in self._parts)

    def _write_parts(
        self, chosen: Sequence[Any], probs: Sequence[Any] | None, target: FloatArray
    ) -> None:
        if probs is None:
            for (offset, start, n), action in zip(self._parts, chosen, strict=True):
                target[offset + _category(action, start, n)] = 1.0
            return
        for (offset, _, n), part in zip(self._parts, probs, strict=True):
            target[offset : offset + n] = _probabilities(part, n)


class DiscreteActions(_Categories):
    """Of a Discrete space."""

    def __init__(self, space: spaces.Discrete[Any]) -> None:
        n, self._start = int(space.n), int(space.start)
        self.space, self.size = space, n
        self.names = tuple(str(self._start + i) for i in range(n))
        self._parts = [(0, self._start, n)]

    def write(self, step: OptionStep, target: FloatArray) -> None:
        _refuse_std(step)
        self._write_parts([step.action], None if step.probs is None else [step.probs], target)

    def for_envs(self, actions: ActionArray) -> list[Any]:
        return list(actions + self._start)


class MultiDiscreteActions(_Categories):
    """Of a MultiDiscrete space of one dimension."""

    def __init__(self, space: spaces.MultiDiscrete) -> None:
        nvec = [int(n) for n in space.nvec]
        self._start = np.asarray(space.start)
        self.space, self.size = spaces.MultiDiscrete(nvec, start=self._start), sum(nvec)
        self.names = tuple(f"part {i}" for i in range(len(nvec)))
        offsets = np.cumsum([0, *nvec[:-1]]).tolist()
        self._parts = list(zip(offsets, self._start.tolist(), nvec, strict=True))
        self._dtype = space.dtype

    def write(self, step: OptionStep, target: FloatArray) -> None:
        _refuse_std(step)
        given = step.action if step.probs is None else step.probs
        count = len(self._parts)
        try:
            parts = list(given)
        except TypeError:
            raise WrongValueError(f"{one_line(repr(given))} is no list of {count}") from None
        if len(parts) != count:
            raise WrongValueError(f"{one_line(repr(given))} has {len(parts)} parts, not {count}")
        self._write_parts(parts, None if step.probs is None else parts, target)

    def for_envs(self, actions: ActionArray) -> list[Any]:
        return list((actions + self._start).astype(self._dtype))


class BoxActions(Actions):
    """Of a Box of floats with one dimension."""

    def __init__(self, space: spaces.Box) -> None:
        self.space, self.size = space, 2 * space.shape[0]
        self._low, self._high, self._dtype = space.low, space.high, space.dtype
        self.names = tuple(f"dimension {i}" for i in range(space.shape[0]))
        self._half = center_and_half(space.low, space.high)[1]

    def write(self, step: OptionStep, target: FloatArray) -> None:
        if step.probs is not None:
            raise WrongValueError("probs are for discrete actions; give an action and its std")
        mean = np.asarray(step.action)
        if mean.shape != self._low.shape:
            found, expected = list(mean.shape), list(self._low.shape)
            raise WrongValueError(f"the action's shape is {found}, not {expected}")
        if mean.dtype.kind not in "fiub" or not np.isfinite(mean).all():
            raise WrongValueError(f"the action {one_line(repr(step.action))} is not finite numbers")
        target[: self.size // 2] = np.clip(mean, self._low, self._high)
        target[self.size // 2 :] = self._std(step.std) ** 2

    def for_envs(self, actions: ActionArray) -> list[Any]:
        return list(np.clip(actions, self._low, self._high).astype(self._dtype))

    def can_act(self, mask: BoolArray) -> bool:  # noqa: ARG002
        return False

    def _std(self, given: float | Sequence[float] | None) -> NDArray[Any]:
        if given is None:
            return _STD * self._half
        std = np.asarray(given)
        if std.shape not in ((), self._half.shape) or std.dtype.kind not in "fiu":
            raise WrongValueError(
                f"std is {one_line(repr(given))}, not a number or one per dimension"
            )
        if not np.isfinite(std).all() or (std < 0).any():
            raise WrongValueError(
                f"std is {one_line(repr(given))}, which is negative or not finite"
            )
        return np.asarray(np.maximum(std, _LEAST_STD * self._half))


def actions_of(space: spaces.Space[Any]) -> Actions:
    """The actions of a space. Raises SpaceError for one that no student can act in."""
    found: Actions | None = None
    if isinstance(space, spaces.Discrete):
        found = DiscreteActions(space)
    elif isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        found = MultiDiscreteActions(space)
    elif isinstance(space, spaces.Box) and len(space.shape) == 1 and _is_float(space):
        found = BoxActions(space)
    if found is not None:
        try:
            space_to_json(found.space)
        except ValueError:
            found = None  # too many
    if found is None:
        raise SpaceError(
            f"no student can act in {one_line(str(space))}; known: Discrete, MultiDiscrete and a "
            "Box of floats, of one dimension; turn it into one of these by a wrapper"
        )
    return found


def forbidden(mask: BoolArray, target: FloatArray) -> bool:
    """Whether targets, float32 [D], are for an action that a mask, bool [D], does not allow."""
    return bool((target[~mask] > 0).any())


def _category(action: Any, start: int, n: int) -> int:
    try:
        number = operator.index(action) - start
    except TypeError:
        raise WrongValueError(f"the action {one_line(repr(action))} is no whole number") from None
    if not 0 <= number < n:
        raise WrongValueError(
            f"the action {one_line(repr(action))} is not within {start}..{start + n - 1}"
        )
    return number


def _probabilities(given: Any, n: int) -> FloatArray:
    """Checked, their sum made 1: float32 [n]."""
    probs = np.asarray(given)
    if probs.shape != (n,) or probs.dtype.kind not in "fiub":
        raise WrongValueError(f"probs are {one_line(repr(given))}, not {n} numbers")
    if not np.isfinite(probs).all() or (probs < 0).any():
        raise WrongValueError(f"probs are {one_line(repr(given))}, one is negative or not finite")
    total = probs.sum()
    if abs(total - 1) > _TOLERANCE:
        raise WrongValueError(f"probs are {one_line(repr(given))}, whose sum is {total:g}, not 1")
    return np.asarray(probs / total, dtype=np.float32)


def _refuse_std(step: OptionStep) -> None:
    if step.std is not None:
        raise WrongValueError("std is for the actions of a Box; give probs in the action's place")


def _is_float(space: spaces.Space[Any]) -> bool:
    return np.issubdtype(np.dtype(space.dtype), np.floating)
