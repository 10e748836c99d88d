"""A state as a decision, for people: its map in colour, the teacher's and the student's bars."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

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
        Text.assemble(
            *(_cell(letter, ink) for letter, ink in zip(letters, inks, strict=False)), end=""
        )
        for letters, inks in zip(drawing.letters, drawing.inks, strict=False)
    ]
    return Text("\n").join(lines)


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


@dataclass(frozen=True)
class ActionBars:
    """The action probabilities of both, side by side, in the room that there is.

    teacher, student: None where nobody knows them. done: the action that was done, marked.
    """

    actions: Sequence[str]
    teacher: Sequence[float] | None
    student: Sequence[float] | None
    done: int | None = None
    student_title: str = "student"

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self._width(_SHORTEST_BAR), self._width(_BAR))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        spare = (options.max_width - self._width(_SHORTEST_BAR)) // 2
        cells = min(_BAR, _SHORTEST_BAR + max(0, spare))
        shown = self._shown()
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(max_width=cells + _PERCENT)
        table.add_row(Text(), Text("teacher", TEACHER), safe(self.student_title, STUDENT))
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
        return 2 + names + 2 + 2 * (cells + _PERCENT) + 2


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
