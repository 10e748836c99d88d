"""The list of a trace's browser: Textual's table, with a search, a filter and an order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable

from tutelage.graphs.analysis.browsing import COLUMNS, Kind, Row
from tutelage.graphs.records.trace.names import DASH, call_id
from tutelage.graphs.terminal.common.text import safe

_HELD: Final = 300
"""Rows that the table holds, around the cursor: Textual measures each, 0.1 ms, when it is added."""
_MARGIN: Final = 100
"""Rows beyond the cursor that the table always holds, more than a screen has."""

_LINES: Final = 2
"""Lines of a row, over which a situation's text is wrapped."""
_WIDTHS: Final = {
    "id": 7,
    "call": 8,
    "visits": 9,
    "agree": 8,
    "iter": 7,
    "status": 15,
    "seconds": 10,
}
_WIDTHS_BY_DEFAULT: Final = 16
_NARROW: Final = 45
_SPARED: Final = frozenset({"id", "call", "agree", "iter", "seconds"})
"""Columns that a list of fewer than `_NARROW` columns goes without."""

_DOTS: Final = {None: ("○ ", "dim"), True: ("● ", "green"), False: ("● ", "red")}
_FOUND: Final = "bold #101010 on #ffd75f"


class Listing(DataTable[Text]):
    """Rows with a cursor, of which the table itself holds only those around the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)"),
        Binding("k,up", "move(-1)"),
        Binding("g,home", "edge(-1)"),
        Binding("G,end", "edge(1)"),
        Binding("ctrl+d,pagedown", "half(1)"),
        Binding("ctrl+u,pageup", "half(-1)"),
        Binding("s", "order_by_next"),
        Binding("S", "reverse"),
        Binding("enter,l,right", "app.focus_detail"),
    ]

    class Moved(Message):
        """The cursor came to another row, or other rows are shown."""

    def __init__(self) -> None:
        super().__init__(id="list", cursor_type="row", header_height=1)
        self._kind: Kind = "situations"
        self._rows: Sequence[Row] = ()
        self._shown: Sequence[Row] = ()
        self._first = 0
        self._order: tuple[str, bool] | None = None
        self.searched = ""
        self.filtered = ""

    # ------------------------------------------------------------------ what is shown

    @property
    def cursor(self) -> int:
        """The place of the cursor among all rows that are shown."""
        return self._first + self.cursor_row

    @property
    def row(self) -> Row | None:
        """The row at the cursor; None where there is none."""
        return self._shown[self.cursor] if self._shown else None

    @property
    def counts(self) -> tuple[int, int]:
        """How many rows are shown, and how many there are."""
        return len(self._shown), len(self._rows)

    def show(self, kind: Kind, rows: Sequence[Row]) -> None:
        """Other rows; of the same kind, the cursor stays on its row, wherever that is now."""
        if kind != self._kind:
            self._order = None
            self._shown = ()
        self._kind, self._rows = kind, rows
        self._arrange()

    def filter(self, pattern: str) -> None:
        """Show only the rows that have this in them, in any case."""
        self.filtered = pattern.casefold()
        self._arrange()

    def sort_by(self, column: str | None) -> None:
        """Order by a column, figures from the largest on; again, the other way round.

        None goes back to the list's own order.
        """
        if column is None:
            self._order = None
        elif self._order is not None and self._order[0] == column:
            self._order = (column, not self._order[1])
        else:
            values = (row.value(column) for row in self._rows)
            known = next((value for value in values if value is not None), "")
            self._order = (column, not isinstance(known, str))
        self._arrange()

    def search(self, pattern: str, start: int) -> None:
        """Mark a text and go to the first row from `start` on that has it; to `start` for none."""
        self.searched = pattern.casefold()
        place = self._find(start, 1)
        self._fill(start if place is None else place)

    def next_match(self, step: int) -> bool:
        """Go to the next row that has what was searched for, or the one before; round the end."""
        place = self._find(self.cursor + step, step)
        if place is not None:
            self.move_to(place)
        return place is not None

    def move_to(self, place: int) -> None:
        """Put the cursor on a row, the nearest there is, and keep it in sight."""
        place = max(0, min(place, len(self._shown) - 1))
        last = self._first + self.row_count
        near_start = self._first > 0 and place < self._first + _MARGIN
        near_end = last < len(self._shown) and place >= last - _MARGIN
        if near_start or near_end:
            self._fill(place)
        else:
            self.move_cursor(row=place - self._first)

    def _find(self, start: int, step: int) -> int | None:
        count = len(self._shown) if self.searched else 0
        places = ((start + i * step) % count for i in range(count))
        return next((p for p in places if self.searched in self._shown[p].searched), None)

    def _arrange(self) -> None:
        """Filter and order the rows, with the cursor on the row that it was on."""
        key = self.row.key if self.row else None
        shown = [r for r in self._rows if not self.filtered or self.filtered in r.searched]
        if self._order is not None:
            column, reverse = self._order
            known = [row for row in shown if row.value(column) is not None]
            unknown = [row for row in shown if row.value(column) is None]
            shown = sorted(known, key=lambda row: row.value(column), reverse=reverse) + unknown
        self._shown = shown
        places = (i for i, row in enumerate(shown) if row.key == key)
        self._fill(0 if key is None else next(places, 0))

    def _fill(self, place: int) -> None:
        """Hold the rows around a place, with the cursor there, on the same line of the screen."""
        line = _LINES * self.cursor_row - round(self.scroll_y)
        place = max(0, min(place, len(self._shown) - 1))
        self._first = max(0, min(place - _HELD // 2, len(self._shown) - _HELD))
        self.clear(columns=True)
        names = self._columns()
        rest = self.size.width - sum(_width(name) for name in names[:-1])
        for name in names:
            arrow = ""
            if self._order is not None and self._order[0] == name:
                arrow = "↓" if self._order[1] else "↑"
            width = rest if name == names[-1] else _width(name)
            self.add_column(Text(arrow + name), width=max(1, width - 2), key=name)
        for row in self._shown[self._first : self._first + _HELD]:
            self.add_row(*self._cells(row, names), height=_LINES)
        # Its scrollbar would tell only of the rows that it holds.
        self.styles.scrollbar_size_vertical = int(len(self._shown) <= _HELD)
        self.move_cursor(row=place - self._first)
        self.call_after_refresh(self._keep_line, line)
        self.post_message(self.Moved())

    def _keep_line(self, line: int) -> None:
        """Scroll so that the cursor is on this line, as far as there are rows to do so."""
        line = max(0, min(line, self.size.height - _LINES - self.header_height))
        self.scroll_to(y=_LINES * self.cursor_row - line, animate=False)

    def _columns(self) -> list[str]:
        names = list(COLUMNS[self._kind])
        return [n for n in names if n not in _SPARED or self.size.width >= _NARROW]

    def _cells(self, row: Row, names: Sequence[str]) -> list[Text]:
        cells = [_cell(name, row.value(name)) for name in names]
        for cell in cells:
            for pattern in {self.searched, self.filtered} - {""}:
                cell.highlight_regex(re.compile(re.escape(pattern), re.IGNORECASE), _FOUND)
        cells[-1] = Text.assemble(_DOTS[row.good], cells[-1])
        return cells

    # ------------------------------------------------------------------ keys and mouse

    def half_page(self) -> int:
        """Rows in half a screen."""
        return max(1, (self.size.height - self.header_height) // _LINES // 2)

    def action_move(self, step: int) -> None:
        self.move_to(self.cursor + step)

    def action_half(self, step: int) -> None:
        self.move_to(self.cursor + step * self.half_page())

    def action_edge(self, side: int) -> None:
        self.move_to(0 if side < 0 else len(self._shown) - 1)

    def action_order_by_next(self) -> None:
        columns = self._columns()
        now = self._order[0] if self._order else None
        self.sort_by(columns[(columns.index(now) + 1) % len(columns) if now in columns else 0])

    def action_reverse(self) -> None:
        if self._order is not None:
            self.sort_by(self._order[0])

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.prevent_default().stop()
        self.action_move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.prevent_default().stop()
        self.action_move(-3)

    def on_resize(self) -> None:
        self._fill(self.cursor)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        self.post_message(self.Moved())

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        event.stop()
        self.sort_by(event.column_key.value)


def _width(name: str) -> int:
    return _WIDTHS.get(name, _WIDTHS_BY_DEFAULT)


def _cell(name: str, value: Any) -> Text:
    """A value in its column; figures to the right, and all of it in one line."""
    if value is None:
        return Text(DASH, "dim")
    if isinstance(value, str):
        return safe(re.sub(r"[\n\t]", " ", value))
    if name == "call":
        return Text(call_id(value))
    shown = {"agree": f"{100 * value:.0f} %", "seconds": f"{value:.2f}"}.get(name, f"{value:,}")
    return Text(shown, justify="right")
