"""Charts as inline SVG: learning curves with their bands, and shares with their intervals.

Colours and dashes are classes of the style sheet (`page.css`), so that a chart fits a light and a
dark page. Each chart says in words what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tutelage.graphs.analysis.curves import Curve, Panel
from tutelage.graphs.analysis.report.markup import Html, element, join, short

_COLOURS: Final = 6
"""Colours that the style sheet has, `c0` to `c5`."""
_DASHES: Final = (None, "7 3", "2 2", "9 3 2 3", "4 4", "12 3")
"""Colours alone tell no curves apart for everybody, nor more than six for anybody."""
_WIDTH, _HEIGHT = 400, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 28, 26, 42
_TICKS: Final = 4
_BAR, _NAMES, _FIGURE = 26, 166, 66
"""Of a chart of shares: a row's height, the room for the names before it and the figure after."""
_LETTERS: Final = 20
"""Of a name there."""


@dataclass(frozen=True)
class Share:
    """A row of a chart of shares. low, high: its interval, None where it has none."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


def curves_chart(panel: Panel, removed: Mapping[int, Sequence[int]], furthest: float) -> Html:
    """A panel's curves, from 0 to `furthest` along the steps.

    removed: by a curve's number, the steps at which its teachers were removed.
    """
    x_ticks = [tick for tick in _ticks(0.0, furthest) if tick <= furthest]
    y_ticks = _ticks(*_limits(panel))
    plot = _Plot((0.0, furthest), (y_ticks[0], y_ticks[-1]))
    parts: list[Html] = [element("title", panel.title), element("desc", _in_words(panel))]
    for tick in y_ticks:
        y = plot.y(tick)
        parts.append(element("line", class_="grid", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y))
        name = f"{100 * tick:.0f} %" if panel.share else _number(tick)
        parts.append(element("text", name, class_="end", x=_LEFT - 6, y=round(y + 4, 1)))
    for tick in x_ticks:
        x = plot.x(tick)
        bottom = _HEIGHT - _BOTTOM
        parts.append(element("line", class_="axis", x1=x, x2=x, y1=bottom, y2=bottom + 4))
        parts.append(element("text", _number(tick), class_="mid", x=x, y=bottom + 17))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(element("text", panel.x_title, class_="mid", x=middle, y=_HEIGHT - 6))
    parts += _removals(panel, removed, plot)
    for curve in panel.curves:
        parts += _curve(curve, plot)
    return _svg(parts, _WIDTH, _HEIGHT)


def swatch(number: int) -> Html:
    """A piece of a curve's line, for a legend."""
    line = element("line", x1=1, x2=29, y1=6, y2=6, **_look(number))
    return element("svg", line, class_="swatch", viewBox="0 0 30 12", aria_hidden="true")


def shares_chart(title: str, shares: Sequence[Share]) -> Html:
    """Shares between 0 and 1, a row each, with their intervals."""
    left, right = _NAMES, _WIDTH - _FIGURE
    height = _BAR * len(shares) + 26
    words = "; ".join(f"{share.name}: {_percent(share.value)}" for share in shares)
    parts: list[Html] = [element("title", title), element("desc", words)]
    for tick in (0.0, 0.5, 1.0):
        x = round(left + tick * (right - left), 1)
        parts.append(element("line", class_="grid", x1=x, x2=x, y1=4, y2=height - 20))
        parts.append(element("text", f"{100 * tick:.0f} %", class_="mid", x=x, y=height - 4))
    for i, share in enumerate(shares):
        y = 4 + i * _BAR + _BAR / 2
        at = [
            round(left + min(max(value, 0.0), 1.0) * (right - left), 1)
            for value in (share.value, share.low, share.high)
            if value is not None
        ]
        parts.append(element("text", _clipped(share.name), class_="end", x=left - 10, y=y + 4))
        if len(at) == 3:
            parts.append(element("line", class_="span", x1=at[1], x2=at[2], y1=y, y2=y))
        parts.append(element("circle", class_="dot", cx=at[0], cy=y, r=4.5))
        parts.append(element("text", _percent(share.value), class_="end", x=_WIDTH - 2, y=y + 4))
    return _svg(parts, _WIDTH, height)


