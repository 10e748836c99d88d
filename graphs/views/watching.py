"""`watch` at the terminal: an episode's frames in colour, as plain text, or as JSON lines."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from graphs.views.deciding import ActionBars, Beside, colored, in_letters, plan_lines
from graphs.views.text import console, safe
from graphs.watching import Frame, Screening


def watch(
    run: Path,
    episode: int,
    seed: int | None,
    fps: float | None,
    argmax: bool,
    provider: str | None,
    films: list[Path],
    as_json: bool,
) -> None:
    """Show an episode, or keep it as films. Raises one of `graphs.errors.USER_ERRORS`."""
    with ExitStack() as resources:
        if films:
            from graphs.views.films import check_films, write_films

            check_films(films)
            screening = Screening(run, resources, seed, provider, argmax, images=True)
            for line in write_films(films, screening.frames(episode), fps or 4.0):
                console(stderr=as_json).print(safe(line), soft_wrap=True)
            return
        screening = Screening(run, resources, seed, provider, argmax)
        frames = screening.frames(episode)
        if as_json:
            for frame in frames:
                print(json.dumps(frame.to_json()))
        elif sys.stdin.isatty() and sys.stdout.isatty():
            from graphs.views.watch_screen import WatchScreen

            WatchScreen(run, frames, fps).run()
        else:
            for frame in frames:
                console().print(frame_view(frame, color=False), Text())


def frame_view(frame: Frame, color: bool = True) -> RenderableType:
    """One frame: what is there beside what is remembered, the plans, and both probabilities."""
    maps = Table.grid(padding=(0, 2))
    draw = colored if color else in_letters
    if frame.truth is not None and frame.memory is not None:
        maps.add_row(Text("what is there", "dim"), Text("what is remembered", "dim"))
        maps.add_row(draw(frame.truth), draw(frame.memory))
    else:
        maps.add_row(safe(frame.picture))
    said = frame.said
    teacher = said.probs if said is not None and said.mass > 0 else None
    bars = ActionBars(frame.actions, teacher, frame.student, frame.action)
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
