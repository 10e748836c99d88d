"""A state as a decision, for people: its map in colour, what teacher and student would do."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tutelage.graphs.analysis.actions import Action, Actions, Targets
from tutelage.graphs.records.trace.names import DASH
from tutelage.graphs.terminal.common.text import safe
from tutelage.rl.tasks.watching import Drawing

TEACHER: Final = "#0087d7"
STUDENT: Final = "#d75f00"
"""Colours that can be read on a dark and on a light ground."""
_BAR: Final = 14
_SHORTEST_BAR: Final = 3
"""Cells of a full bar, where there is room and where there is little."""

_PERCENT: Final = 6
"""Columns of a share in numbers, with the space before it."""

_MOST_ACTIONS: Final = 12
"""More are shown only as far as anybody gives them a share."""

_SEEN: Final = 0.005
"""The least share that is not rounded to nothing."""

_TRACK: Final = 24
_SHORTEST_TRACK: Final = 9
"""Cells of the line from the least to the greatest action of a Box."""

_FLOOR: Final = "#23262e"
_COLORS: Final = {
    "r": "#ff5f5f",
    "g": "#5fd75f",
    "b": "#5f9fff",
    "p": "#c77dff",
    "y": "#ffd75f",
    "e": "#a8a8a8",
}
_STYLES: Final = {
    "u": "#33363f on #0d0e12",
    "f": f"#454a55 on {_FLOOR}",
    "w": "on #6c7280",
    "l": "bold #ffd7af on #c75000",
    "o": "bold #10240f on #5fd75f",
    "a": "bold #ffffff on #d70040",
    **{ink: f"bold {color} on {_FLOOR}" for ink, color in _COLORS.items()},
    **{ink.upper(): f"bold #101010 on {color}" for ink, color in _COLORS.items()},
}
"""By ink (`rl.tasks.watching.Drawing`)."""
_ARROWS: Final = {">": "▶", "v": "▼", "<": "◀", "^": "▲"}
_SHOWN: Final = {"u": " ", "w": " ", "f": "·"}
"""Where the colour says it all, the letter would only be in the way."""


def colored(drawing: Drawing) -> Text:
    """A drawing in colour, two columns to a cell, which makes cells square."""
    lines = [
        Text.assemble(*_runs(letters, inks), end="")
        for letters, inks in zip(drawing.letters, drawing.inks, strict=False)
    ]
    return Text("\n").join(lines)


def _runs(letters: str, inks: str) -> Iterator[tuple[str, str]]:
    """A line's cells, those of one style in a row together: far fewer bytes for the terminal."""
    cells = (_cell(letter, ink) for letter, ink in zip(letters, inks, strict=False))
    for style, run in groupby(cells, key=itemgetter(1)):
        yield "".join(text for text, _ in run), style


def in_letters(drawing: Drawing) -> Text:
    """A drawing for where there are no colours."""
    return safe("\n".join(drawing.letters))


def picture(text: str, inks: str | None) -> Text:
    """A task's picture, its map in colour where the inks are known."""
    if not inks:
        return safe(text)
    lines, colors = text.splitlines(), inks.splitlines()
    drawn = colored(Drawing(tuple(lines[: len(colors)]), tuple(colors)))
    legend = "\n".join(part.strip() for line in lines[len(colors) :] for part in line.split(","))
    return Text("\n\n").join([drawn, safe(legend, "dim")])


def _cell(letter: str, ink: str) -> tuple[str, str]:
    shown = _ARROWS.get(letter, letter) if ink == "a" else _SHOWN.get(ink, letter)
    return f"{safe(shown).plain} ", _STYLES.get(ink, "")


def actions_to_show(
    count: int, given: Iterable[Sequence[float]], done: Container[int | None]
) -> list[int]:
    """All actions; of many, such as options, those that were done or are given a share."""
    if count <= _MOST_ACTIONS:
        return list(range(count))
    shares = list(given)
    return [i for i in range(count) if i in done or any(s[i] >= _SEEN for s in shares)]


