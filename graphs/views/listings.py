"""Tables of what there is: graphs, environments, providers, prompts, runs, config fields."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from graphs.views.text import print_json, safe
from rl.runfolder import RunEntry

WIDE: Final = 100
"""Columns of a terminal on which nothing needs to be spared."""


def print_rows(
    console: Console,
    rows: Sequence[Mapping[str, Any]],
    as_json: bool,
    columns: Mapping[str, str] | None = None,
    spared: Collection[str] = (),
) -> None:
    """Rows of the same fields: as JSON, or as a table whose every cell is untrusted text.

    columns: headings and the fields under them, where the table is to show only some. spared: the
    headings that a narrow terminal goes without.
    """
    if as_json:
        print_json(list(rows))
        return
    shown = columns or {name.replace("_", " "): name for name in (rows[0] if rows else {})}
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    shown = {h: f for h, f in shown.items() if console.width >= WIDE or h not in spared}
    for heading, field in shown.items():
        number = isinstance(rows[0][field], int | float) and not isinstance(rows[0][field], bool)
        justify: Literal["left", "right"] = "right" if number else "left"
        table.add_column(heading, overflow="fold", no_wrap=number, justify=justify)
    for row in rows:
        table.add_row(*(safe(_cell(row[field])) for field in shown.values()))
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    return "–" if value is None else str(value)  # noqa: RUF001 - a dash for people


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


def graph_shape(name: str) -> dict[str, Any]:
    """A graph's nodes with their first sentence, its edges, and its Mermaid drawing."""
    from graphs.registry import build_graph, find_graph

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


def _first_sentence(node: Any) -> str:
    """What a node's docstring says first."""
    function = getattr(node, "func", None) or node
    return str(function.__doc__ or "").strip().split("\n")[0]
