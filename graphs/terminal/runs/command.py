"""`runs`: run folders listed, shown, drawn, compared, deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.options import Json, Runs

app = typer.Typer(help="See, draw, compare and delete runs.")


@app.command("list")
def runs_list(
    folder: Annotated[Path, typer.Argument(help="Where the run folders are.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """List runs, the newest first.

    Example: python cli.py runs list
    """
    from tutelage.agents.common.invocation import hint
    from tutelage.graphs.records.run_folder import list_runs
    from tutelage.graphs.terminal.common import tables, text
    from tutelage.graphs.terminal.runs import view

    rows = [view.run_row(entry) for entry in list_runs(folder)]
    if rows or as_json:
        tables.print_rows(text.console(), rows, as_json, view.RUN_COLUMNS, view.RUN_SPARED)
    else:
        line = f"no runs in {folder}; make one: {hint('run')}"
        text.console().print(text.safe(line), soft_wrap=True)


@app.command("show")
def runs_show(runs: Runs, as_json: Json = False) -> None:
    """Show how runs ended, several side by side.

    Example: python cli.py runs show runs/my-run
    """
    from tutelage.graphs.analysis.comparison import find_runs
    from tutelage.graphs.terminal.runs import view

    view.show(find_runs(runs), as_json)


@app.command("plot")
def runs_plot(
    runs: Runs,
    out: Annotated[
        Path | None, typer.Option(help="A .png or .svg file; none draws in the terminal.")
    ] = None,
    x: Annotated[str, typer.Option(help="Along the axis: env_steps or wall_s.")] = "env_steps",
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="success, return, weight, agreement, calls, or a field of metrics.jsonl; may be "
            "repeated. None draws the five."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw learning curves; runs that differ only in their seed are one curve with its interval.

    Examples:

    python cli.py runs plot runs/my-run

    python cli.py runs plot runs/my-run --metric success --out curves.svg
    """
    from tutelage.graphs.terminal.runs import plot

    plot.show(runs, metric or [], x, out, as_json)


@app.command("compare")
def runs_compare(runs: Runs, as_json: Json = False) -> None:
    """Compare runs; those that differ only in their seed are one condition.

    Example: python cli.py runs compare runs/my-run
    """
    from tutelage.graphs.terminal.common import comparison

    comparison.show(runs, None, as_json)


@app.command("delete")
def runs_delete(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders.", autocompletion=completion.runs),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete run folders with all that is in them.

    Example: python cli.py runs delete runs/my-run --yes
    """
    from tutelage.graphs.terminal.runs import view

    view.delete(runs, yes)
