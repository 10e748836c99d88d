"""The commands `envs list` and `envs show`."""

from __future__ import annotations

from typing import Annotated

import typer

from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.options import Json, Seed

app = typer.Typer(help="See the tasks that can be learned.", no_args_is_help=True)


@app.command("list")
def envs_list(as_json: Json = False) -> None:
    """List the tasks that come with Tutelage.

    Example: python cli.py envs list
    """
    from dataclasses import asdict

    from tutelage.graphs.terminal.common import tables, text
    from tutelage.rl.tasks.shipped import shipped_tasks

    rows = [asdict(info) for info in shipped_tasks()]
    columns = {"name": "name", "what to do": "summary", "steps": "default_steps"}
    tables.print_rows(text.console(), rows, as_json, columns)


@app.command("show")
def envs_show(
    name: Annotated[
        str,
        typer.Argument(
            help="A name from `envs list`, or module:callable.", autocompletion=completion.envs
        ),
    ],
    as_json: Json = False,
    seed: Seed = None,
) -> None:
    """Show a task: what the student sees and does, and a first situation.

    Example: python cli.py envs show LavaDoorKey
    """
    from tutelage.graphs.terminal.envs import view

    view.show(name, seed or 0, as_json)
