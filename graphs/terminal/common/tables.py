"""Tables of what there is: graphs, environments, providers, prompts, runs, config fields."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tutelage.graphs.terminal.common.text import print_json, safe

WIDE: Final = 100
"""Columns of a terminal on which nothing needs to be spared."""


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
    shown = columns or {name.replace("_", " "): name for name in (rows[0] if rows else {})}
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    shown = {h: f for h, f in shown.items() if console.width >= WIDE or h not in spared}
    for heading, field in shown.items():
        number = isinstance(rows[0][field], int | float) and not isinstance(rows[0][field], bool)
        justify: Literal["left", "right"] = "right" if number else "left"
        table.add_column(heading, overflow="fold", no_wrap=number, justify=justify)
    for row in rows:
        table.add_row(*(safe(_cell(row[field])) for field in shown.values()))
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    return "–" if value is None else str(value)  # noqa: RUF001 - a dash for people
