"""Runs at the terminal: a row of the list, several side by side, deleting them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console

from tutelage.graphs.records.lock import check_deletable, delete_run
from tutelage.graphs.records.run_folder import RunEntry, RunFolder
from tutelage.graphs.records.shapes import Summary
from tutelage.graphs.terminal.common.tables import new_table
from tutelage.graphs.terminal.common.text import console, print_json, safe
from tutelage.graphs.terminal.run.summary import print_summary, summary_rows

RUN_COLUMNS: Final = {
    "run": "run",
    "env": "env",
    "teacher": "provider",
    "seed": "seed",
    "status": "status",
    "steps": "env_steps",
    "success": "success_rate",
    "95 % at": "steps_to_95",
    "calls": "llm_calls",
}
"""What `runs list` shows to people, of the fields of `run_row`."""


RUN_SPARED: Final = frozenset({"95 % at", "calls"})


def run_row(entry: RunEntry) -> dict[str, Any]:
    """A run folder as plain values."""
    summary = entry.summary
    # A run without a student has the success of the teacher that acted in its place.
    tested = (summary.student or summary.teacher) if summary else None
    return {
        "run": str(entry.path),
        "graph": entry.config.get("graph") if entry.config else None,
        "env": entry.config.get("env") if entry.config else None,
        "provider": summary.provider if summary else (entry.config or {}).get("provider"),
        "seed": entry.config.get("seed") if entry.config else None,
        "status": summary.status if summary else entry.problem or "not finished",
        "env_steps": summary.env_steps if summary else None,
        "success_rate": tested.success_rate if tested else None,
        "steps_to_95": summary.steps_to_95 if summary else None,
        "llm_calls": summary.llm.calls if summary else None,
    }


def show(runs: Sequence[Path], as_json: bool) -> None:
    """How the runs in those folders ended, side by side. Raises RunFolderError."""
    summaries = {run: RunFolder.open(run).read_summary() for run in runs}
    if as_json:
        rows = [None if s is None else s.model_dump(mode="json") for s in summaries.values()]
        print_json(rows[0] if len(rows) == 1 else rows)
        return
    out = console()
    ended = {run: summary for run, summary in summaries.items() if summary is not None}
    if len(ended) == 1:
        [(run, summary)] = ended.items()
        print_summary(out, str(run), summary)
    elif ended:
        _print_beside(out, ended)
    for run in summaries.keys() - ended.keys():
        out.print(safe(f"{run} has not ended"), soft_wrap=True)


def delete(runs: Sequence[Path], yes: bool) -> None:
    """Delete run folders, after asking. Raises RunFolderError before anything is deleted.

    A folder is refused that is no run, that is a link, or in which a process is at work.
    """
    for run in runs:
        check_deletable(run)
    out = console()
    for run in runs:
        out.print(safe(f"{run}: {_size(run)}"), soft_wrap=True)
    if not yes:
        typer.confirm(f"Delete {len(runs)} run(s) for good?", abort=True)
    for run in runs:
        delete_run(run)
        out.print(safe(f"deleted {run}"), soft_wrap=True)


def _size(run: Path) -> str:
    sizes = [path.lstat().st_size for path in run.rglob("*") if path.is_file()]
    return f"{len(sizes)} files, {sum(sizes) / 1e6:.1f} MB"


def _print_beside(out: Console, summaries: Mapping[Path, Summary]) -> None:
    """A column for each run."""
    columns = [
        dict([("task", s.env), ("status", s.status), *summary_rows(s)]) for s in summaries.values()
    ]
    headings = ["", *map(str, summaries)]
    table = new_table(headings, words=headings)
    for name in dict.fromkeys(name for column in columns for name in column):
        table.add_row(safe(name, "dim"), *(safe(column.get(name, "")) for column in columns))
    out.print(table)
