"""One frame of a watched episode, as the terminal shows it."""

from __future__ import annotations

from rich.console import Group, RenderableType
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


def frame_view(frame: Frame, color: bool = True) -> RenderableType:
    """One frame: what is there beside what is remembered, the plans, and what both are for."""
    maps = Table.grid(padding=(0, 2))
    draw = colored if color else in_letters
    if frame.truth is not None and frame.memory is not None:
        maps.add_row(Text("what is there", "dim"), Text("what is remembered", "dim"))
        maps.add_row(draw(frame.truth), draw(frame.memory))
    else:
        maps.add_row(safe(frame.picture))
    said = frame.said
    bars = actions_view(frame.actions, frame.teacher, frame.student, frame.action)
    plans: RenderableType = Text("no advice on this situation in the run's trace", "dim italic")
    if frame.plans:
        plans = plan_lines(frame.plans, None if said is None else said.steps)
    return Group(_head(frame), Text(), Beside(maps, bars), Text(), _told(frame), plans)


def _head(frame: Frame) -> Text:
    head = f"episode {frame.episode} · step {frame.step} · return {frame.return_:.3f}"
    if frame.success is None:
        return Text(head, "bold")
    end = (" · succeeded", "bold #5fd75f") if frame.success else (" · failed", "bold #ff5f5f")
    return Text.assemble((head, "bold"), end)


def _told(frame: Frame) -> Text:
    told = safe(" · ".join(frame.situation.splitlines()))
    for own, called in frame.aliases.items():
        told.append_text(safe(f"\nthe teacher calls {own} {called}", "dim"))
    return told
