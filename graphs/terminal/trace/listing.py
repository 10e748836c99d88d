"""`trace list` at the terminal: situations, calls or failures in a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tutelage.agents.client.call_record import CACHED, OK
from tutelage.agents.common.invocation import hint
from tutelage.graphs.analysis.trace_details import situation_row
from tutelage.graphs.records.trace.names import DASH, call_id
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import (
    ADVICE_REJECTED,
    TEACHER_REJECTED,
    EventRecord,
    teacher_verdict,
)
from tutelage.graphs.records.trace.schema import TraceError
from tutelage.graphs.records.trace.search import FAILED, CallRow, Span, Wanted
from tutelage.graphs.terminal.common.tables import WIDE, table_of
from tutelage.graphs.terminal.common.text import console, percent, print_json_rows, safe
from tutelage.graphs.terminal.trace.lines import advice_line, open_trace, tokens_line
from tutelage.graphs.terminal.trace.situation_lines import (
    SituationCells,
    cut_short,
    ended,
    room_beside,
    without_spared,
)
from tutelage.rl.errors import one_of

KINDS: Final = ("situations", "calls", "failures")
NODES: Final = ("planner", "cache", "fallback")
"""Which nodes make calls."""
SHOWN: Final = 50
"""Rows that people get unless they ask for more; machines get all of them."""

_WORDS: Final = frozenset({"advice", "from", "node", "status", "teacher", "situation", "error"})
_SPARED: Final = ("from", "calls", "coverage", "success")
_SPARED_OF_CALLS: Final = ("node", "try")
_SPARED_OF_FAILURES: Final = ("node", "try", "tokens", "seconds", "teacher")
"""Columns that a narrow terminal goes without, the first one first."""
_LEAST_ADVICE: Final = 20
"""Columns of advice where there is little room: enough for the figures of what was rejected."""

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
        raise TraceError(f"cannot list {kind!r}{one_of(kind, KINDS)}")
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
        if not rows:
            _check_names(wanted)
        there = _what_is_there(reader) if not rows and not as_json else ""
        verdict = teacher_verdict(reader.events())
        told = SituationCells([text for _, text in reader.names().values()])
    if as_json:
        print_json_rows(rows)
        return
    out = console()
    if not rows:
        out.print(safe(f"no such {kind}; {there}"), soft_wrap=True)
        return
    _print_table(out, rows, told, kind)
    if len(rows) < total:
        out.print(Text(f"{len(rows):,} of {total:,} {kind}; more with --limit", style="dim"))
    if kind == "situations":
        _print_rejected(out, rows, verdict)
    named = next((str(row["id"] or row["situation"] or "") for row in rows), "") or "ID"
    out.print(
        safe(f"one of them in full: {hint('trace', 'show', run, named)}", "dim"), soft_wrap=True
    )


def _call_row(call: CallRow) -> dict[str, Any]:
    values = dict(zip(_CALL_FIELDS, call, strict=True))
    values["id"] = call_id(call.id) if call.kind == "call" else None
    return values


def _print_table(
    out: Console, rows: Sequence[dict[str, Any]], told: SituationCells, kind: str
) -> None:
    if told.common:
        out.print(safe(f"in every situation: {told.common}", "dim"), soft_wrap=True)
    make = _situations if kind == "situations" else _failures if kind == "failures" else _calls
    out.print(make(rows, told, out.width))


def _print_rejected(
    out: Console, rows: Sequence[Mapping[str, Any]], verdict: EventRecord | None
) -> None:
    """What the teacher check rejected, in words."""
    if any(row["rejection"] is not None for row in rows):
        line = "✗ rejected, not followed: episodes that succeeded with the advice vs without"
        out.print(safe(line, "red"), soft_wrap=True)
    if verdict is not None and verdict.kind == TEACHER_REJECTED:
        line = f"the teacher was rejected, none of it is followed: {verdict.message}"
        out.print(safe(line, "red"), soft_wrap=True)


def _situations(rows: Sequence[dict[str, Any]], told: SituationCells, width: int) -> Table:
    """The table of situations, a line each; the most telling columns alone where it is narrow."""
    cells = without_spared([_situation_cells(row) for row in rows], width, _SPARED)
    if not any(row["failures"] for row in rows):
        cells = [{k: v for k, v in each.items() if k != "failed"} for each in cells]
    advice = [advice_line(row) for row in rows]
    room = room_beside(cells, width) - 2  # the gap between the two
    least = min(max(map(len, advice)), _LEAST_ADVICE)
    wanted = max(told.columns(row["text"] for row in rows), len(told.heading))
    columns = min(wanted, room - least)
    for row, each, line in zip(rows, cells, advice, strict=True):
        each[told.heading] = told.cell(row["text"], columns)
        each["advice"] = safe(ended(line, room - columns), "red" if row["rejection"] else "")
    return cut_short(table_of(cells, {*_WORDS, told.heading}))


def _situation_cells(row: dict[str, Any]) -> dict[str, Text]:
    return {
        "id": Text(str(row["id"])),
        "visits": Text(f"{row['visits']:,}"),
        "agree": Text(percent(row["agreement"])),
        "coverage": Text(percent(row["coverage"])),
        "success": Text(percent(row["successes"] / row["episodes"] if row["episodes"] else None)),
        "calls": Text(f"{row['calls']:,}"),
        "failed": Text(f"{row['failures']:,}", style="red" if row["failures"] else ""),
        "from": safe(", ".join(row["sources"]) or DASH),
    }


def _calls(rows: Sequence[dict[str, Any]], told: SituationCells, width: int) -> Table:
    """The table of calls, a line each. It shows teachers where there are several."""
    cells = without_spared(_calls_cells(rows), width, _SPARED_OF_CALLS)
    room = room_beside(cells, width)
    for row, each in zip(rows, cells, strict=True):
        each[told.heading] = _named(row, told, room)
    return cut_short(table_of(cells, {*_WORDS, told.heading}))


def _failures(rows: Sequence[dict[str, Any]], told: SituationCells, width: int) -> Table:
    """The table of failures: what is wrong is told in full, and wrapped where it must be."""
    cells = without_spared(_calls_cells(rows), width, _SPARED_OF_FAILURES)
    room = room_beside(cells, width)
    for row, each in zip(rows, cells, strict=True):
        # Narrow, the number alone: the error takes the room.
        wide = width >= WIDE
        heading = told.heading if wide else "situation"
        each[heading] = _named(row, told, room // 2 if wide else 0)
        each["error"] = safe(_error(row))
    table = cut_short(table_of(cells, {*_WORDS, told.heading}))
    table.columns[-1].no_wrap, table.columns[-1].overflow = False, "fold"
    return table


def _named(row: Mapping[str, Any], told: SituationCells, room: int) -> Text:
    """A call's situation by its number, and in as many words as there is room for."""
    number = str(row["situation"] or DASH)
    rest = room - len(number) - 2
    if row["text"] is None or rest <= 0:
        return safe(number)
    return Text(f"{number}: ").append_text(told.cell(row["text"], rest))