@dataclass(frozen=True)
class _Plot:
    """Where values come to lie. across, up: the least and the greatest of each axis."""

    across: tuple[float, float]
    up: tuple[float, float]

    def x(self, value: float) -> float:
        low, high = self.across
        return round(_LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        low, high = self.up
        bottom = _HEIGHT - _BOTTOM
        return round(bottom - (value - low) / (high - low) * (bottom - _TOP), 1)

    def points(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        return " ".join(f"{self.x(x):g},{self.y(y):g}" for x, y in zip(xs, ys, strict=True))


def _curve(curve: Curve, plot: _Plot) -> list[Html]:
    parts = []
    known = np.isfinite(curve.low)
    if known.sum() > 1:
        xs = curve.x[known].tolist()
        there = plot.points(xs, curve.high[known].tolist())
        back = plot.points(xs[::-1], curve.low[known].tolist()[::-1])
        band = f"band c{curve.number % _COLOURS}"
        parts.append(element("polygon", class_=band, points=f"{there} {back}"))
    if len(curve.x) == 1:
        (x,), (y,) = curve.x.tolist(), curve.mean.tolist()
        dot = f"point c{curve.number % _COLOURS}"
        parts.append(element("circle", class_=dot, cx=plot.x(x), cy=plot.y(y), r=3.5))
    else:
        points = plot.points(curve.x.tolist(), curve.mean.tolist())
        parts.append(element("polyline", points=points, **_look(curve.number)))
    return parts


def _removals(panel: Panel, removed: Mapping[int, Sequence[int]], plot: _Plot) -> list[Html]:
    """A line where a teacher was removed; with several runs, a mark in its colour for each."""
    runs = [
        (curve.number, steps)
        for curve in panel.curves
        for steps in removed.get(curve.number, ())
        if steps <= plot.across[1]
    ]
    if len(runs) == 1 and len(panel.curves) == 1:
        x = plot.x(runs[0][1])
        # On the side on which there is more room for the words.
        side, gap = ("end", -5) if x > _WIDTH / 2 else ("start", 5)
        return [
            element("line", class_="removed", x1=x, x2=x, y1=_TOP - 8, y2=_HEIGHT - _BOTTOM),
            element("text", "teacher removed", class_=f"{side} note", x=x + gap, y=_TOP - 11),
        ]
    marks = []
    for number, steps in runs:
        x = plot.x(steps)
        points = f"{x - 4:g},{_TOP - 14} {x + 4:g},{_TOP - 14} {x:g},{_TOP - 6}"
        marks.append(element("polygon", class_=f"mark c{number % _COLOURS}", points=points))
    return marks


def _look(number: int) -> dict[str, str | None]:
    dash = _DASHES[(number + number // _COLOURS) % len(_DASHES)]
    return {"class_": f"curve c{number % _COLOURS}", "stroke_dasharray": dash}


def _limits(panel: Panel) -> tuple[float, float]:
    if panel.share:
        return 0.0, 1.0
    values = np.concatenate([np.r_[c.mean, c.low, c.high] for c in panel.curves])
    values = np.r_[0.0, values[np.isfinite(values)]]  # a damaged run may have none
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (0.0, 1.0)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` or less to `high` or more."""
    step = _round_step((high - low) / _TICKS or 1.0)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, max(last, first + 1) + 1)]


def _round_step(about: float) -> float:
    power = 10.0 ** math.floor(math.log10(about))
    return next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= about * 0.999)


def _in_words(panel: Panel) -> str:
    """What the curves do, for those who do not see them."""
    said = [
        f"{short(curve.name, 80)}: from {_value(panel, curve.mean[0])} at {_number(curve.x[0])} "
        f"to {_value(panel, curve.mean[-1])} at {_number(curve.x[-1])} {panel.x_title}"
        for curve in panel.curves
    ]
    return "; ".join(said)


def _value(panel: Panel, value: float) -> str:
    return _percent(float(value)) if panel.share else f"{float(value):.3g}"


def _clipped(name: str) -> str:
    """As much of a name as there is room for; the table beside the chart has all of it."""
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _svg(parts: Sequence[Html], width: float, height: float) -> Html:
    return element("svg", join(parts), class_="chart", role="img", viewBox=f"0 0 {width} {height}")
