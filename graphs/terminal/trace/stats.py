"""`trace stats`: the figures of a trace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from tutelage.graphs.analysis.trace_statistics import statistics
from tutelage.graphs.records.trace.names import DASH, one_line
from tutelage.graphs.terminal.common.tables import table_of
from tutelage.graphs.terminal.common.text import console, percent, print_json, safe
from tutelage.graphs.terminal.trace.lines import open_trace, span_line, sparkline


def show(run: Path, as_json: bool) -> None:
    """The figures of a run's trace. Raises RunFolderError or TraceError."""
    with open_trace(run) as reader:
        figures = statistics(reader)
    if as_json:
        print_json(figures)
        return
    out = console()
    table = Table.grid(padding=(0, 2))
    for name, value in _totals(figures):
        table.add_row(Text(name, style="dim"), safe(value))
    out.print(table)
    if figures["over_time"]:
        out.print(_over_time(figures["over_time"]))
    if figures["situations"]:
        out.print(_situations(figures["situations"]))


def _totals(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("requests", f"{figures['calls']:,}, of which {figures['failed']:,} failed"),
        ("by teacher", _counts(figures["teachers"])),
        ("by node", _counts(figures["nodes"])),
        ("failures", _counts(figures["failures"])),
        ("given up", _counts(figures["given_up"])),
        ("advice from", _counts(figures["sources"])),
        ("tokens", f"{figures['prompt_tokens']:,} in, {figures['completion_tokens']:,} out"),
        ("cost", _cost(figures)),
        ("latency", _latency(figures["latency_s"])),
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items()) or "none"


def _cost(figures: Mapping[str, Any]) -> str:
    known, unknown = figures["cost_usd"], figures["unpriced_calls"]
    rest = f"; {unknown:,} calls without a known price" if unknown else ""
    return f"{known:.4f} USD{rest}"


def _latency(seconds: Mapping[str, float] | None) -> str:
    if seconds is None:
        return DASH
    return ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())


def _over_time(stretches: list[dict[str, Any]]) -> Table:
    bars = sparkline(each["agreement"] for each in stretches)
    title = Text(f"student and teacher over time  {bars}")
    rows = [
        {
            "iterations": Text(span_line(each["first"], each["last"])),
            "visits": Text(f"{each['visits']:,}"),
            "coverage": Text(percent(each["coverage"])),
            "agreement": Text(percent(each["agreement"])),
        }
        for each in stretches
    ]
    return table_of(rows, words=(), title=title)


def _situations(rows: list[dict[str, Any]]) -> Table:
    cells = [
        {
            "id": Text(str(row["id"])),
            "visits": Text(f"{row['visits']:,}"),
            "agreement": Text(sparkline(row["agreement"])),
            "at first": Text(percent(row["first_agreement"])),
            "at last": Text(percent(row["last_agreement"])),
            "success": Text(percent(row["success"])),
            "situation": safe(one_line(row["text"])),
        }
        for row in rows
    ]
    return table_of(cells, ("situation",), title=Text("by situation, the most visited first"))
