"""`runs`: run folders listed, shown, drawn, compared, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tutelage.agents.common.invocation import hint
from tutelage.graphs.terminal.common.options import Axis, Force, Json, Runs, RunsAlone
from tutelage.graphs.terminal.common.tables import new_table, print_rows
from tutelage.graphs.terminal.common.text import console, print_json, safe

if TYPE_CHECKING:
    from tutelage.graphs.records.run_folder import RunEntry
    from tutelage.graphs.records.shapes import Summary

_COLUMNS: Final = {
    "run": "run_dir",
    "env": "env",
    "teacher": "provider",
    "seed": "seed",
    "status": "status",
    "steps": "env_steps",
    "total\nsteps": "total_steps",
    "success": "success_rate",
    "95 % at": "steps_to_95",
    "total at\n95 %": "total_steps_to_95",
    "calls": "llm_calls",
}
"""What `runs list` shows to people, of the fields of `run_row`."""

_SPARED: Final = (
    *("calls", "total at\n95 %", "95 % at", "steps", "teacher", "seed", "env", "total\nsteps"),
)
"""What a narrow terminal goes without, the first one first; the run's name often says the rest."""

_NOT_FINISHED: Final = "not finished"
"""The status of a run that has no summary."""
_NARROWEST: Final = 30
"""Columns of a run beside others."""

app = typer.Typer(help="See, draw, compare and delete runs.")


@app.command("list")
def runs_list(
    folder: Annotated[Path, typer.Argument(help="Where the run folders are.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """List runs, the newest first.

    Wherever a run is named, @last stands for the first of this list: the one in runs/ that was
    started last, be it running, stopped, failed or finished, alone or one of a comparison. A run
    that is resumed keeps its place.

    Example: python cli.py runs list
    """
    from tutelage.graphs.records.run_folder import list_runs

    rows = [run_row(entry) for entry in list_runs(folder)]
    if rows or as_json:
        print_rows(rows, as_json, _COLUMNS, _SPARED, whole=("run",))
    else:
        line = f"no runs in {folder}; make one: {hint('run')}"
        console().print(safe(line), soft_wrap=True)


@app.command("show")
def runs_show(runs: Runs, as_json: Json = False) -> None:
    """Show how runs ended, several side by side.

    Example: python cli.py runs show runs/my-run
    """
    from tutelage.graphs.analysis.comparison import find_runs, task_arguments
    from tutelage.graphs.records.run_folder import RunFolder
    from tutelage.graphs.terminal.run.summary import print_summary

    summaries = {run: RunFolder.open(run).read_summary() for run in find_runs(runs)}
    if as_json:
        rows = [{"run_dir": str(run), **_plain(summary)} for run, summary in summaries.items()]
        print_json(rows[0] if len(rows) == 1 else rows)
        return
    out = console()
    ended = {run: summary for run, summary in summaries.items() if summary is not None}
    if len(ended) == 1:
        [(run, summary)] = ended.items()
        print_summary(out, str(run), summary, task_arguments(run))
    elif ended:
        _print_beside(ended)
    for run in summaries.keys() - ended.keys():
        out.print(safe(f"{run} has not ended"), soft_wrap=True)


@app.command("plot")
def runs_plot(
    runs: Runs,
    out: Annotated[
        Path | None, typer.Option(help="A .png or .svg file; none draws in the terminal.")
    ] = None,
    x: Axis = "env_steps",
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="success, return, weight, agreement, calls, or a field of metrics.jsonl; may be "
            "repeated. None draws the five."
        ),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Draw learning curves in the terminal or in a file.

    Runs that differ only in their seed are one curve with its interval.

    Examples:

    python cli.py runs plot runs/my-run

    python cli.py runs plot runs/my-run --metric success --out curves.svg
    """
    from tutelage.graphs.terminal.runs import plot

    plot.show(runs, metric or [], x, out, force, as_json)


@app.command("compare")
def runs_compare(runs: Runs, as_json: Json = False) -> None:
    """Compare runs; those that differ in their seed alone are one.

    Example: python cli.py runs compare runs/my-run
    """
    from tutelage.graphs.terminal.common import comparison

    comparison.show(runs, None, as_json)


@app.command("delete")
def runs_delete(
    runs: RunsAlone,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete run folders with all that is in them.

    Example: python cli.py runs delete runs/my-run --yes
    """
    from tutelage.graphs.records.lock import check_deletable, delete_run

    # Before anything is deleted: one that is no run, is a link, or is in use is refused.
    for run in runs:
        check_deletable(run)
    out = console(stderr=as_json)
    for run in runs:
        out.print(safe(f"{run}: {_size(run)}"), soft_wrap=True)
    if not yes:
        typer.confirm(f"Delete {len(runs)} run(s) for good?", abort=True, err=as_json)
    for run in runs:
        delete_run(run)
        out.print(safe(f"deleted {run}"), soft_wrap=True)
    if as_json:
        print_json({"deleted": [str(run) for run in runs]})


def run_row(entry: RunEntry) -> dict[str, Any]:
    """A run folder as plain values."""
    summary, config = entry.summary, entry.config or {}
    # A run without a student has the success of the teacher that acted in its place.
    tested = (summary.student or summary.teacher) if summary else None
    return {
        "run_dir": str(entry.path),
        "graph": config.get("graph"),
        "env": config.get("env"),
        "provider": summary.provider if summary else config.get("provider"),
        "seed": config.get("seed"),
        "status": summary.status if summary else entry.problem or _NOT_FINISHED,
        "env_steps": summary.env_steps if summary else None,
        "total_steps": summary.total_steps if summary else None,
        "success_rate": tested.success_rate if tested else None,
        "steps_to_95": summary.steps_to_95 if summary else None,
        "total_steps_to_95": summary.total_steps_to_95 if summary else None,
        "llm_calls": summary.llm.calls if summary else None,
    }


def _plain(summary: Summary | None) -> dict[str, Any]:
    return {"status": _NOT_FINISHED} if summary is None else summary.model_dump(mode="json")


def _size(run: Path) -> str:
    from tutelage.agents.common.files import inside

    sizes = [path.lstat().st_size for path in inside(run) if path.is_file()]
    return f"{len(sizes)} files, {sum(sizes) / 1e6:.1f} MB"


def _print_beside(summaries: Mapping[Path, Summary]) -> None:
    """A column for each run; below each other as many of them as can be read."""
    from tutelage.graphs.analysis.comparison import task_arguments
    from tutelage.graphs.terminal.run.summary import summary_rows

    columns = [
        {"task": s.env, "status": s.status, **task_arguments(run), **dict(summary_rows(s))}
        for run, s in summaries.items()
    ]
    names = dict.fromkeys(name for column in columns for name in column)
    out = console()
    room = out.width - max(map(len, names))
    beside = max(room // _NARROWEST, 1)
    for first in range(0, len(columns), beside):
        shown = slice(first, first + beside)
        headings = ["", *map(str, [*summaries][shown])]
        table = new_table(headings, words=headings)
        for name in names:
            cells = [column.get(name, "") for column in columns[shown]]
            if any(cells):
                table.add_row(safe(name, "dim"), *map(safe, cells))
        out.print(table)
