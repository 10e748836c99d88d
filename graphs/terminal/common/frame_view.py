"""One frame of a watched episode, as the terminal shows it, in the room that there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tutelage.graphs.analysis.watching import Frame
from tutelage.graphs.terminal.common.decision_view import (
    Beside,
    actions_view,
    colored,
    in_letters,
    plan_lines,
)
from tutelage.graphs.terminal.common.text import safe
from tutelage.rl.tasks.watching import Drawing

_GAP: Final = 2
"""Columns between things that stand beside each other."""
_TITLES: Final = ("what is there", "what is remembered")
_FEWEST: Final = 5
"""Cells across of the smallest map that is worth showing."""


def frame_view(frame: Frame, color: bool = True, rows: int | None = None) -> RenderableType:
    """One frame: what is there beside what is remembered, the plans, and what both are for.

    rows: the most lines that it may take; maps are then cropped around the agent, and of the plans
    only the likeliest is told. None for as many as it takes.
    """
    plans: RenderableType = Text("no advice on this situation in the run's trace", "dim italic")
    if frame.plans:
        steps = None if frame.said is None else frame.said.steps
        shown = range(len(frame.plans))
        if rows is not None:
            shown = range(best := max(shown, key=lambda i: frame.plans[i]["p"]), best + 1)
        plans = plan_lines(
            [frame.plans[i] for i in shown], None if steps is None else [steps[i] for i in shown]
        )
    told = _told(frame)
    below: RenderableType = Group(told, plans)
    left = None
    if rows is not None:
        left = rows - len(told.plain.splitlines()) - 4  # the head, the plan, two empty lines
        below = _unbroken(below)
    head = _head(frame) if rows is None else _unbroken(_head(frame))
    return Group(head, Text(), _Scene(frame, color, left), Text(), below)


@dataclass(frozen=True)
class _Scene:
    """The maps, or the picture, beside what teacher and student are for."""

    frame: Frame
    color: bool
    rows: int | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = self._fitting(console, options)
        if self.rows is None:
            yield shown
            return
        for line in console.render_lines(shown, options, pad=False)[: max(self.rows, 1)]:
            yield from line
            yield Segment.line()

    def _fitting(self, console: Console, options: ConsoleOptions) -> RenderableType:
        """Both maps beside the bars, else above them; else as much of the maps as there is room
        for.
        """
        frame, width = self.frame, options.max_width
        bars = actions_view(frame.actions, frame.teacher, frame.student, frame.action)
        if frame.truth is None or frame.memory is None:
            return Beside(safe(frame.picture), bars)
        across = 2 if self.color else 1
        each = max(across * len(frame.truth.letters[0]), *map(len, _TITLES))
        beside = width - Measurement.get(console, options, bars).minimum - _GAP
        tall = len(frame.truth.letters)
        fits = self.rows is None or tall < self.rows
        if fits and 2 * each + _GAP <= beside:
            return Beside(self._maps(frame.truth, frame.memory), bars)
        if self.rows is None:
            cells = (width - _GAP) // 2 // across
            maps = (cropped(one, cells, tall) for one in (frame.truth, frame.memory))
            return Group(self._maps(*maps), Text(), bars)
        if beside // across >= _FEWEST:
            return Beside(self._drawn(cropped(frame.truth, beside // across, self.rows)), bars)
        return self._drawn(cropped(frame.truth, width // across, self.rows))

    def _maps(self, truth: Drawing, memory: Drawing) -> Table:
        maps = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
        maps.add_row(*(Text(title, "dim") for title in _TITLES))
        maps.add_row(self._drawn(truth), self._drawn(memory))
        return maps

    def _drawn(self, drawing: Drawing) -> Text:
        return colored(drawing) if self.color else in_letters(drawing)


def cropped(drawing: Drawing, columns: int, rows: int) -> Drawing:
    """At most so many cells of a map, those around the agent where it is larger."""
    row, column = next(
        ((y, inks.index("a")) for y, inks in enumerate(drawing.inks) if "a" in inks), (0, 0)
    )
    across = _window(column, len(drawing.letters[0]), columns)
    down = _window(row, len(drawing.letters), rows)
    return Drawing(
        tuple(line[across] for line in drawing.letters[down]),
        tuple(line[across] for line in drawing.inks[down]),
    )


def _window(place: int, size: int, room: int) -> slice:
    """As much as there is room for, the place in its middle where that is possible."""
    start = max(0, min(place - room // 2, size - room))
    return slice(start, start + max(room, 1))


def _unbroken(lines: RenderableType) -> Table:
    """Lines that are cut where there is no room for all of them."""
    table = Table.grid()
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_row(lines)
    return table


def _head(frame: Frame) -> Text:
    """Where it is; how it ended stands before what is cut first where there is little room.

    In colours that can be read on a dark and on a light ground.
    """
    ends = {
        None: ("", ""),
        True: (" · succeeded", "bold #1f9d3a"),
        False: (" · failed", "bold #e0303a"),
    }
    place, end = f"episode {frame.episode} · step {frame.step}", ends[frame.success]
    return Text.assemble((place, "bold"), end, (f" · return {frame.return_:.3f}", "bold"))


def _told(frame: Frame) -> Text:
    told = safe(" · ".join(frame.situation.splitlines()))
    for own, called in frame.aliases.items():
        told.append_text(safe(f"\nthe teacher calls {own} {called}", "dim"))
    return told
