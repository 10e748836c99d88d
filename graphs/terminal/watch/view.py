"""`watch` at the terminal: an episode's frames in colour, as plain text, or as JSON lines."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path

from rich.text import Text

from tutelage.graphs.analysis.watching import EpisodeViewer
from tutelage.graphs.terminal.common.text import console, safe
from tutelage.graphs.terminal.watch.frames import frame_view


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
    """Show an episode, or keep it as films. Raises one of `graphs.runtime.errors.USER_ERRORS`."""
    with ExitStack() as resources:
        if films:
            from tutelage.graphs.terminal.watch.films import check_films, write_films

            check_films(films)
            viewer = EpisodeViewer(run, resources, seed, provider, argmax, images=True)
            for line in write_films(films, viewer.frames(episode), fps or 4.0):
                console(stderr=as_json).print(safe(line), soft_wrap=True)
            return
        viewer = EpisodeViewer(run, resources, seed, provider, argmax)
        frames = viewer.frames(episode)
        if as_json:
            for frame in frames:
                print(json.dumps(frame.to_json()))
        elif sys.stdin.isatty() and sys.stdout.isatty():
            from tutelage.graphs.terminal.watch.screen import WatchScreen

            WatchScreen(run, frames, fps).run()
        else:
            for frame in frames:
                console().print(frame_view(frame, color=False), Text())
