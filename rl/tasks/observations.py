"""What a student sees of an environment: any nested space as arrays by key.

    Dict, Tuple                            the keys of their parts, joined by dots
    Box of floats, of any shape            a vector
    Box uint8 [H, W, C], [C, H, W], [H, W] a picture uint8 [H, W, C], where both sides are 8 or more
                                           and C is the smaller of the first and the last number
    other Box, MultiBinary                 a vector
    Discrete, MultiDiscrete                themselves, numbered from 0
    Text                                   Tokens
    CategoryGrid, Tokens                   themselves

A space that is not nested has the key "observation". Where it is not at hand, as beside a student
that was loaded, the student's own spaces say enough (`StudentObservationEncoder`).
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from tutelage.rl.errors import is_writable, one_line
from tutelage.rl.tasks.base import Observation
from tutelage.rl.tasks.spaces import (
    CategoryGrid,
    ObservationSpace,
    SpaceError,
    Tokens,
    WrongValueError,
    is_picture,
    is_vector,
    space_to_json,
    tokens_of,
)

PLAIN_KEY: Final = "observation"
TEXT_LENGTH: Final = 32
"""Words of a text that are seen."""
_LEAST_SIDE: Final = 8
"""Of a picture: what is smaller is a table of numbers."""
_MOST_TEXTS: Final = 4096


class ObservationEncoder:
    """Turns observations of a Gymnasium space into what a student sees.

    observation_space: the student's, by key. Raises SpaceError for a space that is not listed at
    the top.
    """

    observation_space: ObservationSpace

    def __init__(self, space: spaces.Space[Any]) -> None:
        leaves: dict[str, tuple[tuple[Any, ...], _Leaf]] = {}
        for path, inner in _leaf_spaces(space, ()):
            key = ".".join(map(str, path)) or PLAIN_KEY
            if key in leaves:
                raise SpaceError(f"two parts of the observation space have the key {key!r}")
            leaves[key] = (path, _leaf(key, inner))
        if not leaves:
            raise SpaceError(f"there is nothing in the observation space {one_line(str(space))}")
        self._take(leaves)

    def _take(self, leaves: Mapping[str, tuple[tuple[Any, ...], _Leaf]]) -> None:
        """The parts by key, each with the way that leads to it."""
        self._leaves = leaves
        self.observation_space = {key: leaf.space for key, (_, leaf) in leaves.items()}
        self._floats = [
            k for k, s in self.observation_space.items() if np.issubdtype(_dtype(s), np.floating)
        ]

    def empty(self, rows: int) -> dict[str, NDArray[Any]]:
        """A batch of zeros, to be filled by `write`: arrays [rows, ...]."""
        return {
            key: np.zeros((rows, *_shape(space)), dtype=_dtype(space))
            for key, space in self.observation_space.items()
        }

    def write(self, value: Any, batch: Mapping[str, NDArray[Any]], row: int) -> None:
        """Encode one observation into a row of a batch; `unusable_row` checks the floats.

        Raises WrongValueError for what is not in the space.
        """
        for key, (path, leaf) in self._leaves.items():
            try:
                inner = self._part(value, path)
            except (KeyError, IndexError, TypeError):
                raise WrongValueError(f"the observation lacks {key!r}") from None
            try:
                leaf.write(inner, batch[key], row)
            except (TypeError, OverflowError, ValueError) as error:
                named = "the observation" if inner is value else f"the observation's {key!r}"
                raise WrongValueError(f"{named} {error}") from error

    def unusable_row(self, batch: Observation) -> int | None:
        """A row of a batch that holds a number which is not finite, None where there is none."""
        for key in self._floats:
            finite = np.isfinite(batch[key])
            if not finite.all():
                return int(np.flatnonzero(~finite.all(axis=1))[0])
        return None

    @staticmethod
    def _part(value: Any, path: tuple[Any, ...]) -> Any:
        """Where a way leads to in a nested observation.

        Raises KeyError, IndexError or TypeError where it leads nowhere.
        """
        for step in path:
            value = value[step]
        return value


class StudentObservationEncoder(ObservationEncoder):
    """The same for a student whose environment is not at hand, made of what the student sees.

    How its environment arranges that is not known: numbers of a vector or categories may stand in
    any shape, pictures as listed at the top, and a text may be its tokens.
    """

    def __init__(self, observation_space: ObservationSpace) -> None:
        self._take(
            {
                key: (tuple(key.split(".")), _student_leaf(space))
                for key, space in observation_space.items()
            }
        )

    @staticmethod
    def _part(value: Any, path: tuple[Any, ...]) -> Any:
        """A key of a dictionary may itself have dots, and a plain observation has no keys."""
        if path == (PLAIN_KEY,) and not isinstance(value, Mapping):
            return value
        if not path:
            return value
        if isinstance(value, tuple | list):
            return StudentObservationEncoder._part(value[int(path[0])], path[1:])
        for end in range(1, len(path) + 1):
            with suppress(KeyError, IndexError, TypeError, ValueError):
                inner = value[".".join(path[:end])]
                return StudentObservationEncoder._part(inner, path[end:])
        raise KeyError(".".join(path))


class _Leaf(ABC):
    """One part of an observation: its space as the student has it, and how to get there."""

    space: spaces.Space[Any]

    @abstractmethod
    def write(self, value: Any, rows: NDArray[Any], row: int) -> None:
        """Encode a value into `rows[row]`.

        Raises TypeError, OverflowError or ValueError for what is not in the space; the message goes
        on after the words "the observation".
        """


class _Vector(_Leaf):
    """Numbers of any shape, side by side: float32. Bounds need not be kept, as in Gymnasium."""

    def __init__(self, shape: tuple[int, ...], low: NDArray[Any], high: NDArray[Any]) -> None:
        self._shape = shape
        with np.errstate(over="ignore"):  # a bound that float32 does not know is no bound
            low, high = (bound.astype(np.float32).reshape(-1) for bound in (low, high))
        self.space = spaces.Box(low, high, dtype=np.float32)

    def write(self, value: Any, rows: NDArray[Any], row: int) -> None:
        array = np.asarray(value)
        if array.shape != self._shape:
            raise ValueError(_wrong_shape(array.shape, self._shape))
        if array.dtype.kind not in "fiub":
            raise TypeError(f"is made of {array.dtype}, not of numbers")
        with np.errstate(over="ignore"):  # what becomes infinite is found by `unusable_row`
            rows[row] = array.reshape(-1)


class _Numbers(_Leaf):
    """Whole numbers of a shape within bounds. low, high: arrays of that shape; both are possible.

    arrange: from an array of the shape to one of the student's space.
    """

    def __init__(
        self,
        space: spaces.Space[Any],
        low: NDArray[Any],
        high: NDArray[Any],
        arrange: Callable[[NDArray[Any]], NDArray[Any]],
    ) -> None:
        self.space, self._low, self._high, self._arrange = space, low, high, arrange
        # Comparing each pixel takes as long as copying it, and all that uint8 has is allowed.
        self._all_of_it = bool((low <= 0).all() and (high >= np.iinfo(np.uint8).max).all())

    def write(self, value: Any, rows: NDArray[Any], row: int) -> None:
        array = np.asarray(value)
        if array.shape != self._low.shape:
            raise ValueError(_wrong_shape(array.shape, self._low.shape))
        if array.dtype.kind not in "iub":
            raise TypeError(f"is made of {array.dtype}, not of whole numbers")
        if not (self._all_of_it and array.dtype == np.uint8) and not (
            (array >= self._low).all() and (array <= self._high).all()
        ):
            raise ValueError("is outside its space")
        rows[row] = self._arrange(array)


class _Category(_Leaf):
    """One number of a Discrete space."""

    def __init__(self, space: spaces.Discrete[Any]) -> None:
        self._start, self._n = int(space.start), int(space.n)
        self.space = space

    def write(self, value: Any, rows: NDArray[Any], row: int) -> None:
        try:
            number = operator.index(value) - self._start
        except TypeError:
            raise TypeError(f"{one_line(repr(value))} is no whole number") from None
        if not 0 <= number < self._n:
            raise ValueError(f"{one_line(repr(value))} is outside its space")
        rows[row] = number


class _Words(_Leaf):
    """A text, as tokens."""

    def __init__(self, length: int = TEXT_LENGTH) -> None:
        self.space = Tokens(length)
        self._tokens = lru_cache(_MOST_TEXTS)(partial(tokens_of, length=length))

    def write(self, value: Any, rows: NDArray[Any], row: int) -> None:
        if not isinstance(value, str):
            raise TypeError(f"{one_line(repr(value))} is no text")
        if not is_writable(value):
            raise ValueError(f"{one_line(repr(value))} is no Unicode")
        rows[row] = self._tokens(value)


class _Arranged(_Leaf):
    """A value in one of several arrangements, before it goes to another leaf.

    arrange: from the value to what that leaf takes.
    """

    def __init__(self, leaf: _Leaf, arrange: Callable[[Any], Any]) -> None:
        self.space, self._leaf, self._arrange = leaf.space, leaf, arrange

    def write(self, value: Any, rows: NDArray[Any], row: int) -> None:
        self._leaf.write(self._arrange(value), rows, row)


class _TextOrTokens(_Words):
    """A text, or what it is as tokens."""

    def __init__(self, space: Tokens) -> None:
        super().__init__(space.length)
        self._numbers = _Numbers(space, space.low, space.high, _as_it_is)

    def write(self, value: Any, rows: NDArray[Any], row: int) -> None:
        if isinstance(value, str):
            super().write(value, rows, row)
        else:
            self._numbers.write(value, rows, row)


def _leaf_spaces(
    space: Any, path: tuple[Any, ...]
) -> Iterator[tuple[tuple[Any, ...], spaces.Space[Any]]]:
    """The spaces that are not nested, and the way to each."""
    if isinstance(space, spaces.Dict):
        parts: list[tuple[Any, Any]] = list(space.spaces.items())
    elif isinstance(space, spaces.Tuple):
        parts = list(enumerate(space.spaces))
    else:
        yield path, space
        return
    for key, inner in parts:
        yield from _leaf_spaces(inner, (*path, key))


def _leaf(key: str, space: spaces.Space[Any]) -> _Leaf:
    """Raises SpaceError."""
    leaf = _known_leaf(space)
    try:
        if leaf is not None:
            space_to_json(leaf.space)
            return leaf
    except ValueError as error:
        if isinstance(error, SpaceError):
            raise
        raise SpaceError(
            f"the observation {key!r} is empty or too large for a student: {one_line(str(space))}; "
            "change that by a wrapper or by `encode` and `observation_space`"
        ) from error
    raise SpaceError(
        f"the observation {key!r} is of a space that no student can see, {one_line(str(space))}; "
        "known: Box, Discrete, MultiDiscrete, MultiBinary, Text, and Dict and Tuple of them; turn "
        "it into one of these by `encode` and `observation_space`"
    )


def _known_leaf(space: Any) -> _Leaf | None:
    if isinstance(space, CategoryGrid | Tokens):
        return _Numbers(space, space.low, space.high, _as_it_is)
    if isinstance(space, spaces.Box):
        picture = _picture_arrangement(space)
        if picture is None:
            return _Vector(space.shape, space.low, space.high)
        darkest, brightest = np.zeros(space.shape, np.uint8), np.full(space.shape, 255, np.uint8)
        seen = spaces.Box(0, 255, picture(darkest).shape, np.uint8)
        return _Numbers(seen, darkest, brightest, picture)
    if isinstance(space, spaces.MultiBinary):
        return _Vector(space.shape, np.zeros(space.shape), np.ones(space.shape))
    if isinstance(space, spaces.Discrete):
        return _Category(space)
    if isinstance(space, spaces.MultiDiscrete):
        start = np.asarray(space.start)
        flat = spaces.MultiDiscrete(space.nvec.reshape(-1), start=start.reshape(-1))
        return _Numbers(
            flat, start, start + space.nvec - 1, lambda array: (array - start).reshape(-1)
        )
    return _Words() if isinstance(space, spaces.Text) else None


def _student_leaf(space: Any) -> _Leaf:
    """The part that a student sees as an element of this space."""
    if isinstance(space, Tokens):
        return _TextOrTokens(space)
    leaf = _known_leaf(space)
    assert leaf is not None
    if is_picture(space):
        return _Arranged(leaf, partial(_picture_of, space.shape))
    if is_vector(space) or isinstance(space, spaces.MultiDiscrete):
        return _Arranged(leaf, lambda value: np.asarray(value).reshape(-1))
    return leaf


def _picture_of(shape: tuple[int, ...], value: Any) -> NDArray[Any]:
    """A picture in the arrangement that has this shape; as it is where none has."""
    array = np.asarray(value)
    arrangements = {2: (_with_channel,), 3: (_as_it_is, _channels_last)}
    for arrange in arrangements.get(array.ndim, ()):
        if arrange(array).shape == shape:
            return arrange(array)
    return array


def _picture_arrangement(space: spaces.Box) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """From a picture to [height, width, channels]; None for what is no picture."""
    if space.dtype != np.uint8 or len(space.shape) not in (2, 3):
        return None
    if len(space.shape) == 2:
        return _with_channel if min(space.shape) >= _LEAST_SIDE else None
    # A stack of frames may have as many channels as a small picture has pixels on a side.
    if space.shape[0] < space.shape[2]:
        return _channels_last if min(space.shape[1:]) >= _LEAST_SIDE else None
    return _as_it_is if min(space.shape[:2]) >= _LEAST_SIDE else None


def _as_it_is(array: NDArray[Any]) -> NDArray[Any]:
    return array


def _with_channel(array: NDArray[Any]) -> NDArray[Any]:
    return array[:, :, None]


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    return np.moveaxis(array, 0, -1)


def _wrong_shape(found: tuple[int, ...], expected: tuple[int, ...]) -> str:
    return f"has the shape {list(found)}, not {list(expected)}"


def _shape(space: spaces.Space[Any]) -> tuple[int, ...]:
    return space.shape or ()


def _dtype(space: spaces.Space[Any]) -> np.dtype[Any]:
    return np.dtype(space.dtype)
