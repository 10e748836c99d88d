"""Learning curves, wherever they are wanted: in the terminal, in a file, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.graphs.analysis.comparison import find_runs
from tutelage.graphs.analysis.curves import INTERVAL, Curve, Panel, panels_of
from tutelage.graphs.terminal.common.text import console, print_json, safe
from tutelage.graphs.terminal.runs.braille import print_panels
from tutelage.graphs.terminal.runs.figures import check_format, write_figure


def show(
    paths: Sequence[Path], metrics: Sequence[str], x: str, out: Path | None, as_json: bool
) -> None:
    """Draw the runs' curves; with `out` in a file. Raises ConfigError or RunFolderError."""
    if out is not None:
        check_format(out)
    panels = panels_of(find_runs(paths), metrics, x)
    if out is not None:
        write_figure(panels, out)
    if as_json:
        print_json({"interval": INTERVAL, "panels": [_as_json(panel) for panel in panels]})
    elif out is not None:
        console().print(safe(f"wrote {out}"), soft_wrap=True)
    else:
        print_panels(console(), panels)


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
