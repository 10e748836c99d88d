"""Spaces of observations and actions: Gymnasium's own, two more, and how all are written to files.

A student's observation is a mapping from keys to arrays, each with its space. These are known:

    Box, one dimension, floats     a vector
    Box, uint8 [H, W, C]           a picture
    Discrete, MultiDiscrete        numbers of categories
    CategoryGrid                   a picture of category codes
    Tokens                         words
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from tutelage.rl.errors import UserError

ObservationSpace: TypeAlias = "Mapping[str, spaces.Space[Any]]"
"""The space of each key of an observation."""

ActionSpace: TypeAlias = "spaces.Discrete | spaces.MultiDiscrete | spaces.Box"


class SpaceError(UserError):
    """A space of a user's environment or task that a student cannot see or act in."""


class WrongValueError(ValueError):
    """A value that is not in a space, or not what it must be: the message says so in a clause."""


MAX_TOKEN: Final = 2**31 - 1
_WORD_ENDS: Final = ".,;:!?()[]{}\"'"
_MOST_PIXELS: Final = 2**22
_MOST: Final = float(np.finfo(np.float32).max)


class CategoryGrid(spaces.Box):
    """A picture of category codes: uint8 [height, width], each below `num_codes`.

    attributes: what each code is made of, such as (kind, colour), as small numbers from 0; one row
    for each code, all of the same length. Codes that share an attribute share weights. Empty: each
    code has weights of its own. Raises ValueError for other rows of attributes.
    """

    def __init__(
        self,
        height: int,
        width: int,
        num_codes: int,
        attributes: Sequence[Sequence[int]] = (),
    ) -> None:
        lengths = {len(row) for row in attributes}
        if attributes and (len(attributes) != num_codes or len(lengths) > 1 or 0 in lengths):
            raise ValueError("attributes must have a row for each code, all of one length")
        super().__init__(0, num_codes - 1, (height, width), np.uint8)
        self.height, self.width, self.num_codes = height, width, num_codes
        self.attributes = tuple(map(tuple, attributes))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, CategoryGrid)
            and self.shape == other.shape
            and self.num_codes == other.num_codes
            and self.attributes == other.attributes
        )


class Tokens(spaces.Box):
    """Words: int32 [length], each word's token (`tokens_of`), 0 after the last word."""

    def __init__(self, length: int) -> None:
        super().__init__(0, MAX_TOKEN, (length,), np.int32)
        self.length = length


def tokens_of(text: str, length: int) -> NDArray[np.int32]:
    """The first `length` words of a text as tokens, int32 [length].

    A word's token is a hash of it, so that no vocabulary has to be kept. Case and punctuation at a
    word's ends are ignored.
    """
    words = [word.strip(_WORD_ENDS).casefold() for word in text.split()]
    tokens = [_token(word) for word in words if word][:length]
    return np.array(tokens + [0] * (length - len(tokens)), dtype=np.int32)


def _token(word: str) -> int:
    digest = hashlib.blake2b(word.encode(), digest_size=4).digest()
    return 1 + int.from_bytes(digest) % MAX_TOKEN


class _SpaceModel(BaseModel):
    """The base of spaces as files hold them, within bounds that no honest file exceeds."""

    model_config = ConfigDict(extra="forbid", strict=True)


_Side = Annotated[int, Field(ge=1, le=1024)]
_Finite = Annotated[float, Field(ge=-_MOST, le=_MOST, allow_inf_nan=False)]
_Bounds = Annotated[list[_Finite | None], Field(min_length=1, max_length=65_536)]


class _Vector(_SpaceModel):
    kind: Literal["vector"] = "vector"
    low: _Bounds
    high: _Bounds
    dtype: Literal["float16", "float32", "float64"] = "float32"