def actions_view(
    actions: Actions,
    teacher: Targets | None,
    student: Targets | None,
    done: Action | None = None,
    student_title: str = "student",
) -> RenderableType:
    """What teacher and student are for: bars of shares, or lines from the least to the greatest.

    teacher, student: their targets, None where nobody knows them. done: the action that was done,
    marked.
    """
    if actions.kind == "box":
        point = done if isinstance(done, tuple) else None
        return ActionLines(actions, teacher, student, point, student_title)
    chosen = actions.chosen(done)
    if actions.kind == "discrete":
        mark = next(iter(chosen), None)
        return ActionBars(actions.columns, teacher, student, mark, student_title)
    wide = max(map(len, actions.names))
    parts = []
    for name, (start, end) in zip(actions.names, actions.spans, strict=True):
        ours, theirs = (None if given is None else given[start:end] for given in (student, teacher))
        mark = next((column - start for column in chosen if start <= column < end), None)
        values = [str(value) for value in range(end - start)]
        parts.append(ActionBars(values, theirs, ours, mark, student_title, name, wide))
    return Group(*parts)


@dataclass(frozen=True)
class ActionBars:
    """The action probabilities of both, side by side, in the room that there is.

    teacher, student: None where nobody knows them. done: the action that was done, marked. title:
    what the actions are. least: columns that names take at least.
    """

    actions: Sequence[str]
    teacher: Targets | None
    student: Targets | None
    done: int | None = None
    student_title: str = "student"
    title: str = ""
    least: int = 0

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self._width(_SHORTEST_BAR), self._width(_BAR))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        spare = (options.max_width - self._width(_SHORTEST_BAR)) // 2
        cells = min(_BAR, _SHORTEST_BAR + max(0, spare))
        shown = self._shown()
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, min_width=2 + self.least)
        table.add_column(no_wrap=True)
        table.add_column(max_width=cells + _PERCENT)
        title = safe(self.title, "bold")
        table.add_row(title, Text("teacher", TEACHER), safe(self.student_title, STUDENT))
        for i in shown:
            mark = Text("▸ ", "bold") if i == self.done else Text("  ")
            table.add_row(
                mark + safe(self.actions[i], "bold" if i == self.done else ""),
                _bar(None if self.teacher is None else self.teacher[i], TEACHER, cells),
                _bar(None if self.student is None else self.student[i], STUDENT, cells),
            )
        yield table
        if len(shown) < len(self.actions):
            yield Text(f"  and {len(self.actions) - len(shown)} more at 0 %", "dim")

    def _shown(self) -> list[int]:
        given = [shares for shares in (self.teacher, self.student) if shares is not None]
        return actions_to_show(len(self.actions), given, {self.done})

    def _width(self, cells: int) -> int:
        names = max((len(self.actions[i]) for i in self._shown()), default=0)
        return 2 + max(names, self.least) + 2 + 2 * (cells + _PERCENT) + 2


@dataclass(frozen=True)
class ActionLines:
    """The dimensions of a Box, each a line from its least to its greatest action for each of both.

    `●` is the mean, `─` one standard deviation to either side, `▲` the action that was done.
    teacher, student: means, then variances; None where nobody knows them.
    """

    actions: Actions
    teacher: Targets | None
    student: Targets | None
    done: tuple[float, ...] | None = None
    student_title: str = "student"

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self._width(_SHORTEST_TRACK), self._width(_TRACK))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        spare = options.max_width - self._width(_SHORTEST_TRACK)
        cells = min(_TRACK, _SHORTEST_TRACK + max(0, spare))
        table = Table.grid(padding=(0, 1))
        for _ in range(4):
            table.add_column(no_wrap=True)
        for i, name in enumerate(self.actions.names):
            low, high = self._limits(i)
            heads = [safe(name, "bold"), Text(f"{low:.3g} to {high:.3g}", "dim")]
            for title, given, style in self._both():
                row = self._row(i, given, cells)
                table.add_row(heads.pop(0), safe(title, style), safe(row[0], style), row[1])
            if self.done is not None:
                at = cell_of(self.done[i], low, high, cells)
                mark = " " * cells if at is None else f"{'▲':>{at + 1}}"
                table.add_row("", "done", Text(mark, "bold"), f"{self.done[i]:.3g}")
        yield table

    def _both(self) -> tuple[tuple[str, Targets | None, str], ...]:
        return ("teacher", self.teacher, TEACHER), (self.student_title, self.student, STUDENT)

    def _row(self, i: int, given: Targets | None, cells: int) -> tuple[str, str]:
        """A dimension's line, and mean and standard deviation in numbers."""
        low, high = self._limits(i)
        mean, std = moments_of(given, i, len(self.actions.names))
        at = cell_of(mean, low, high, cells)
        if at is None:
            return f"{DASH:<{cells}}", ""
        first = cell_of(mean - std, low, high, cells)
        last = cell_of(mean + std, low, high, cells)
        marks = [
            "─" if first is not None and last is not None and first <= cell <= last else "·"
            for cell in range(cells)
        ]
        marks[at] = "●"
        return "".join(marks), f"{mean:.3g} ± {std:.3g}"

    def _limits(self, i: int) -> tuple[float, float]:
        return limits_of(self.actions, i, (self.teacher, self.student), self.done)

    def _width(self, cells: int) -> int:
        limits = [self._limits(i) for i in range(len(self.actions.names))]
        ranges = [f"{low:.3g} to {high:.3g}" for low, high in limits]
        numbers = [
            self._row(i, given, cells)[1]
            for i in range(len(self.actions.names))
            for _, given, _ in self._both()
        ]
        heads, titles = (*self.actions.names, *ranges), (self.student_title, "teacher")
        widths = [max(map(len, column)) for column in (heads, titles, numbers)]
        return sum(widths) + cells + len(widths)


