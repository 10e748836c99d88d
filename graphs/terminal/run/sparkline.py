"""Shares over time as a line of small bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

BLOCKS: Final = "▁▂▃▄▅▆▇█"
LETTERS: Final = "_.:-=+*#"
"""By height, and the same where the terminal's encoding has no blocks."""


class Curve:
    """What a share was as something went on; the latest counts in each of `cells` parts of it."""

    def __init__(self, cells: int) -> None:
        self._cells = cells
        self._shares: dict[int, float] = {}

    def add(self, progress: float, share: float | None) -> None:
        """Note a share. progress: 0..1, where; beyond counts as its end. None notes nothing."""
        if share is not None:
            place = int(min(max(progress, 0.0), 1.0) * self._cells)
            self._shares[min(place, self._cells - 1)] = share

    def line(self, width: int, encoding: str) -> str:
        """The curve in as many characters, blank where nothing is known; empty without a share.

        Where nothing was noted in between, the share before stands.
        """
        shares = dict(self._shares)  # another thread may be adding
        if not shares:
            return ""
        marks = BLOCKS if _can_write(BLOCKS, encoding) else LETTERS
        return "".join(self._mark(shares, i, width, marks) for i in range(width)).rstrip()

    def _mark(self, shares: Mapping[int, float], i: int, width: int, marks: str) -> str:
        until = (i + 1) * self._cells / width
        begins = i * self._cells / width
        if begins >= max(shares) + 1:
            return " "
        known = [cell for cell in shares if cell < until]
        if not known:
            return " "
        share = min(max(shares[max(known)], 0.0), 1.0)
        return marks[min(int(share * len(marks)), len(marks) - 1)]


def _can_write(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
