"""The command `watch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.options import (
    Json,
    Run,
    refuse_no_run,
)

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
    gif: Annotated[Path | None, typer.Option(help="Write the episode as a GIF.")] = None,
    mp4: Annotated[Path | None, typer.Option(help="Write the episode as an MP4.")] = None,
    as_json: Json = False,
) -> None:
    """Watch a run's student play: its map beside the true grid, its teacher beside it.

    Keys: space next, b back, p play, + and - speed, q quit. Films need:
    pip install "tutelage[video]"

    Examples:

    python cli.py watch runs/my-run

    python cli.py watch runs/my-run --episode 3 --gif episode.gif
    """
    refuse_no_run(run)
    from tutelage.graphs.terminal.watch import view

    films = [film for film in (gif, mp4) if film is not None]
    view.watch(run, episode, seed, fps, argmax, provider, films, as_json)