def _calls_cells(rows: Sequence[dict[str, Any]]) -> list[dict[str, Text]]:
    several = len({row["provider"] for row in rows} - {None}) > 1
    cells = [_call_cells(row) for row in rows]
    return [{k: v for k, v in each.items() if several or k != "teacher"} for each in cells]


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
    }


def status_text(status: str) -> Text:
    """A call's status in its colour; that of a rejection in plain words."""
    status = {ADVICE_REJECTED: "advice rejected", TEACHER_REJECTED: "teacher rejected"}.get(
        status, status
    )
    return safe(status, {"ok": "green", "cached": "cyan"}.get(status, "red"))


def _error(row: dict[str, Any]) -> str:
    return row["error"] or ("given up for a while" if row["kind"] == "given up" else DASH)


def _check_names(wanted: Wanted) -> None:
    """See that a call can have the status and the node that are wanted. Raises TraceError."""
    # Here and not above: it imports LangChain, and most filters find something.
    from tutelage.agents.client.errors import FailureName

    statuses = (OK, CACHED, FAILED, *get_args(FailureName))
    for option, given, known in (
        ("--status", wanted.status, statuses),
        ("--node", wanted.node, NODES),
    ):
        if given is not None and given not in known:
            raise TraceError(f"{option} {given!r} is none{one_of(given, known)}")


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
