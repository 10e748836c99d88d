"""`watch`: an episode's frames in colour, as plain text, as JSON lines, or as films."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.options import Force, Json, OwnBaseUrls, Run, refuse_no_run
from tutelage.graphs.terminal.common.text import console, print_json
from tutelage.graphs.terminal.common.written import tell_written

app = typer.Typer()


@app.command()
def watch(
    run: Run,
    episode: Annotated[int, typer.Option(min=0, help="Which held-out episode.")] = 0,
    seed: Annotated[int | None, typer.Option(help="None takes the run's own.")] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.5, max=60, help="Frames a second; none: step by step.")
    ] = None,
    argmax: Annotated[bool, typer.Option("--argmax", help="Likeliest actions.")] = False,
    provider: Annotated[
        str | None,
        typer.Option(
            help="Ask this teacher; none reads the run's trace, asks nobody.",
            autocompletion=completion.providers,
        ),
    ] = None,
    base_url: OwnBaseUrls = None,
    gif: Annotated[Path | None, typer.Option(help="Write the episode as a GIF.")] = None,
    mp4: Annotated[Path | None, typer.Option(help="Write the episode as an MP4.")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Watch a run's student play, its teacher beside it.

    Its map is beside the true grid.

    Keys: space next, b back, p play, + and - speed, q quit. Films need:
    pip install "tutelage[video]"

    Examples:

    python cli.py watch runs/my-run

    python cli.py watch runs/my-run --episode 3 --gif episode.gif
    """
    refuse_no_run(run)
    from tutelage.graphs.analysis.watching import EpisodeViewer
    from tutelage.graphs.terminal.common.frame_view import frame_view
    from tutelage.graphs.terminal.run.dialogue import TerminalPerson

    films = [film for film in (gif, mp4) if film is not None]
    with ExitStack() as resources:
        viewer_of = partial(
            EpisodeViewer,
            run,
            resources,
            seed,
            provider,
            argmax,
            make_person=TerminalPerson,
            base_urls=base_url or [],
        )
        if films:
            from tutelage.graphs.terminal.watch.films import check_films, write_films

            check_films(films, force)
            viewer = viewer_of(images=True)
            for film, what in write_films(films, viewer.frames(episode), fps or 4.0):
                tell_written(film, what, stderr=as_json)
            if as_json:
                print_json({"files": [str(film) for film in films]})
            return
        viewer = viewer_of()
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
