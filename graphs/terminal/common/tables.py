"""Tables in the house's look, and the table of rows that machines get as JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tutelage.graphs.records.trace.names import DASH
from tutelage.graphs.terminal.common.text import print_json, safe

WIDE: Final = 100
"""Columns of a terminal on which nothing needs to be spared."""


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


def headings_for(
    width: int, headings: Iterable[str], spared: Collection[str], wide: int = WIDE
) -> list[str]:
    """The headings that a terminal of this width has room for.

    spared: those that one of fewer than `wide` columns goes without.
    """
    return [heading for heading in headings if width >= wide or heading not in spared]


def print_rows(
    console: Console,
    rows: Sequence[Mapping[str, Any]],
    as_json: bool,
    columns: Mapping[str, str] | None = None,
    spared: Collection[str] = (),
) -> None:
    """Rows of the same fields: as JSON, or as a table whose every cell is untrusted text.

    columns: headings and the fields under them, where the table is to show only some. spared: the
    headings that a narrow terminal goes without.
    """
    if as_json:
        print_json(list(rows))
        return
    fields = columns or {name.replace("_", " "): name for name in (rows[0] if rows else {})}
    shown = headings_for(console.width, fields, spared)
    words = {heading for heading in shown if not _is_figure(rows[0][fields[heading]])}
    table = new_table(shown, words)
    for row in rows:
        table.add_row(*(safe(_cell(row[fields[heading]])) for heading in shown))
    console.print(table)


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
