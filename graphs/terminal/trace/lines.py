"""Shared by all views of a trace: opening it; tokens, iterations and shares in a line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.names import DASH
from tutelage.graphs.records.trace.reader import TraceReader

_BARS: Final = "▁▂▃▄▅▆▇█"


def open_trace(run: Path) -> TraceReader:
    """The trace of a run folder. Raises RunFolderError or TraceError."""
    return TraceReader(RunFolder.open(run).trace)


def tokens_line(prompt: int | None, completion: int | None) -> str:
    """Tokens in and out; a dash where the provider counted none."""
    if prompt is None and completion is None:
        return DASH
    return f"{prompt or 0:,} + {completion or 0:,}"


def span_line(first: int, last: int) -> str:
    """A stretch of iterations, as `trace list --iteration` takes it."""
    return str(first) if first == last else f"{first}..{last}"


def sparkline(shares: Iterable[float | None]) -> str:
    """Shares between 0 and 1 as bars; a dot where there is none."""
    last = len(_BARS) - 1
    return "".join(
        "·" if share is None else _BARS[min(max(round(share * last), 0), last)] for share in shares
    )
