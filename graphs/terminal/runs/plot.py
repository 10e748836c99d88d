"""`runs plot`: learning curves in the terminal (by plotext), in a file, or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import plotext
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tutelage.graphs.analysis.comparison import find_runs
from tutelage.graphs.analysis.curves import INTERVAL, Curve, Panel, legend_of, panels_of
from tutelage.graphs.records.outputs import check_output
from tutelage.graphs.terminal.common.figures import check_format, write_figure
from tutelage.graphs.terminal.common.text import console, print_json, safe
from tutelage.graphs.terminal.common.written import tell_written

_COLOURS: Final = ("cyan", "yellow", "magenta", "green", "red", "blue", "white")
"""Names that plotext and Rich share; the terminal's theme says how they look."""
_PLOTEXT_NAMES: Final = {"yellow": "orange", "white": "default"}
"""What plotext calls the terminal's own yellow, and its own foreground."""
_HEIGHT: Final = 15
_NARROWEST: Final = 30
_SIDE_BY_SIDE: Final = 100
"""Columns of a terminal in which two panels stand beside each other."""


def show(
    paths: Sequence[Path],
    metrics: Sequence[str],
    x: str,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Draw the runs' curves; with `out` in a file. force: overwrite that file.

    Raises ConfigError, RunFolderError or OutputError.
    """
    if out is not None:
        check_format(out)
        check_output(out, force)
    panels = panels_of(find_runs(paths), metrics, x)
    if out is not None:
        write_figure(panels, out)
        tell_written(out, stderr=as_json)
    if as_json:
        print_json({"interval": INTERVAL, "panels": [_as_json(panel) for panel in panels]})
    elif out is None:
        _print_panels(console(), panels)


def _as_json(panel: Panel) -> dict[str, Any]:
    return {
        "title": panel.title,
        "x": panel.x_title,
        "curves": [_curve(curve) for curve in panel.curves],
    }


def _curve(curve: Curve) -> dict[str, Any]:
    numbers = {
        name: [None if np.isnan(value) else value for value in getattr(curve, name).tolist()]
        for name in ("x", "mean", "low", "high")
    }
    return {"name": curve.name, "seeds": curve.seeds, **numbers}


def _print_panels(out: Console, panels: Sequence[Panel]) -> None:
    """The panels as wide as the terminal allows, then which colour is which condition."""
    columns = 2 if out.width >= _SIDE_BY_SIDE and len(panels) > 1 else 1
    width = max(out.width // columns - 2, _NARROWEST)
    furthest = max(float(curve.x[-1]) for panel in panels for curve in panel.curves)
    grid = Table.grid(padding=(0, 2, 1, 0))
    drawn = [_drawn(panel, width, furthest) for panel in panels]
    for first in range(0, len(drawn), columns):
        grid.add_row(*drawn[first : first + columns])
    out.print(grid)
    out.print(_legend(panels))


def _drawn(panel: Panel, width: int, furthest: float) -> Text:
    """A panel, `width` characters wide, from 0 to `furthest` along the steps."""
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plot_size(width, _HEIGHT)
    plotext.title(panel.title)
    plotext.xlabel(panel.x_title)
    low, high = _limits(panel)
    plotext.ylim(low, high)
    plotext.xlim(0.0, furthest)
    plotext.yticks(ticks := [low, (low + high) / 2, high], [_number(tick) for tick in ticks])
    plotext.xticks(ticks := [0.0, furthest / 2, furthest], [_number(tick) for tick in ticks])
    for curve in panel.curves:
        colour = _colour(curve.number)
        colour = _PLOTEXT_NAMES.get(colour, colour)
        known = np.isfinite(curve.low)
        for bound in (curve.low[known], curve.high[known]):
            plotext.plot(curve.x[known].tolist(), bound.tolist(), marker="·", color=colour)
        plotext.plot(curve.x.tolist(), curve.mean.tolist(), marker="braille", color=colour)
    return Text.from_ansi(plotext.build().rstrip("\n"))


def _limits(panel: Panel) -> tuple[float, float]:
    if panel.share:
        return 0.0, 1.0
    values = np.concatenate([curve.mean for curve in panel.curves])
    low, high = min(float(values.min()), 0.0), float(values.max())
    return (low, high) if high > low else (low, low + 1.0)


def _legend(panels: Sequence[Panel]) -> Text:
    legend = Text()
    for number, name in legend_of(panels).items():
        legend.append("━━ ", _colour(number)).append_text(safe(name)).append("   ")
    if any(panel.banded for panel in panels):
        legend.append(f"\n{INTERVAL}; its ends are dotted", "dim")
    return legend


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".")
