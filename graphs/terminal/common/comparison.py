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

_WIDE: Final = 110
_SPARED: Final = frozenset({"seeds", "argmax", "return", "cost"})
"""Columns that a terminal of fewer than `_WIDE` columns goes without."""

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
    out.print(table_of(cells, ("condition",), out.width, _SPARED, _WIDE))
    if comparison["differences"]:
        out.print(_differences_table(comparison["differences"]))
    for kind, why in _NOTED.items():
        for path in comparison[kind]:
            out.print(safe(f"{path}: {why}", "yellow"), soft_wrap=True)
    for name, method in comparison["methods"].items():
        out.print(safe(f"{name}: {method}", "dim"))


def _cells(condition: Mapping[str, Any]) -> dict[str, Text]:
    reached, seeds = condition["steps_to_95"], len(condition["seeds"])
    argmax, cost = condition["argmax_success"], condition["cost_usd"]
    steps = DASH if reached["median"] is None else f"{reached['median']:,}"
    every = "" if reached["reached"] == seeds else f"\n{reached['reached']} of {seeds}"
    success = condition["success"]
    cells = {
        "condition": f"{condition['name']}{_unanswered(condition)}",
        "seeds": ", ".join(map(str, condition["seeds"])),
        "success": f"{_share(success['mean'])}\n{_range(success['ci95'], _share)}",
        "argmax": percent(argmax["mean"] if argmax else None),
        "return": _with_range(condition["return"], "{:.3f}"),
        "length": _with_range(condition["length"], "{:.1f}"),
        "95 % at": steps + every,
        "wall": f"{condition['wall_s']['mean']:,.0f} s",
        "calls": f"{condition['llm_calls']['mean']:,.0f}",
        "cost": DASH if cost is None else f"${cost['mean']:.4f}",
    }
    return {heading: safe(cell) for heading, cell in cells.items()}


def _unanswered(condition: Mapping[str, Any]) -> str:
    """A mark on a condition with runs that never had an answer."""
    count = condition["outcomes"].count("no_answer")
    return f"\n(no answer in {count} of {len(condition['runs'])})" if count else ""


def _differences_table(differences: Sequence[Mapping[str, Any]]) -> Table:
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
    return table_of(rows, ("condition",), title=safe(f"more than {differences[0]['against']}"))


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
