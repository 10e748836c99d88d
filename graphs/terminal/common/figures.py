"""Learning curves as a picture: PNG or SVG, by Matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tutelage.agents.common.files import explained
from tutelage.graphs.analysis.curves import INTERVAL, Panel, legend_of
from tutelage.graphs.config.config import ConfigError
from tutelage.graphs.terminal.common.text import safe

FORMATS: Final = (".png", ".svg")
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
"""Okabe and Ito's, told apart by the colour-blind too."""
_STYLES: Final = ("-", "--", ":", "-.")
_COLUMNS: Final = 3


def check_format(file: Path) -> None:
    """Raises ConfigError for a file of a kind that is not written, and where Matplotlib is not."""
    if file.suffix.lower() not in FORMATS:
        raise ConfigError(f"--out {file}: allowed are files that end in {' or '.join(FORMATS)}")
    try:
        import matplotlib  # noqa: F401 - whether it is there
    except ImportError:
        raise ConfigError(
            'pictures need Matplotlib: pip install "tutelage[plots]"; without --out the curves '
            "are drawn in the terminal"
        ) from None


def write_figure(panels: Sequence[Panel], file: Path) -> None:
    """Draw the panels beside each other. Raises ConfigError, and RunFolderError for the disk."""
    check_format(file)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.1 * rows + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    furthest = max(float(curve.x[-1]) for panel in panels for curve in panel.curves)
    for axis, panel in zip(axes, panels, strict=False):
        _draw(axis, panel)
        axis.set_xlim(0.0, 1.02 * furthest)  # the same in all, so that they can be read together
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    _legend(figure, panels)
    with explained("write", file):
        file.parent.mkdir(parents=True, exist_ok=True)
        # No date in it: the same runs give the same file.
        metadata = {"Date": None} if file.suffix.lower() == ".svg" else {"Software": None}
        figure.savefig(file, dpi=150, metadata=metadata)


def _draw(axis: Any, panel: Panel) -> None:
    for curve in panel.curves:
        colour, style = _look(curve.number)
        marker = "o" if len(curve.x) == 1 else None
        axis.plot(curve.x, curve.mean, style, color=colour, marker=marker, linewidth=1.8)
        axis.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    axis.set_title(panel.title, loc="left", fontsize=11)
    axis.set_xlabel(panel.x_title, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(visible=True, alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if panel.share:
        axis.set_ylim(-0.02, 1.02)
    elif all((curve.mean >= 0.0).all() for curve in panel.curves):
        flat = not any(curve.mean.any() for curve in panel.curves)
        axis.set_ylim(bottom=0.0, top=1.0 if flat else None)


def _legend(figure: Any, panels: Sequence[Panel]) -> None:
    """The conditions once for all panels, and what the bands are."""
    from matplotlib.lines import Line2D

    handles, names = [], []
    for number, name in legend_of(panels).items():
        colour, style = _look(number)
        handles.append(Line2D([], [], color=colour, linestyle=style, linewidth=1.8))
        # Dollars would begin a formula.
        names.append(safe(name).plain.replace("$", r"\$"))
    figure.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=min(len(names), 4),
        frameon=False,
        fontsize=9,
        title=INTERVAL if any(panel.banded for panel in panels) else None,
        title_fontsize=8,
    )


def _look(number: int) -> tuple[str, Any]:
    """A curve's colour and dashes."""
    return (
        _COLOURS[number % len(_COLOURS)],
        _STYLES[number // len(_COLOURS) % len(_STYLES)],
    )
