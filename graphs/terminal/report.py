"""`report`: a run or a comparison as one HTML file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tutelage.graphs.terminal.common.options import Force, Json, RunOrGroup
from tutelage.graphs.terminal.common.text import console, print_json, safe
from tutelage.graphs.terminal.common.written import tell_written

app = typer.Typer()


@app.command()
def report(
    run: RunOrGroup,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="None takes `report.html` in that folder."),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a page about a run, or about a comparison.

    It is one HTML file without links: outcome, learning curves, each situation with its advice,
    costs, failures, an episode as a moving picture, the configuration. Nobody is asked for it.

    Examples:

    python cli.py report runs/my-run

    python cli.py report runs/my-run --out report.html --force
    """
    from tutelage.agents.common.files import explained, replace_file
    from tutelage.graphs.analysis.comparison import find_runs
    from tutelage.graphs.records.outputs import check_output

    find_runs([run])  # whether there are any, before torch is imported
    file = out or run / "report.html"
    check_output(file, force)
    from tutelage.graphs.analysis.report.page import report_on

    with console(stderr=True).status("reading") as status:
        page = report_on(run, lambda work: status.update(safe(work))).encode()
    with explained("write", file):
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, partial(_write, content=page))
    if as_json:
        print_json({"file": str(file), "bytes": len(page)})
    else:
        tell_written(file, f"a page of {len(page) / 1e6:.1f} MB")


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)