class _Picture(_SpaceModel):
    kind: Literal["picture"] = "picture"
    shape: Annotated[tuple[_Side, _Side, Annotated[int, Field(ge=1, le=64)]], Field(strict=False)]

    @field_validator("shape")
    @classmethod
    def _is_no_film(cls, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        if math.prod(shape) > _MOST_PIXELS:  # a space holds two bounds for each
            raise ValueError(f"must be at most {_MOST_PIXELS} numbers")
        return shape


_Start = Annotated[int, Field(ge=-(2**53), le=2**53)]


class _Discrete(_SpaceModel):
    kind: Literal["discrete"] = "discrete"
    n: Annotated[int, Field(ge=1, le=1_000_000)]
    start: _Start = 0


class _MultiDiscrete(_SpaceModel):
    kind: Literal["multi_discrete"] = "multi_discrete"
    nvec: Annotated[
        list[Annotated[int, Field(ge=1, le=1_000_000)]], Field(min_length=1, max_length=4096)
    ]
    start: Annotated[list[_Start], Field(max_length=4096)] = []


class _CategoryGrid(_SpaceModel):
    kind: Literal["category_grid"] = "category_grid"
    height: Annotated[int, Field(ge=1, le=255)]
    width: Annotated[int, Field(ge=1, le=255)]
    num_codes: Annotated[int, Field(ge=1, le=256)]
    attributes: list[list[Annotated[int, Field(ge=0, le=255)]]] = []


class _Tokens(_SpaceModel):
    kind: Literal["tokens"] = "tokens"
    length: Annotated[int, Field(ge=1, le=4096)]


_Stored = Annotated[
    _Vector | _Picture | _Discrete | _MultiDiscrete | _CategoryGrid | _Tokens,
    Field(discriminator="kind"),
]
_STORED: Final = TypeAdapter[Any](_Stored)


def space_to_json(space: spaces.Space[Any]) -> dict[str, Any]:
    """A space as plain values. Raises ValueError for one that is none of the known."""
    return _model_of(space).model_dump()


def space_from_json(value: Any) -> spaces.Space[Any]:
    """The inverse of `space_to_json`. Raises ValueError for anything else."""
    stored = _STORED.validate_python(value)
    if isinstance(stored, _Vector):
        low, high = (_with_infinities(b, s) for b, s in ((stored.low, -1), (stored.high, 1)))
        if low.shape != high.shape or not (low <= high).all():
            raise ValueError("a vector's lower bounds must not exceed its upper ones")
        dtype = np.dtype(stored.dtype).type
        return spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype)
    if isinstance(stored, _Picture):
        return spaces.Box(0, 255, stored.shape, np.uint8)
    if isinstance(stored, _Discrete):
        return spaces.Discrete(stored.n, start=stored.start)
    if isinstance(stored, _MultiDiscrete):
        if stored.start and len(stored.start) != len(stored.nvec):
            raise ValueError("start and nvec must have as many parts")
        return spaces.MultiDiscrete(stored.nvec, start=stored.start or None)
    if isinstance(stored, _CategoryGrid):
        return CategoryGrid(stored.height, stored.width, stored.num_codes, stored.attributes)
    return Tokens(stored.length)


def is_vector(space: spaces.Space[Any]) -> bool:
    """Whether a space is a vector of floats."""
    return (
        isinstance(space, spaces.Box)
        and len(space.shape) == 1
        and np.issubdtype(space.dtype, np.floating)
    )


def is_picture(space: spaces.Space[Any]) -> bool:
    """Whether a space is a picture of uint8 [H, W, C]."""
    return isinstance(space, spaces.Box) and len(space.shape) == 3 and space.dtype == np.uint8


def read_array(value: Any, space: spaces.Space[Any]) -> NDArray[Any]:
    """Nested lists of numbers as an element of a space, as an observation holds it.

    Vectors need only be finite: what an environment observes may lie beyond its bounds. Raises
    TypeError or ValueError for what is no such element.
    """
    numbers = np.array(value)
    # Texts that look like numbers, and whole numbers of hundreds of digits, are of other kinds.
    if numbers.shape != (space.shape or ()) or numbers.dtype.kind not in "iuf":
        raise ValueError(f"no element of {space}")
    low, high = _limits(space)
    fits = (numbers >= low) & (numbers <= high)  # what is no number never does
    if not is_vector(space):
        fits &= numbers == np.floor(numbers)
    if not fits.all():
        raise ValueError(f"no element of {space}")
    return numbers.astype(space.dtype)


def _limits(space: spaces.Space[Any]) -> tuple[Any, Any]:
    """The least and the greatest that each number may be; categories count from 0."""
    if is_vector(space):
        most = np.finfo(space.dtype).max
        return -most, most
    if isinstance(space, spaces.Discrete):
        return 0, int(space.n) - 1
    if isinstance(space, spaces.MultiDiscrete):
        return 0, space.nvec - 1
    assert isinstance(space, spaces.Box)
    return space.low, space.high


def _model_of(space: spaces.Space[Any]) -> BaseModel:
    if isinstance(space, CategoryGrid):
        rows = [list(row) for row in space.attributes]
        return _CategoryGrid(
            height=space.height, width=space.width, num_codes=space.num_codes, attributes=rows
        )
    if isinstance(space, Tokens):
        return _Tokens(length=space.length)
    if is_vector(space):
        assert isinstance(space, spaces.Box)
        bounds = {"low": _without_infinities(space.low), "high": _without_infinities(space.high)}
        return _Vector.model_validate({**bounds, "dtype": str(space.dtype)})
    if is_picture(space):
        assert space.shape is not None
        height, width, channels = space.shape
        return _Picture(shape=(height, width, channels))
    if isinstance(space, spaces.Discrete):
        return _Discrete(n=int(space.n), start=int(space.start))
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        start = [int(n) for n in space.start] if space.start.any() else []
        return _MultiDiscrete(nvec=[int(n) for n in space.nvec], start=start)
    raise ValueError(f"{space} is no space that is known here; allowed: {', '.join(KNOWN_SPACES)}")


KNOWN_SPACES: Final = (
    "a Box of floats with one dimension",
    "a Box of uint8 with [height, width, channels]",
    "Discrete",
    "MultiDiscrete with one dimension",
    "CategoryGrid",
    "Tokens",
)


ACTION_SPACES: Final = "Discrete, MultiDiscrete or a Box of floats, of one dimension"


def _without_infinities(bounds: NDArray[Any]) -> list[float | None]:
    """JSON has no infinity: None stands for it."""
    return [float(bound) if np.isfinite(bound) else None for bound in bounds]


def _with_infinities(bounds: Sequence[float | None], sign: int) -> NDArray[np.float64]:
    found = [sign * np.inf if bound is None else bound for bound in bounds]
    return np.array(found, dtype=np.float64)
