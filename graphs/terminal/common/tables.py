"""Tables in the house's look, and the table of rows that machines get as JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from tutelage.graphs.records.trace.names import DASH
from tutelage.graphs.terminal.common.text import console, print_json, safe

WIDE: Final = 100
"""Columns of a terminal on which nothing needs to be spared."""

_WORDS: Final = 24
"""Letters of a line to which a column of words may be folded while figures are shown beside it."""

_GAP: Final = 2
"""Columns of the terminal between two columns of a table, and around it."""


def new_table(headings: Iterable[str], words: Collection[str], title: Text | None = None) -> Table:
    """An empty table. words: headings of the columns of text, which are wrapped.

    The other columns hold figures: they stand to the right and are never broken.
    """
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
        collapse_padding=True,
        title=title,
        title_justify="left",
    )
    for heading in headings:
        number = heading not in words
        justify: Any = "right" if number else "left"
        table.add_column(safe(heading), justify=justify, overflow="fold", no_wrap=number)
    return table


def table_of(
    rows: Sequence[Mapping[str, Text]],
    words: Collection[str],
    width: int = WIDE,
    spared: Sequence[str] = (),
    title: Text | None = None,
    whole: Collection[str] = (),
) -> Table:
    """The table of rows, of which each has its cells by heading; there must be a row.

    words: as in `new_table`. spared: headings that are left out, the first one first, as far as
    `width`, the terminal's, has no room for them. whole: those of the words that are not folded
    where that is to be had by sparing others, for they are copied.
    """
    shown = list(rows[0])
    if _needed(rows, [each for each in shown if each not in spared], words, whole) > width:
        whole = ()
    for heading in spared:
        if _needed(rows, shown, words, whole) <= width:
            break
        shown = [each for each in shown if each != heading]
    table = new_table(shown, words, title)
    for row in rows:
        table.add_row(*(row[heading] for heading in shown))
    return table


def _needed(
    rows: Sequence[Mapping[str, Text]],
    shown: Sequence[str],
    words: Collection[str],
    whole: Collection[str],
) -> int:
    """Columns of the terminal that the table needs to be read."""
    needed = _GAP * len(shown)
    for heading in shown:
        cells = [heading, *(row[heading].plain for row in rows)]
        widest = max(cell_len(line) for cell in cells for line in cell.splitlines() or [""])
        needed += min(widest, _WORDS) if heading in words and heading not in whole else widest
    return needed


def print_rows(
    rows: Sequence[Mapping[str, Any]],
    as_json: bool,
    columns: Mapping[str, str] | None = None,
    spared: Sequence[str] = (),
    whole: Collection[str] = (),
) -> None:
    """Rows of the same fields: as JSON, or as a table whose every cell is untrusted text.

    columns: headings and the fields under them, where the table is to show only some. spared,
    whole: as in `table_of`.
    """
    if as_json:
        print_json(list(rows))
        return
    out = console()
    if not rows:
        out.print(new_table(columns or (), words=columns or ()))
        return
    fields = columns or {name.replace("_", " "): name for name in rows[0]}
    words = {
        heading
        for heading, name in fields.items()
        if not all(row[name] is None or _is_figure(row[name]) for row in rows)
    }
    cells = [{heading: safe(_cell(row[name])) for heading, name in fields.items()} for row in rows]
    out.print(table_of(cells, words, out.width, spared, whole=whole))


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    return DASH if value is None else str(value)
