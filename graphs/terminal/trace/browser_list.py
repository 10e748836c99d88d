"""A list of many rows, of which only those in sight are drawn: less than a screen, however many."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tutelage.graphs.analysis.browsing import Row
from tutelage.graphs.terminal.common.text import safe

LINES: Final = 2
"""Lines of a row."""

_GROUND: Final = Style(bgcolor="#14161b")
_CURSOR: Final = Style(bgcolor="#2b3a55")
_FOUND: Final = "bold #101010 on #ffd75f"


class Listing(ScrollView, can_focus=True):
    """Rows with a cursor, a search that jumps, and a filter. Keys are the app's."""

    class Moved(Message):
        """The cursor came to another row."""

    def __init__(self) -> None:
        super().__init__(id="list")
        self._rows: Sequence[Row] = ()
        self._shown: list[Row] = []
        self.cursor = 0
        self.searched = ""
        self.filtered = ""

    @property
    def row(self) -> Row | None:
        """The row at the cursor; None where there is none."""
        return self._shown[self.cursor] if self._shown else None

    @property
    def counts(self) -> tuple[int, int]:
        """How many rows are shown, and how many there are."""
        return len(self._shown), len(self._rows)

    def show(self, rows: Sequence[Row], stay: bool) -> None:
        """Other rows. stay: keep the cursor on the row that it is on, wherever that is now."""
        key = self.row.key if stay and self.row else None
        self._rows = rows
        self._arrange(key)

    def filter(self, pattern: str) -> None:
        """Show only the rows that have this in them, in any case."""
        key = self.row.key if self.row else None
        self.filtered = pattern.casefold()
        self._arrange(key)

    def search(self, pattern: str, start: int) -> bool:
        """Mark a text and go to the first row from `start` on that has it. Whether one has."""
        self.searched = pattern.casefold()
        found = self._find(start, 1)
        self.refresh()
        return found

    def next_match(self, step: int) -> bool:
        """Go to the next row that has what was searched for, or the one before; round the end."""
        return self._find(self.cursor + step, step)

    def move_to(self, cursor: int) -> None:
        """Put the cursor on a row, the nearest there is, and keep it in sight."""
        self.cursor = max(0, min(cursor, len(self._shown) - 1))
        top, height = self.scroll_offset.y, self.size.height
        first = self.cursor * LINES
        if first < top:
            self.scroll_to(y=first, animate=False)
        elif first + LINES > top + height:
            self.scroll_to(y=first + LINES - height, animate=False)
        self.refresh()
        self.post_message(self.Moved())

    def page(self) -> int:
        """Rows in half a screen."""
        return max(1, self.size.height // LINES // 2)

    def render_line(self, y: int) -> Strip:
        """One line of what is in sight."""
        index, line = divmod(y + self.scroll_offset.y, LINES)
        width = self.size.width
        if index >= len(self._shown):
            return Strip.blank(width, _GROUND)
        row = self._shown[index]
        here = index == self.cursor
        text = Text.assemble(("▌" if here else " ", "#5fd7ff"), self._line(row, line))
        text.truncate(width, overflow="ellipsis")
        segments = [s for s in text.render(self.app.console) if s.text != "\n"]
        strip = Strip(_single_line(segments)).adjust_cell_length(width)
        return strip.apply_style(_CURSOR if here else _GROUND)

    def _line(self, row: Row, line: int) -> Text:
        if line:
            text = safe(f"    {row.tail}", "dim")
        else:
            dot = {None: ("○ ", "dim"), True: ("● ", "#5fd75f"), False: ("● ", "#ff5f5f")}[row.good]
            text = Text.assemble(" ", dot) + safe(row.head, "bold")
        for pattern in {self.searched, self.filtered} - {""}:
            text.highlight_regex(re.compile(re.escape(pattern), re.IGNORECASE), _FOUND)
        return text

    def _arrange(self, key: tuple[str, int] | None) -> None:
        self._shown = [row for row in self._rows if self.filtered in row.searched]
        places = {row.key: i for i, row in enumerate(self._shown)}
        self.virtual_size = Size(self.size.width, len(self._shown) * LINES)
        self.move_to(places.get(key, 0) if key else 0)

    def _find(self, start: int, step: int) -> bool:
        if not self.searched:
            return False
        count = len(self._shown)
        for i in range(count):
            place = (start + i * step) % count
            if self.searched in self._shown[place].searched:
                self.move_to(place)
                return True
        return False


def _single_line(segments: Sequence[Segment]) -> list[Segment]:
    """Line ends and tabs would break the row that they are in."""
    return [
        Segment(re.sub(r"[\n\t]", " ", segment.text), segment.style, segment.control)
        for segment in segments
    ]
