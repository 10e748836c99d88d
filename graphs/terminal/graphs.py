"""`graphs`: the graphs that can be run."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text

from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.options import Json
from tutelage.graphs.terminal.common.tables import print_rows
from tutelage.graphs.terminal.common.text import console, print_json, safe

app = typer.Typer(help="See the graphs that can be run.", no_args_is_help=True)


@app.command("list")
def graphs_list(as_json: Json = False) -> None:
    """List the graphs.

    Example: python cli.py graphs list
    """
    from tutelage.graphs.registry import list_graphs

    rows = [{"name": info.name, "summary": info.summary} for info in list_graphs()]
    print_rows(rows, as_json)


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
    shape = graph_shape(name)
    if as_json:
        print_json(shape)
        return
    out = console()
    out.print(safe(f"{shape['name']}: {shape['summary']}", "bold"))
    for node, sentence in shape["nodes"].items():
        followers = [edge for edge in shape["edges"] if edge["from"] == node]
        arrows = " or ".join(edge["to"].strip("_") for edge in followers)
        out.print(safe(f"  {node:<10} → {arrows}", "cyan"))
        out.print(Padding(safe(sentence, "dim"), (0, 0, 0, 15)))
    out.print(Text("\nMermaid:"))
    out.print(safe(shape["mermaid"]))


def graph_shape(name: str) -> dict[str, Any]:
    """A graph's nodes with their first sentence, its edges, and its Mermaid drawing."""
    from tutelage.graphs.registry import build_graph, find_graph

    compiled = build_graph(name)
    drawing = compiled.get_graph()
    return {
        "name": name,
        "summary": find_graph(name).summary,
        "nodes": {
            node: _first_sentence(drawing.nodes[node].data)
            for node in drawing.nodes
            if not node.startswith("__")
        },
        "edges": [
            {"from": edge.source, "to": edge.target, "conditional": edge.conditional}
            for edge in drawing.edges
        ],
        "mermaid": drawing.draw_mermaid(),
    }


def _first_sentence(node: Any) -> str:
    """What a node's docstring says first."""
    function = getattr(node, "func", None) or node
    return str(function.__doc__ or "").strip().split("\n")[0]
