"""The comparison of runs at the terminal, which `compare` and `runs compare` print."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from tutelage.graphs.analysis.comparison import compare, find_runs
from tutelage.graphs.records.trace.names import DASH
from tutelage.graphs.terminal.common.tables import table_of
from tutelage.graphs.terminal.common.text import console, percent, print_json, safe

_SPARED: Final = ("cost", "argmax", "calls", "return", "seeds", "wall", "length")
"""Columns that a narrow terminal goes without, the first one first."""

_NOTED: Final = {
    "unfinished": "not finished",
    "without_student": "left out, it trained no student",
    "repeated": "left out, same seed again",
    "unanswered": "taught by nobody, there was no usable answer in all the run",
}


def show(paths: Sequence[Path], episodes: int | None, as_json: bool) -> None:
    """Print the table of conditions, what each has more than the first, and how that is known.

    episodes: students that were tested on fewer are tested anew; None takes what is there. Raises
    UserError.
    """
    comparison = compare(find_runs(paths), episodes)
    if as_json:
        print_json(comparison)
        return
    out = console()
    cells = [_cells(condition) for condition in comparison["settings"]]
    out.print(table_of(cells, ("condition",), out.width, _SPARED))
    if any(_is_apart(condition) for condition in comparison["settings"]):
        out.print(safe("total: with the steps of the teacher check", "dim"))
    if comparison["differences"]:
        out.print(_differences_table(comparison["differences"], out.width))
    for kind, why in _NOTED.items():
        for path in comparison[kind]:
            out.print(safe(f"{path}: {why}", "yellow"), soft_wrap=True)
    for name, method in comparison["methods"].items():
        out.print(safe(f"{name}: {method}", "dim"))


def _cells(condition: Mapping[str, Any]) -> dict[str, Text]:
    argmax, cost = condition["argmax_success"], condition["cost_usd"]
    success, steps = condition["success"], f"{condition['env_steps']['mean']:,.0f}"
    if _is_apart(condition):
        steps += f"\n{condition['total_steps']['mean']:,.0f} total"
    cells = {
        "condition": f"{condition['name']}{_unanswered(condition)}",
        "seeds": ", ".join(map(str, condition["seeds"])),
        "success": f"{_share(success['mean'])}\n{_range(success['ci95'], _share)}",
        "argmax": percent(argmax["mean"] if argmax else None),
        "return": _with_range(condition["return"], "{:.3f}"),
        "length": _with_range(condition["length"], "{:.1f}"),
        "steps": steps,
        "95 % at": _reached(condition),
        "wall": f"{condition['wall_s']['mean']:,.0f} s",
        "calls": f"{condition['llm_calls']['mean']:,.0f}",
        "cost": DASH if cost is None else f"${cost['mean']:.4f}",
    }
    return {heading: safe(cell) for heading, cell in cells.items()}


def _unanswered(condition: Mapping[str, Any]) -> str:
    """A mark on a condition with runs that never had an answer."""
    count = condition["outcomes"].count("no_answer")
    return f"\n(no answer in {count} of {len(condition['runs'])})" if count else ""


def _is_apart(condition: Mapping[str, Any]) -> bool:
    """Whether the teacher check has taken steps of its own."""
    return bool(condition["total_steps"]["mean"] > condition["env_steps"]["mean"])


def _reached(condition: Mapping[str, Any]) -> str:
    """The median of the steps to 95 %, in total too, and how many seeds got there."""
    reached, total = condition["steps_to_95"], condition["total_steps_to_95"]
    seeds = len(condition["seeds"])
    # Two evaluations in a row are needed; where it is not known how many there were, they count.
    tested = sum(count is None or count > 1 for count in condition["evaluations"])
    if not tested:
        return "not tested"
    lines = [DASH if reached["median"] is None else f"{reached['median']:,}"]
    if total["median"] not in (None, reached["median"]) and total["reached"] == reached["reached"]:
        lines.append(f"{total['median']:,} total")
    if reached["reached"] < seeds:
        lines.append(f"{reached['reached']} of {tested}")
    return "\n".join(lines)


def _differences_table(differences: Sequence[Mapping[str, Any]], width: int) -> Table:
    rows = []
    for row in differences:
        success = row["success"]
        low, high = success["ci95"]
        sure = "green" if low > 0 else "red" if high < 0 else ""
        difference = f"{_signed(success['difference'])}\n{_range(success['ci95'], _signed)}"
        rows.append(
            {
                "condition": safe(row["setting"]),
                "success": safe(difference, sure),
                "return": safe(_with_range(row["return"], "{:+.3f}", "difference")),
                "length": safe(_with_range(row["length"], "{:+.1f}", "difference")),
            }
        )
    title = safe(f"more than {differences[0]['against']}")
    return table_of(rows, ("condition",), width, ("return", "length"), title)


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f} %"


def _range(interval: Sequence[float], form: Callable[[float], str]) -> str:
    low, high = (form(value).removesuffix(" %") for value in interval)
    return f"{low} to {high}"


def _with_range(figure: Mapping[str, Any], form: str, key: str = "mean") -> str:
    interval = figure["ci95"]
    middle = form.format(figure[key])
    return middle if interval is None else f"{middle}\n{_range(interval, form.format)}"