def limits_of(
    actions: Actions, i: int, given: Sequence[Targets | None], done: Action | None
) -> tuple[float, float]:
    """The bounds of a dimension of a Box; where it has none, what is shown fits in between.

    given: all targets that are shown. done: the action that was done.
    """
    low, high = actions.bounds[i]
    moments = [moments_of(targets, i, len(actions.names)) for targets in given]
    ends = [mean + side * std for mean, std in moments for side in (-2, 2)]
    ends += [done[i]] if isinstance(done, tuple) else []
    known = [end for end in ends if math.isfinite(end)] or [-1.0, 1.0]
    low = low if math.isfinite(low) else min(known)
    high = high if math.isfinite(high) else max(known)
    return low, high


def moments_of(given: Targets | None, i: int, count: int) -> tuple[float, float]:
    """Mean and standard deviation of a dimension of `count`; NaN where they are not known."""
    if given is None:
        return math.nan, math.nan
    return given[i], math.sqrt(max(given[count + i], 0.0))


def cell_of(value: float, low: float, high: float, cells: int) -> int | None:
    """The cell of a line from `low` to `high` in which a value lies; None for NaN."""
    share = (value - low) / (high - low) if low < high else 0.5
    return None if math.isnan(value + share) else round(min(max(share, 0.0), 1.0) * (cells - 1))


def _bar(share: float | None, style: str, cells: int) -> Text:
    if share is None:
        return Text(f"{DASH:<{cells + _PERCENT}}", "dim")
    eighths = round(max(0.0, min(1.0, share)) * cells * 8)
    whole, rest = divmod(eighths, 8)
    bar = "█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    percent = f"{100 * share:4.0f} %"
    return Text.assemble((f"{bar:<{cells}}", style), (percent, "" if eighths else "dim"))


@dataclass(frozen=True)
class Beside:
    """Two things beside each other where there is room for both, else one below the other."""

    left: RenderableType
    right: RenderableType
    gap: int = 2

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wanted = Measurement.get(console, options, self.left).maximum
        rest = options.max_width - wanted - self.gap
        if rest < Measurement.get(console, options, self.right).minimum:
            yield Group(self.left, Text(), self.right)
            return
        table = Table.grid(padding=(0, self.gap, 0, 0), pad_edge=False)
        table.add_column(width=wanted)
        table.add_column(width=rest)
        table.add_row(self.left, self.right)
        yield table


def plan_lines(
    plans: Sequence[Mapping[str, Any]], steps: Sequence[int | None] | None = None
) -> RenderableType:
    """Plans with their probabilities. steps: which option of each is the current one, bold."""
    lines = []
    for i, row in enumerate(plans):
        now = None if steps is None else steps[i]
        idle = steps is not None and now is None
        line = Text(f"{row['p']:.2f}  ", TEACHER)
        for k, (name, target) in enumerate(row["plan"]):
            line.append(" → " if k else "", "dim")
            line.append_text(safe(f"{name}({target or ''})", _step_style(k, now, idle)))
        if idle:
            line.append("  cannot be carried out here", "dim italic")
        lines.append(line)
    return Group(*lines)


def _step_style(k: int, now: int | None, idle: bool) -> str:
    if k == now:
        return f"bold {TEACHER}"
    return "dim" if idle or (now is not None and k < now) else ""
