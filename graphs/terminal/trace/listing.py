"""`trace list` at the terminal: situations, calls or failures in a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from tutelage.agents.common.invocation import hint
from tutelage.graphs.analysis.trace_details import situation_row
from tutelage.graphs.records.trace.names import DASH, call_id, one_line, plan_lines
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.schema import TraceError
from tutelage.graphs.records.trace.search import CallRow, Span, Wanted
from tutelage.graphs.terminal.common.tables import table_of
from tutelage.graphs.terminal.common.text import console, percent, print_json_rows, safe
from tutelage.graphs.terminal.trace.lines import open_trace, tokens_line

KINDS: Final = ("situations", "calls", "failures")
SHOWN: Final = 50
"""Rows that people get unless they ask for more; machines get all of them."""

_WORDS: Final = frozenset({"situation", "advice", "from", "node", "status", "teacher", "error"})
_SPARED: Final = ("from", "calls", "coverage")
"""Columns of situations that a narrow terminal goes without."""

_CALL_FIELDS: Final = tuple("situation" if name == "number" else name for name in CallRow._fields)
_NUMBER: Final = r"\d{1,15}(?:\.\d{1,9})?"
_SPAN: Final = re.compile(rf"({_NUMBER})|({_NUMBER})?\.\.({_NUMBER})?")


def span_of(option: str, text: str | None) -> Span:
    """What `5`, `5..20`, `5..` or `..20` stands for. Raises TraceError for anything else."""
    if text is None:
        return None, None
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise TraceError(f"{option} {text!r} is no range; allowed: 5, 5..20, 5.. or ..20")
    exact, least, most = (None if part is None else float(part) for part in found.groups())
    return (exact, exact) if exact is not None else (least, most)


def show(
    run: Path,
    kind: str,
    wanted: Wanted,
    sort: str | None,
    reverse: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List what is wanted of a run's trace. kind: one of `KINDS`; sort: None for its own order.

    Raises RunFolderError or TraceError.
    """
    if kind not in KINDS:
        raise TraceError(f"cannot list {kind!r}; allowed: {', '.join(KINDS)}")
    most = limit if as_json else limit or SHOWN
    with open_trace(run) as reader:
        if kind == "situations":
            situations = reader.situations(wanted, sort or "visits", reverse)
            total, situations = len(situations), situations[:most]
            rows = [situation_row(situation) for situation in situations]
        else:
            calls, total = reader.find_calls(
                wanted, kind == "failures", sort or "id", reverse, most
            )
            rows = [_call_row(call) for call in calls]
        there = _what_is_there(reader) if not rows and not as_json else ""
    if as_json:
        print_json_rows(rows)
    elif not rows:
        console().print(safe(f"no such {kind}; {there}"), soft_wrap=True)
    else:
        out = console()
        table = situations_table(rows, out.width) if kind == "situations" else _calls(rows, kind)
        out.print(table)
        if len(rows) < total:
            out.print(Text(f"{len(rows):,} of {total:,} {kind}; more with --limit", style="dim"))
        line = hint("trace", "show", run, str(rows[0]["id"] or "ID"))
        out.print(safe(f"one of them in full: {line}", "dim"), soft_wrap=True)


def _call_row(call: CallRow) -> dict[str, Any]:
    values = dict(zip(_CALL_FIELDS, call, strict=True))
    values["id"] = call_id(call.id) if call.kind == "call" else None
    return values


def situations_table(rows: Sequence[dict[str, Any]], width: int) -> Table:
    """The table of situations, the most telling columns alone on a narrow terminal.

    rows: as `situation_row` gives them; width: the terminal's.
    """
    table = table_of([_situation_cells(row) for row in rows], _WORDS, width, _SPARED)
    table.show_lines = True
    return table


def _situation_cells(row: dict[str, Any]) -> dict[str, Text]:
    return {
        "id": Text(str(row["id"])),
        "situation": safe(row["text"]),
        "advice": safe(plan_lines(row["plans"])),
        "from": safe(", ".join(row["sources"]) or DASH),
        "calls": Text(f"{row['calls']:,}"),
        "failed": Text(f"{row['failures']:,}", style="red" if row["failures"] else ""),
        "visits": Text(f"{row['visits']:,}"),
        "coverage": Text(percent(row["coverage"])),
        "agree": Text(percent(row["agreement"])),
        "success": Text(percent(row["successes"] / row["episodes"] if row["episodes"] else None)),
    }


def _calls(rows: Sequence[dict[str, Any]], kind: str) -> Table:
    """The table of calls. It shows teachers where there are several, errors for failures."""
    several = len({row["provider"] for row in rows} - {None}) > 1
    hidden = {*(() if several else ("teacher",)), *(() if kind == "failures" else ("error",))}
    cells = [_call_cells(row) for row in rows]
    return table_of([{k: v for k, v in row.items() if k not in hidden} for row in cells], _WORDS)


def _call_cells(row: dict[str, Any]) -> dict[str, Text]:
    return {
        "id": Text(row["id"] or DASH),
        "iter": Text(f"{row['iteration']:,}"),
        "node": safe(row["node"]),
        "status": status_text(row["status"]),
        "try": Text(str(row["attempt"] or DASH)),
        "tokens": Text(tokens_line(row["prompt_tokens"], row["completion_tokens"])),
        "seconds": Text(DASH if row["latency_s"] is None else f"{row['latency_s']:.2f}"),
        "teacher": safe(row["provider"] or DASH),
        "situation": safe(f"{row['situation'] or DASH}: {one_line(row['text'])}"),
        "error": safe(_error(row)),
    }


def status_text(status: str) -> Text:
    """A call's status in its colour."""
    return safe(status, {"ok": "green", "cached": "cyan"}.get(status, "red"))


def _error(row: dict[str, Any]) -> str:
    return row["error"] or ("given up for a while" if row["kind"] == "given up" else DASH)


def _what_is_there(reader: TraceReader) -> str:
    """For people whose filter found nothing: by what they could filter."""
    nodes, statuses = Counter[str](), Counter[str]()
    for counted in reader.call_counts():
        nodes[counted.node] += counted.calls
        statuses[counted.status] += counted.calls
    if not nodes:
        return "the trace holds no call"
    return "; ".join(
        f"{kind} of its calls: " + ", ".join(f"{name} ({n:,})" for name, n in counts.items())
        for kind, counts in {"statuses": statuses, "nodes": nodes}.items()
    )
