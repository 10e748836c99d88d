"""`trace diff` and `trace replay` at the terminal: what differs, as a coloured unified diff."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from tutelage.graphs.analysis.trace_comparison import (
    PARTS,
    compare_runs,
    conversation_of,
    difference,
)
from tutelage.graphs.records.trace.names import DASH, one_line
from tutelage.graphs.records.trace.schema import TraceError
from tutelage.graphs.terminal.common.tables import table_of
from tutelage.graphs.terminal.common.text import console, percent, print_json, safe
from tutelage.graphs.terminal.trace.lines import open_trace

_WITH_ID: Final = re.compile(r"(.+):(c?\d{1,19})")
_SPARED: Final = ("visits a, b", "success a, b")
"""Columns that a narrow terminal goes without."""

_COLOURS: Final = {"+": "green", "-": "red", "@": "cyan"}


def show(a: str, b: str, as_json: bool) -> None:
    """Two calls or situations (RUN:ID), or two runs. Raises RunFolderError or TraceError."""
    sides = [_side(a), _side(b)]
    ids = [id for _, id in sides if id is not None]
    if len(ids) == 1:
        raise TraceError(f"{a} and {b} are not of one kind; needed: two runs, or RUN:ID twice")
    with ExitStack() as stack:
        readers = [stack.enter_context(open_trace(run)) for run, _ in sides]
        if ids:
            (ours, left), (theirs, right) = map(conversation_of, readers, ids)
            found = difference(left, right, (a, b))
            values: Any = {"a": ours.text, "b": theirs.text, "difference": found}
        else:
            values = compare_runs(readers[0], readers[1], (a, b))
    if as_json:
        print_json(values)
    elif ids:
        print_difference(console(), found)
    else:
        _print_runs(console(), values)


def show_replay(
    run: Path,
    id: str,
    provider: str | None,
    base_url: str | None,
    prompts: Path | None,
    as_json: bool,
) -> int:
    """Ask again and show what differs; the exit code, 1 where no answer came."""
    from tutelage.graphs.analysis.trace_replay import replay

    done = replay(run, id, provider, base_url, prompts)
    found = difference(done.recorded, done.replayed, ("recorded", "replayed"))
    if as_json:
        print_json({**asdict(done), "difference": found})
        return 0 if done.replayed.advice else 1
    out = console()
    out.print(safe(f"situation {done.situation}: {one_line(done.text)}", "bold"))
    if done.replayed.advice:
        print_difference(out, found)
    if done.failure is not None:
        kept = "some answers are missing" if done.replayed.advice else "no plan came back"
        out.print(safe(f"{kept}: {done.failure}, {done.error or 'no reason was given'}", "red"))
    cost = "price not known" if done.cost_usd is None else f"{done.cost_usd:.4f} USD"
    out.print(
        safe(
            f"asked {done.provider}: {done.calls} calls, {done.prompt_tokens:,} tokens in, "
            f"{done.completion_tokens:,} out, {done.latency_s:.2f} s, {cost}; "
            "nothing was written into the run folder",
            "dim",
        ),
        soft_wrap=True,
    )
    return 0 if done.replayed.advice else 1


def print_difference(out: Console, parts: Mapping[str, Sequence[str]]) -> None:
    """A unified diff of each part, in colour; a part that is the same says so."""
    for part in PARTS:
        if parts[part]:
            _print_part(out, part, parts[part])
        else:
            out.print(safe(f"{part}: the same", "dim"))


def _print_part(out: Console, part: str, lines: Sequence[str]) -> None:
    out.print(Rule(part, align="left"))
    for line in lines:
        out.print(safe(line, _COLOURS.get(line[:1], "")), soft_wrap=True)


def _side(text: str) -> tuple[Path, str | None]:
    """A run folder, and an id where one is named. A folder may have a colon in its name."""
    found = _WITH_ID.fullmatch(text)
    if found is None or Path(text).is_dir():
        return Path(text), None
    return Path(found[1]), found[2]


def _print_runs(out: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of all situations, then each that differs; a difference is printed once."""
    if not rows:
        out.print(Text("neither run has met a situation", "dim"))
        return
    cells = [_cells(row) for row in rows]
    out.print(table_of(cells, ("differs in", "situation"), out.width, _SPARED))
    printed: set[tuple[str, ...]] = set()
    for row in rows:
        parts = row["difference"] or {}
        if not any(parts.values()):
            continue
        out.print(Rule(safe(one_line(row["text"])), align="left"))
        for part, lines in parts.items():
            key = (part, *lines)
            if lines and key in printed:
                out.print(safe(f"{part}: differs as above", "dim"))
            elif lines:
                printed.add(key)
                _print_part(out, part, lines)


def _cells(row: Mapping[str, Any]) -> dict[str, Text]:
    sides = [row["a"] or {}, row["b"] or {}]
    ours, theirs = (Text(str(side.get("id", DASH))) for side in sides)
    return {
        "a": ours,
        "b": theirs,
        "visits a, b": Text(", ".join(f"{s['visits']:,}" if s else DASH for s in sides)),
        "agree a, b": Text(", ".join(percent(s.get("agreement")) for s in sides)),
        "success a, b": Text(", ".join(percent(s.get("success")) for s in sides)),
        "differs in": Text(_differs(row["difference"])),
        "situation": safe(one_line(row["text"])),
    }


def _differs(parts: Mapping[str, Sequence[str]] | None) -> str:
    if parts is None:
        return "met by one"
    return ", ".join(part for part, lines in parts.items() if lines) or "nothing"
