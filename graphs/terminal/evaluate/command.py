"""The command `eval`."""

from __future__ import annotations

from typing import Annotated

import typer

from tutelage.graphs.terminal.common.options import (
    Env,
    Json,
    Run,
    refuse_no_run,
)

app = typer.Typer()


@app.command("eval")
def evaluate(
    run: Run,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes, each way.")] = 1000,
    env: Env = None,
    seed: Annotated[int | None, typer.Option(help="None takes the run's own.")] = None,
    teacher: Annotated[
        bool, typer.Option("--teacher", help="Test the teacher too, acting through its options.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Test a run's student alone, on episodes that its training never saw.

    Examples:

    python cli.py eval runs/my-run --episodes 1000

    python cli.py eval runs/my-run --env LavaDoorKey --teacher
    """
    refuse_no_run(run)
    from tutelage.graphs.terminal.evaluate import view

    view.show(run, episodes, env, seed, teacher, as_json)
