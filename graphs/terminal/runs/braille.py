"""Learning curves in the terminal: lines of braille dots, two by four in each character."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tutelage.graphs.analysis.curves import INTERVAL, Curve, Panel, legend_of
from tutelage.graphs.terminal.common.text import safe

_COLOURS: Final = ("cyan", "yellow", "magenta", "green", "red", "blue", "white")
_BITS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Unicode's numbers of the dots of a cell, by row and column."""
_BLANK: Final = 0x2800
_HEIGHT: Final = 10
_NARROWEST: Final = 34
_SIDE_BY_SIDE: Final = 100
"""Columns of a terminal in which two panels stand beside each other."""


def print_panels(out: Console, panels: Sequence[Panel]) -> None:
    """The panels as wide as the terminal allows, then which colour is which setting."""
    columns = 2 if out.width >= _SIDE_BY_SIDE and len(panels) > 1 else 1
    width = max(out.width // columns - 2, _NARROWEST)
    grid = Table.grid(padding=(0, 2, 1, 0))
    furthest = max(float(curve.x[-1]) for panel in panels for curve in panel.curves)
    cells: list[RenderableType] = [_drawn(panel, width, furthest) for panel in panels]
    for first in range(0, len(cells), columns):
        grid.add_row(*cells[first : first + columns])
    out.print(grid)
    out.print(_legend(panels))


def _drawn(panel: Panel, width: int, furthest: float) -> Group:
    """A panel with its axes, `width` characters wide, from 0 to `furthest` along the steps."""
    low, high = _limits(panel)
    labels = [_number(high), _number((low + high) / 2), _number(low)]
    margin = max(map(len, labels))
    canvas = _Canvas(width - margin - 2, _HEIGHT, furthest, low, high)
    for curve in panel.curves:
        canvas.add(curve, _colour(curve.number))
    lines = [Text(" " * (margin + 1)).append(panel.title, "bold")]
    at = {0: labels[0], _HEIGHT // 2: labels[1], _HEIGHT - 1: labels[2]}
    for row, line in enumerate(canvas.lines()):
        mark = "┤" if row in at else "│"
        lines.append(Text(f"{at.get(row, ''):>{margin}}{mark}", "dim").append_text(line))
    lines.append(Text(f"{'':>{margin}}└{'─' * canvas.columns}", "dim"))
    lines.append(_x_labels(panel, canvas, margin))
    return Group(*lines)


def _x_labels(panel: Panel, canvas: _Canvas, margin: int) -> Text:
    left, right = _number(0.0), _number(canvas.last)
    between = canvas.columns - len(left) - len(right)
    middle = panel.x_title if len(panel.x_title) + 2 <= between else ""
    return Text(f"{'':>{margin + 1}}{left}{middle:^{max(between, 1)}}{right}", "dim")


def _limits(panel: Panel) -> tuple[float, float]:
    if panel.share:
        return 0.0, 1.0
    values = np.concatenate([curve.mean for curve in panel.curves])
    low, high = float(values.min()), float(values.max())
    low = min(low, 0.0)
    return (low, high) if high > low else (low, low + 1.0)


class _Canvas:
    """Dots in a raster of cells. The last curve that sets a dot in a cell gives it its colour."""

    def __init__(self, columns: int, rows: int, last: float, low: float, high: float) -> None:
        self.columns, self._rows, self._low, self._high = columns, rows, low, high
        self.last = last
        self._dots = np.zeros((rows, columns), dtype=np.int64)
        self._styles: list[list[str]] = [[""] * columns for _ in range(rows)]

    def add(self, curve: Curve, style: str) -> None:
        """A line through the curve's points, and its interval as scattered dots behind it."""
        across = np.arange(2 * self.columns)
        places = across / max(2 * self.columns - 1, 1) * self.last
        means = np.interp(places, curve.x, curve.mean, left=np.nan, right=np.nan)
        if len(curve.x) == 1:
            means[np.abs(places - curve.x[0]).argmin()] = curve.mean[0]
        for bound in (curve.low, curve.high):
            edge = np.interp(places, curve.x, bound, left=np.nan, right=np.nan)
            for column in across[::4]:
                self._dot(int(column), self._height(edge[column]), f"dim {style}")
        before = -1
        for column in across:
            here = self._height(means[column])
            if here < 0:
                continue
            start = here if before < 0 else before
            for row in range(min(start, here), max(start, here) + 1):
                self._dot(int(column), row, style)
            before = here

    def lines(self) -> list[Text]:
        """The raster as text."""
        found = []
        for dots, styles in zip(self._dots, self._styles, strict=True):
            line = Text()
            for cell, style in zip(dots.tolist(), styles, strict=True):
                line.append(chr(_BLANK + cell) if cell else " ", style)
            found.append(line)
        return found

    def _height(self, value: float) -> int:
        """The dot's row, from the top; -1 where there is no value, or none in the panel."""
        if not self._low <= value <= self._high:  # nor is NaN
            return -1
        share = (value - self._low) / (self._high - self._low)
        return round((1 - share) * (4 * self._rows - 1))

    def _dot(self, x: int, y: int, style: str) -> None:
        if y < 0:
            return
        row, column = y // 4, x // 2
        self._dots[row, column] |= int(_BITS[y % 4, x % 2])
        self._styles[row][column] = style


def _legend(panels: Sequence[Panel]) -> Text:
    legend = Text()
    for number, name in legend_of(panels).items():
        legend.append("━━ ", _colour(number)).append_text(safe(name)).append("   ")
    if any(panel.banded for panel in panels):
        legend.append(f"\n{INTERVAL}", "dim")
    return legend


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".")
