"""A state as a decision, for people: its map in colour, the teacher's and the student's bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from graphs.views.text import safe
from rl.task import Drawing

TEACHER: Final = "#5fd7ff"
STUDENT: Final = "#ffaf5f"
_BAR: Final = 14
"""Cells of a full bar."""

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
"""By ink (`rl.task.Drawing`)."""
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


def action_bars(
    actions: Sequence[str],
    teacher: Sequence[float] | None,
    student: Sequence[float] | None,
    done: int | None = None,
    student_title: str = "student",
) -> Table:
    """The action probabilities of both, side by side. done: the action that was done, marked."""
    table = Table.grid(padding=(0, 2))
    table.add_row(Text(), Text("teacher", TEACHER), safe(student_title, STUDENT))
    for i, name in enumerate(actions):
        mark = Text("▸ ", "bold") if i == done else Text("  ")
        table.add_row(
            mark + safe(name, "bold" if i == done else ""),
            _bar(None if teacher is None else teacher[i], TEACHER),
            _bar(None if student is None else student[i], STUDENT),
        )
    return table


def _bar(share: float | None, style: str) -> Text:
    if share is None:
        return Text(f"{'–':<{_BAR + 6}}", "dim")  # noqa: RUF001 - a dash for people
    eighths = round(max(0.0, min(1.0, share)) * _BAR * 8)
    whole, rest = divmod(eighths, 8)
    bar = "█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    percent = f"{100 * share:4.0f} %"
    return Text.assemble(
        (f"{bar:<{_BAR}}", f"{style} on #1c1e24"), (percent, "" if eighths else "dim")
    )


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
