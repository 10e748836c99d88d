"""Learning curves: what happened in runs against their steps or seconds, averaged over seeds.

Runs that differ only in their seed are one curve, the mean, with Student's 95 % interval of the
mean over the seeds. Seeds are brought to the same places by linear interpolation; a seed counts
only between its own first and last point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tutelage.graphs.analysis.comparison import Condition, RunRecord, conditions_of, stored_fields
from tutelage.graphs.config.config import ConfigError
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.shapes import MetricsRow
from tutelage.rl.errors import one_of
from tutelage.rl.rollouts.statistics import t_interval

Array = NDArray[np.float64]

AXES: Final = {
    "env_steps": ("env_steps", "environment steps"),
    "total": ("total_steps", "total steps, with the teacher check"),
    "wall_s": ("wall_s", "seconds"),
}
"""What may be along the axis: a field of a row of metrics and its title."""

METRICS: Final = {
    "success": ("eval_success", "held-out success"),
    "return": ("train_return", "training return"),
    "weight": ("teacher_weight", "teacher weight"),
    "agreement": ("agreement", "agreement with the teacher"),
    "calls": ("llm_calls", "LLM calls"),
}
"""The curves that are drawn unless others are named: a field of metrics.jsonl and its title."""

INTERVAL: Final = "band: 95 % interval of the mean over seeds (Student's t)"
_SHARES: Final = ("success", "share", "agreement", "clip_fraction")
_MOST_POINTS: Final = 400


@dataclass(frozen=True)
class Curve:
    """A condition's mean at the places x, float64 [P]; low, high: its interval, NaN where unknown.

    number: the condition's, the same in every panel.
    """

    number: int
    name: str
    seeds: int
    x: Array
    mean: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Panel:
    """The curves of one metric. share: whether its values are within 0 and 1."""

    title: str
    x_title: str
    share: bool
    curves: tuple[Curve, ...]

    @property
    def banded(self) -> bool:
        """Whether any curve has an interval."""
        return any(np.isfinite(curve.low).any() for curve in self.curves)


def check_axis(x: str) -> None:
    """Raises ConfigError for what cannot be along the axis."""
    if x not in AXES:
        raise ConfigError(f"--x {x!r} is no axis{one_of(x, AXES)}")


def panels_of(
    paths: Sequence[Path], metrics: Sequence[str] = (), x: str = "env_steps"
) -> list[Panel]:
    """The learning curves of runs, finished or not; a panel for each metric.

    metrics: names of `METRICS` or fields of metrics.jsonl; none for all of `METRICS`. Raises
    ConfigError for other names and where there is nothing to draw, RunFolderError.
    """
    check_axis(x)
    chosen = [_metric(name) for name in metrics or METRICS]
    folders = [RunFolder.open(path) for path in paths]
    conditions, _ = conditions_of([RunRecord(f.path, stored_fields(f)) for f in folders])
    rows = {run.path: RunFolder(run.path).read_metrics() for c in conditions for run in c.runs}
    panels = []
    for field, title in chosen:
        share = any(word in field for word in _SHARES)
        curves = [_curve(n, c, rows, field, x, share) for n, c in enumerate(conditions)]
        panels.append(Panel(title, AXES[x][1], share, tuple(c for c in curves if len(c.x))))
    if not any(panel.curves for panel in panels):
        raise ConfigError("nothing to draw yet: the runs have no such figures so far")
    return [panel for panel in panels if panel.curves]


def legend_of(panels: Sequence[Panel]) -> dict[int, str]:
    """What the curves are called, by their number."""
    curves = sorted({c.number: c for panel in panels for c in panel.curves}.items())
    return {
        number: f"{curve.name} ({curve.seeds} seeds)" if curve.seeds > 1 else curve.name
        for number, curve in curves
    }


def _metric(name: str) -> tuple[str, str]:
    """The field and the title of a metric."""
    if name in METRICS:
        return METRICS[name]
    if name in MetricsRow.model_fields and name != "iteration":
        return name, name.replace("_", " ")
    names = [*METRICS, *(field for field in MetricsRow.model_fields if field != "iteration")]
    raise ConfigError(f"--metric {name!r} is none{one_of(name, names)}")


def _curve(
    number: int,
    condition: Condition[RunRecord],
    rows: dict[Path, list[MetricsRow]],
    field: str,
    x: str,
    share: bool,
) -> Curve:
    lines = [_points(rows[run.path], field, x) for run in condition.runs]
    lines = [line for line in lines if len(line[0])]
    places = _places([line[0] for line in lines])
    values = np.full((len(lines), len(places)), np.nan)
    for i, (at, value) in enumerate(lines):
        values[i] = np.interp(places, at, value, left=np.nan, right=np.nan)
    mean, low, high = (np.full(len(places), np.nan) for _ in range(3))
    for p in range(len(places)):
        known = values[np.isfinite(values[:, p]), p]
        mean[p] = known.mean()
        low[p], high[p] = t_interval(known.tolist()) or (np.nan, np.nan)
    if share:
        low, high = np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
    return Curve(number, condition.name, len(lines), places, mean, low, high)


def _points(rows: Sequence[MetricsRow], field: str, x: str) -> tuple[Array, Array]:
    """Where and what a run's curve is, without the rows that do not have it."""
    axis, _ = AXES[x]
    found: list[tuple[Any, Any]] = [(getattr(row, axis), getattr(row, field)) for row in rows]
    there = np.array([pair for pair in found if pair[1] is not None], dtype=np.float64)
    return there.reshape(-1, 2)[:, 0], there.reshape(-1, 2)[:, 1]


def _places(lines: Sequence[Array]) -> Array:
    """Every place at which any seed has a point, thinned where these are too many to be seen."""
    places: Array = np.unique(np.concatenate(lines)) if lines else np.zeros(0)
    if len(places) <= _MOST_POINTS:
        return places
    thinned: Array = places[np.linspace(0, len(places) - 1, _MOST_POINTS).round().astype(int)]
    return thinned
