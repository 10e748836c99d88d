"""`trace diff` and `trace replay` at the terminal: what differs, as a coloured unified diff."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from tutelage.agents.common.invocation import hint
from tutelage.graphs.analysis.trace_comparison import (
    PARTS,
    compare_runs,
    conversation_of,
    difference,
    rejection_of,
)
from tutelage.graphs.records.run_names import find_run
from tutelage.graphs.records.trace.names import DASH, one_line
from tutelage.graphs.records.trace.schema import TraceError
from tutelage.graphs.terminal.common.tables import table_of
from tutelage.graphs.terminal.common.text import console, percent, print_json, safe
from tutelage.graphs.terminal.trace.lines import open_trace, rejection_line
from tutelage.graphs.terminal.trace.situation_lines import (
    SituationCells,
    cut_short,
    room_beside,
    without_spared,
)

if TYPE_CHECKING:
    from tutelage.graphs.analysis.trace_replay import ReplayedAnswer

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
            rejections = {"a": rejection_of(ours), "b": rejection_of(theirs)}
            values: Any = {
                "a": ours.text,
                "b": theirs.text,
                "difference": found,
                "rejections": rejections,
            }
        else:
            values = compare_runs(readers[0], readers[1], (a, b))
    if as_json:
        print_json(values)
    elif ids:
        print_difference(console(), found)
        _print_rejections(console(), rejections)
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
    out.print(safe(f"situation {done.situation}: {one_line(done.text)}", "bold"), soft_wrap=True)
    for line in _about_prompts(done, run, id):
        out.print(safe(line, "magenta"), soft_wrap=True)
    if done.replayed.advice:
        print_difference(out, found)
    if done.failure is not None:
        kept = "some answers are missing" if done.replayed.advice else "no plan came back"
        out.print(safe(f"{kept}: {done.failure}, {done.error or 'no reason was given'}", "red"))
    cost = "cost not known" if done.cost_usd is None else f"{done.cost_usd:.4f} USD"
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


def _about_prompts(done: ReplayedAnswer, run: Path, id: str) -> Iterator[str]:
    """With which prompts it was asked, where they are not those that the run asked with."""
    if done.note is not None:
        yield done.note
    if done.changed_prompts:
        files = ", ".join(f"{name} ({path})" for name, path in done.changed_prompts.items())
        yield f"the prompts differ from those that the run recorded: {files}"
        again = hint("trace", "replay", run, id, "--prompts", done.recorded_prompts or "")
        yield f"asked with these, as `run` would ask now; with the recorded ones: {again}"
    if done.changed_prompts and not done.reads_prompts:
        yield f"{done.provider} reads no prompts, only the situation: they change nothing for it"


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
    """A run, and an id where one is named. A folder may have a colon in its name.

    Raises RunFolderError.
    """
    found = _WITH_ID.fullmatch(text)
    if found is None or Path(text).is_dir():
        return find_run(text), None
    return find_run(found[1]), found[2]


def _print_runs(out: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of all situations, then each that differs; a difference is printed once."""
    if not rows:
        out.print(Text("neither run has met a situation", "dim"))
        return
    told = SituationCells(list(dict.fromkeys(row["text"] for row in rows)))
    if told.common:
        out.print(safe(f"in every situation: {told.common}", "dim"), soft_wrap=True)
    cells = without_spared([_cells(row) for row in rows], out.width, _SPARED)
    room = room_beside(cells, out.width)
    for row, each in zip(rows, cells, strict=True):
        each[told.heading] = told.cell(row["text"], room)
    out.print(
        cut_short(table_of(cells, {"differs in", told.heading})),
    )
    printed: set[tuple[str, ...]] = set()
    for row in rows:
        parts = row["difference"] or {}
        rejections = {side: (row[side] or {}).get("rejection") for side in ("a", "b")}
        if not any(parts.values()) and not any(rejections.values()):
            continue
        out.print(Rule(safe(one_line(row["text"])), align="left"))
        _print_rejections(out, rejections)
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
        "differs in": _differs(row["difference"], [side.get("rejection") for side in sides]),
    }


def _differs(parts: Mapping[str, Sequence[str]] | None, rejections: Sequence[Any]) -> Text:
    """In what two runs differ, and whose advice was rejected."""
    met = "met by one"
    if parts is not None:
        met = ", ".join(part for part, lines in parts.items() if lines) or "nothing"
    rejected = ", ".join(side for side, found in zip("ab", rejections, strict=True) if found)
    return Text.assemble(met, (f"  ✗ {rejected}" if rejected else "", "red"))


def _print_rejections(out: Console, rejections: Mapping[str, Any]) -> None:
    """The advice that was rejected, on either side, with its figures."""
    for side, rejection in rejections.items():
        if rejection is not None:
            out.print(safe(f"{side}: ✗ {rejection_line(rejection)}", "red"), soft_wrap=True)
