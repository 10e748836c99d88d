"""The list of a trace's browser: Textual's table, with a search, a filter and an order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widgets import DataTable

from tutelage.graphs.analysis.browsing_rows import COLUMNS, ORDERS, Kind, Row, in_order
from tutelage.graphs.analysis.trace_details import situation_row
from tutelage.graphs.records.trace.names import DASH, call_id
from tutelage.graphs.terminal.common.text import safe
from tutelage.graphs.terminal.trace.browser_look import BAD, FOUND, dot, verdict_text
from tutelage.graphs.terminal.trace.lines import advice_line
from tutelage.graphs.terminal.trace.situation_lines import SituationCells, ended

_HELD: Final = 300
"""Rows that the table holds, around the cursor: Textual measures each, 0.1 ms, when it is added."""
_MARGIN: Final = 100
"""Rows beyond the cursor that the table always holds, more than a screen has."""

_WIDTHS: Final = {
    "call": 9,
    "visits": 9,
    "agree": 9,
    "last": 7,
    "verdict": 13,
    "iter": 7,
    "status": 17,
    "seconds": 10,
    "event": 18,
}
_PADDING: Final = 2
"""Columns of a cell that are blank."""
_SPARED: Final = {"last": 90, "agree": 45, "call": 55, "iter": 55, "seconds": 70}
"""Columns that a list of fewer columns than these goes without, unless it is ordered by them."""
_ROOMY: Final = 36
"""Columns from which on a situation is told in one line; in fewer it has two, unless the list is
low."""
_LOW: Final = 12
"""A list of fewer lines is low."""
_LEAST_ROOM: Final = 8


class Listing(DataTable[Text]):
    """Rows with a cursor, of which the table itself holds only those around the cursor."""

    class Moved(Message):
        """The cursor came to another row, or other rows are shown."""

    def __init__(self) -> None:
        super().__init__(id="list", cursor_type="row", header_height=1)
        self._kind: Kind = "situations"
        self._rows: Sequence[Row] = ()
        self._shown: Sequence[Row] = ()
        self._told = SituationCells([])
        self._first = 0
        self._lines = 2
        self._order = "visits"
        self._reverse = False
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
    def shown(self) -> Sequence[Row]:
        """The rows that are shown, in order."""
        return self._shown

    @property
    def counts(self) -> tuple[int, int]:
        """How many rows are shown, and how many there are."""
        return len(self._shown), len(self._rows)

    def show(self, kind: Kind, rows: Sequence[Row], texts: Sequence[str]) -> None:
        """Other rows; of the same kind, the cursor stays on its row, wherever that is now.

        texts: of all situations of the run.
        """
        if kind != self._kind:
            self._kind, self._shown = kind, ()
            self._order, self._reverse = next(iter(ORDERS[kind])), False
        self._rows, self._told = rows, SituationCells(texts)
        self._arrange()

    def filter(self, pattern: str) -> None:
        """Show only the rows that have this in them, in any case."""
        self.filtered = pattern.casefold()
        self._arrange()

    def order_by(self, order: str, reverse: bool = False) -> None:
        """Order by one of `ORDERS`."""
        self._order, self._reverse = order, reverse
        self._arrange()

    def order_by_next(self) -> None:
        """Order by the next of `ORDERS`."""
        orders = list(ORDERS[self._kind])
        self.order_by(orders[(orders.index(self._order) + 1) % len(orders)])

    def reverse_order(self) -> None:
        """The same order from its other end."""
        self.order_by(self._order, not self._reverse)

    def forget(self) -> None:
        """Forget search, filter and order."""
        self.searched = self.filtered = ""
        self.order_by(next(iter(ORDERS[self._kind])))

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

    def move_by(self, step: int) -> None:
        """Put the cursor so many rows further down."""
        self.move_to(self.cursor + step)

    def move_to_end(self, side: int) -> None:
        """Put the cursor on the first row (-1), or on the last."""
        self.move_to(0 if side < 0 else len(self._shown) - 1)

    def half_page(self) -> int:
        """Rows in half a screen."""
        return max(1, (self.size.height - self.header_height) // self._lines // 2)

    def _find(self, start: int, step: int) -> int | None:
        count = len(self._shown) if self.searched else 0
        places = ((start + i * step) % count for i in range(count))
        return next((p for p in places if self.searched in self._shown[p].searched), None)

    def _arrange(self) -> None:
        """Filter and order the rows, with the cursor on the row that it was on."""
        key = self.row.key if self.row else None
        rows = [r for r in self._rows if not self.filtered or self.filtered in r.searched]
        as_read = self._order == next(iter(ORDERS[self._kind])) and not self._reverse
        self._shown = rows if as_read else in_order(rows, self._kind, self._order, self._reverse)
        places = (i for i, row in enumerate(self._shown) if row.key == key)
        self._fill(0 if key is None else next(places, 0))

    def _fill(self, place: int) -> None:
        """Hold the rows around a place, with the cursor there, on the same line of the screen."""
        line = self._lines * self.cursor_row - round(self.scroll_y)
        place = max(0, min(place, len(self._shown) - 1))
        self._first = max(0, min(place - _HELD // 2, len(self._shown) - _HELD))
        self.clear(columns=True)
        headings = self._headings()
        rest = self.size.width
        for name, heading in headings.items():
            last = name == next(reversed(headings))
            width = rest if last else max(_WIDTHS[name], len(heading) + _PADDING)
            rest -= width
            self.add_column(safe(heading), width=max(1, width - _PADDING), key=name)
        # The last column has what is left.
        room = max(_LEAST_ROOM, width - _PADDING)
        self._lines = 2 if room >= _ROOMY or self.size.height < _LOW else 3
        for row in self._shown[self._first : self._first + _HELD]:
            self.add_row(*self._cells(row, list(headings), room), height=self._lines)
        # Its scrollbar would tell only of the rows that it holds.
        self.styles.scrollbar_size_vertical = int(len(self._shown) <= _HELD)
        self.move_cursor(row=place - self._first)
        self.call_after_refresh(self._keep_line, line)
        self.post_message(self.Moved())

    def _keep_line(self, line: int) -> None:
        """Scroll so that the cursor is on this line, as far as there are rows to do so."""
        line = max(0, min(line, self.size.height - self._lines - self.header_height))
        self.scroll_to(y=self._lines * self.cursor_row - line, animate=False)

    def _headings(self) -> dict[str, str]:
        """The columns, and what stands above them: the order there, by its name and direction."""
        order = ORDERS[self._kind][self._order]
        arrow = "↓" if order.largest_first != self._reverse else "↑"
        headings = {}
        for name in COLUMNS[self._kind]:
            if name == order.column:
                headings[name] = f"{arrow}{self._order}"
            elif self.size.width >= _SPARED.get(name, 0):
                headings[name] = name
        if "situation" in headings:
            # Its parts have no labels of their own.
            ordered = order.column == "situation"
            parts = self._told.heading
            headings["situation"] = f"{headings['situation']} · {parts}" if ordered else parts
        return headings

    # ------------------------------------------------------------------ a row

    def _cells(self, row: Row, names: Sequence[str], room: int) -> list[Text]:
        cells = [_cell(name, row.value(name)) for name in names[:-1]]
        if row.kind == "situations":
            told = self._told_in(row.record.text, room)
            line = ended(advice_line(situation_row(row.record)), room)
            rejected = row.verdict == "rejected"
            cells.append(Text("\n").join([told, safe(line, BAD if rejected else "italic")]))
            cells[0].append(f"\n#{row.record.number}", "dim")
            if "agree" in names and row.record.disagreements is not None:
                line = f"\n≠ {row.record.disagreements:,.0f}"
                cells[names.index("agree")].append(line, "dim")
        else:
            last = row.value(names[-1])
            if row.kind == "calls":
                told = self._told_in(last, room - 2)
                if row.record.error:
                    told = Text("\n").join([told, _cell("error", row.record.error)])
            else:
                told = _cell(names[-1], last)
            cells.append(Text.assemble(dot(row.good), told))
        for cell in cells:
            for pattern in {self.searched, self.filtered} - {""}:
                cell.highlight_regex(re.compile(re.escape(pattern), re.IGNORECASE), FOUND)
        return cells

    def _told_in(self, text: str | None, room: int) -> Text:
        """What tells a situation from others, in all lines of a row but one."""
        most = self._lines - 1
        for width in range(room * most, 0, -4):
            told = self._told.cell(text, width)
            if len(told.wrap(self.app.console, room)) <= most:
                return told
        return self._told.cell(text, room)

    # ------------------------------------------------------------------ mouse

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.prevent_default().stop()
        self.move_by(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.prevent_default().stop()
        self.move_by(-3)

    def on_resize(self) -> None:
        self._fill(self.cursor)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        self.post_message(self.Moved())

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Order by the column; where it is, the other way round."""
        event.stop()
        column = event.column_key.value
        if ORDERS[self._kind][self._order].column == column:
            self.reverse_order()
        else:
            orders = ORDERS[self._kind].items()
            self.order_by(next(name for name, order in orders if order.column == column))


def _cell(name: str, value: Any) -> Text:
    """A value in its column; figures to the right, and all of it in one line."""
    if value is None:
        return Text(DASH, "dim")
    if name == "verdict":
        return verdict_text(value)
    if isinstance(value, str):
        return safe(re.sub(r"[\n\t]", " ", value))
    if name == "call":
        return Text(call_id(value))
    shown = {"agree": f"{100 * value:.0f} %", "seconds": f"{value:.2f}"}.get(name, f"{value:,}")
    return Text(shown, justify="right")
