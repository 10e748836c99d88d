"""Graphs at the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from tutelage.graphs.terminal.common.text import safe


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


def print_graph(console: Console, shape: dict[str, Any]) -> None:
    """A graph as text: who does what, who follows whom, and the Mermaid source."""
    console.print(safe(f"{shape['name']}: {shape['summary']}", "bold"))
    for node, sentence in shape["nodes"].items():
        followers = [edge for edge in shape["edges"] if edge["from"] == node]
        arrows = " or ".join(edge["to"].strip("_") for edge in followers)
        console.print(safe(f"  {node:<10} → {arrows}", "cyan"))
        console.print(Padding(safe(sentence, "dim"), (0, 0, 0, 15)))
    console.print(Text("\nMermaid:"))
    console.print(safe(shape["mermaid"]))


def _first_sentence(node: Any) -> str:
    """What a node's docstring says first."""
    function = getattr(node, "func", None) or node
    return str(function.__doc__ or "").strip().split("\n")[0]
