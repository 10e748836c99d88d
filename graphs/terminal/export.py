"""`export`: a run's student as files for other programs, with a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.graphs.terminal.common.options import Json, Run, refuse_no_run
from tutelage.graphs.terminal.common.tables import new_table
from tutelage.graphs.terminal.common.text import console, print_json, safe
from tutelage.graphs.terminal.common.written import tell_written

app = typer.Typer()


@app.command()
def export(
    run: Run,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="onnx (the default), torch or safetensors. Once for each."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="None takes `export` in the run folder.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files of its names.")] = False,
    as_json: Json = False,
) -> None:
    """Write a run's student for other programs, with a model card.

    What is written takes an observation and gives an action.

    ONNX needs an extra: pip install "tutelage[export]". How fast each file acts is measured.

    Examples:

    python cli.py export runs/my-run

    python cli.py export runs/my-run --format torch --output my-student
    """
    refuse_no_run(run)
    from tutelage.graphs.analysis.exporting import export_run

    with console(stderr=True).status("loading") as status:
        written = export_run(
            run, formats or ["onnx"], output, force, lambda work: status.update(safe(work))
        )
    if as_json:
        print_json(
            {
                "folder": str(written.folder),
                "files": [{"file": name, "bytes": size} for name, size in written.sizes.items()],
                "latencies": [
                    {"name": name.replace("`", ""), "us_per_step": value}
                    for name, value in written.latencies.items()
                ],
            }
        )
        return
    table = new_table(("file", "bytes"), words=("file",))
    for name, size in written.sizes.items():
        table.add_row(safe(name), f"{size:,}")
    out = console()
    out.print(table)
    for name, latency in written.latencies.items():
        out.print(safe(f"{name.replace('`', '')}: {latency:,.1f} µs a step, on one core"))
    tell_written(written.folder, "the model card and all of these")
