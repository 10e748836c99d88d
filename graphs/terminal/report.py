"""`report`: a run or a comparison as one HTML file."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.text import console, safe

app = typer.Typer()


@app.command()
def report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|COMPARISON",
            help="A run folder, or a folder of runs.",
            autocompletion=completion.runs,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="None takes `report.html` in that folder."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a page about a run, or about the runs of a comparison: one HTML file without links.

    It holds the outcome, learning curves, each situation with its advice, what it cost, what
    failed, an episode as a moving picture, and the configuration. Nobody is asked for it.

    Examples:

    python cli.py report runs/my-run

    python cli.py report runs/my-run --out report.html --force
    """
    from tutelage.agents.common.files import explained, replace_file
    from tutelage.graphs.analysis.comparison import find_runs
    from tutelage.graphs.config.config import ConfigError

    find_runs([run])  # whether there are any, before torch is imported
    file = out or run / "report.html"
    if file.is_dir():
        raise ConfigError(f"--out {file} is a folder; needed: a file")
    if os.path.lexists(file) and not force:
        raise ConfigError(f"{file} is there already; --force overwrites it")
    from tutelage.graphs.analysis.report.page import report_on

    with console(stderr=True).status("reading") as status:
        page = report_on(run, lambda work: status.update(safe(work))).encode()
    with explained("write", file):
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, partial(_write, content=page))
    line = f"wrote {file} ({len(page) / 1e6:.1f} MB)"
    console().print(safe(line), soft_wrap=True)


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)
