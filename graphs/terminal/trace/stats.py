"""`trace stats`: the figures of a trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from tutelage.graphs.analysis.trace_statistics import statistics
from tutelage.graphs.records.trace.names import DASH
from tutelage.graphs.terminal.common.tables import table_of
from tutelage.graphs.terminal.common.text import console, percent, print_json, safe
from tutelage.graphs.terminal.trace.lines import (
    cost_line,
    open_trace,
    outcomes_line,
    span_line,
    sparkline,
)
from tutelage.graphs.terminal.trace.situation_lines import SituationCells, cut_short


def show(run: Path, as_json: bool) -> None:
    """The figures of a run's trace. Raises RunFolderError or TraceError."""
    with open_trace(run) as reader:
        figures = statistics(reader)
        told = SituationCells([text for _, text in reader.names().values()])
    if as_json:
        print_json(figures)
        return
    out = console()
    table = Table.grid(padding=(0, 2))
    for name, value in _totals(figures):
        table.add_row(Text(name, style="dim"), value)
    out.print(table)
    if figures["over_time"]:
        out.print(_over_time(figures["over_time"]))
    if told.common and (figures["rejected"] or figures["situations"]):
        out.print(safe(f"in every situation: {told.common}", "dim"), soft_wrap=True)
    if figures["rejected"]:
        out.print(_rejected(figures["rejected"], told, out.width))
    if figures["situations"]:
        out.print(_situations(figures["situations"], told, out.width))


def _totals(figures: Mapping[str, Any]) -> list[tuple[str, Text]]:
    rows = [
        ("requests", safe(f"{figures['calls']:,}, of which {figures['failed']:,} failed")),
        ("by teacher", safe(_counts(figures["teachers"]))),
        ("by node", safe(_counts(figures["nodes"]))),
        ("failed requests", safe(_counts(figures["failures"]))),
        ("given up", safe(_counts(figures["given_up"]))),
        ("advice from", safe(_counts(figures["sources"]))),
        ("advice rejected", _share_rejected(figures)),
        ("tokens", safe(f"{figures['prompt_tokens']:,} in, {figures['completion_tokens']:,} out")),
        ("cost", safe(cost_line(figures["cost_usd"], figures["unpriced_calls"]))),
        ("latency", safe(_latency(figures["latency_s"]))),
    ]
    if figures["teacher_rejected"] is not None:
        said = f"none of its advice is followed: {figures['teacher_rejected']}"
        rows.append(("teacher rejected", safe(said, "red")))
    return rows


def _share_rejected(figures: Mapping[str, Any]) -> Text:
    count = len(figures["rejected"])
    if not count:
        return Text("none")
    return Text(f"in {count:,} of {figures['advised']:,} situations", style="red")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items()) or "none"


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


def _rejected(rows: Sequence[dict[str, Any]], told: SituationCells, width: int) -> Table:
    """The advice that was rejected, by which figures. rows: the most visited first."""
    cells = [
        {
            "id": Text(str(row["id"])),
            "iter": Text(f"{row['rejection']['iteration']:,}"),
            "with it": Text(outcomes_line(row["rejection"]["with_advice"])),
            "without": Text(outcomes_line(row["rejection"]["without_advice"])),
        }
        for row in rows
    ]
    title = Text("advice rejected: episodes that succeeded with it and without", style="red")
    told.add_to(cells, [row["text"] for row in rows], width)
    return cut_short(table_of(cells, (told.heading,), title=title))


def _situations(rows: Sequence[dict[str, Any]], told: SituationCells, width: int) -> Table:
    cells = [
        {
            "id": Text(str(row["id"])),
            "visits": Text(f"{row['visits']:,}"),
            "agreement": Text(sparkline(row["agreement"])),
            "first": Text(percent(row["first_agreement"])),
            "last": safe("✗", "red") if row["rejected"] else Text(percent(row["last_agreement"])),
            "success": Text(percent(row["success"])),
        }
        for row in rows
    ]
    told.add_to(cells, [row["text"] for row in rows], width)
    return cut_short(
        table_of(cells, (told.heading,), title=Text("by situation, the most visited first"))
    )
