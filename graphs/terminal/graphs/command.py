"""The commands `graphs list` and `graphs show`."""

from __future__ import annotations

from typing import Annotated

import typer

from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.options import Json

app = typer.Typer(help="See the graphs that can be run.", no_args_is_help=True)


@app.command("list")
def graphs_list(as_json: Json = False) -> None:
    """List the graphs.

    Example: python cli.py graphs list
    """
    from tutelage.graphs.registry import list_graphs
    from tutelage.graphs.terminal.common import tables, text

    rows = [{"name": info.name, "summary": info.summary} for info in list_graphs()]
    tables.print_rows(text.console(), rows, as_json)


@app.command("show")
def graphs_show(
    name: Annotated[
        str, typer.Argument(help="A name from `graphs list`.", autocompletion=completion.graphs)
    ],
    as_json: Json = False,
) -> None:
    """Show a graph as text and as Mermaid.

    Example: python cli.py graphs show teacher_student
    """
    from tutelage.graphs.terminal.common import text
    from tutelage.graphs.terminal.graphs import view

    shape = view.graph_shape(name)
    if as_json:
        text.print_json(shape)
    else:
        view.print_graph(text.console(), shape)
