"""Tables of situations and calls in which each takes one line, in the room that there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from tutelage.graphs.records.trace.names import DASH, one_line, told_apart
from tutelage.graphs.terminal.common.text import safe

_BETWEEN: Final = " · "
"""Between the parts of a situation's text."""
_LEAST_PART: Final = 8
"""Characters that a part keeps, where it is shortened."""
_TEXTS: Final = 54
"""Columns that texts are to have before other columns come in."""
_GAP: Final = 2
"""Columns between two of a table's."""

Cells = Sequence[dict[str, Text]]
"""The rows of a table, each with its cells by heading."""


class SituationCells:
    """A run's situations in a line each, so that what tells them apart stays in sight.

    texts: of all its situations. common: what is the same in all of them. heading: what the parts
    of a line are.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        apart = told_apart(texts)
        self.common = "; ".join(apart.common)
        self.heading = _BETWEEN.join(apart.labels) or "situation"
        self._parts = dict(zip(texts, apart.parts, strict=True))

    def add_to(self, cells: Cells, texts: Sequence[str], width: int) -> None:
        """Give each row the line of its situation, in the room that the others leave."""
        room = room_beside(cells, width)
        for each, text in zip(cells, texts, strict=True):
            each[self.heading] = self.cell(text, room)

    def columns(self, texts: Iterable[str | None]) -> int:
        """The columns that the longest of their lines needs."""
        return max(len(_BETWEEN.join(self._of(text))) for text in texts)

    def cell(self, text: str | None, width: int) -> Text:
        """A text's line; where it has more than `width` characters, its longest parts lose some."""
        parts = self._of(text)
        most = min(max(map(len, parts), default=0), width)
        while most > _LEAST_PART and len(_joined(parts, most)) > width:
            most -= 1
        return safe(ended(_joined(parts, most), width))

    def _of(self, text: str | None) -> Sequence[str]:
        return [DASH] if text is None else self._parts.get(text) or [one_line(text)]


def ended(text: str, width: int) -> str:
    """A text without its end where it has more than `width` characters."""
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"


def _joined(parts: Sequence[str], most: int) -> str:
    """Parts in a line, those of more than `most` characters without their middle."""
    head, tail = (most - 1) * 2 // 3, (most - 1) - (most - 1) * 2 // 3
    return _BETWEEN.join(
        part if len(part) <= most else f"{part[:head]}…{part[len(part) - tail :]}" for part in parts
    )


def without_spared(
    cells: Sequence[dict[str, Text]], width: int, spared: Sequence[str]
) -> list[dict[str, Text]]:
    """The cells without some under `spared` headings, the first one first, where texts lack room.

    This comes before there is a text: that takes whatever room there is.
    """
    kept = list(cells)
    for heading in spared:
        if room_beside(kept, width) >= _TEXTS:
            break
        kept = [{k: v for k, v in each.items() if k != heading} for each in kept]
    return kept


def room_beside(cells: Cells, width: int) -> int:
    """The columns that a table's other cells leave of the terminal's."""
    taken = sum(
        max(len(name), *(each[name].cell_len for each in cells)) + _GAP for name in cells[0]
    )
    return width - taken - _GAP


def cut_short(table: Table) -> Table:
    """The table with what is too long cut short, and not wrapped."""
    for column in table.columns:
        column.no_wrap, column.overflow = True, "ellipsis"
    return table
