"""`bench` at the terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tutelage.graphs.analysis.bench import Bench, Figure, measure
from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.terminal.common.text import console, percent, print_json, safe


def show(config: RunConfig, seconds: float, as_json: bool) -> None:
    """Measure, then print a table, or JSON; what is being measured goes to standard error."""
    progress = Console(stderr=True, highlight=False)
    with progress.status("compiling") as status:
        bench = measure(config, seconds, lambda name: status.update(safe(name)))
    if as_json:
        print_json(_plain(bench))
        return
    out = console()
    heading = f"{bench.env}, {bench.num_envs} environments, torch threads: {bench.threads}"
    out.print(safe(heading, "bold"))
    out.print(_table(bench))
    out.print(safe("of the run with labels on every step: " + _shares(bench)))


def _plain(bench: Bench) -> dict[str, Any]:
    figures = [{**asdict(f), "us_per_step": f.microseconds} for f in bench.figures]
    return {**asdict(bench), "figures": figures}


def _table(bench: Bench) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("what")
    for heading in ("steps/s", "µs a step"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("beside it")
    for figure in bench.figures:
        table.add_row(*(safe(cell) for cell in _cells(figure)))
    return table


def _cells(figure: Figure) -> tuple[str, str, str, str]:
    beside = figure.note
    if figure.ratio is not None:
        beside = f"{figure.versus}: {figure.ratio:.1f} times as fast"
    if figure.steps_per_s is None or figure.microseconds is None:
        return figure.name, "–", "–", beside  # noqa: RUF001 - dashes for people
    return figure.name, f"{figure.steps_per_s:,.0f}", f"{figure.microseconds:,.2f}", beside


def _shares(bench: Bench) -> str:
    names = {
        "collect": "collecting",
        "advice": "advice and labels",
        "update": "PPO update",
        "graph": "LangGraph",
        "record": "recording",
    }
    shares = asdict(bench.shares)
    return ", ".join(f"{words} {percent(shares[name])}" for name, words in names.items())
