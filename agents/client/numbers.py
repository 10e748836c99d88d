"""The numbers that a server sends, taken for what they are; what is none is not known.

JSON lets a server write any number where another is meant: a fraction or a negative number of
tokens, a number of four hundred digits. None of them may end a run, or lower what it has spent.
"""

from __future__ import annotations

import math
from typing import Final

MOST: Final = 2**53
"""The largest count: up to here all programs that read JSON agree on a whole number."""


def count_of(value: object) -> int | None:
    """A whole number from 0 to `MOST`; None for all else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MOST else None


def finite(value: object) -> float | None:
    """A number that is finite as a float; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
