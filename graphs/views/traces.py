"""What all views of a trace share: opening it, naming its rows, and plans and shares in a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rl.runfolder import RunFolder
from rl.trace import TraceError, TraceReader

DASH: Final = "–"  # noqa: RUF001 - a dash for people
_CALL_ID: Final = re.compile(r"c(\d{1,18})")
_SITUATION_ID: Final = re.compile(r"\d{1,19}")
_BARS: Final = "▁▂▃▄▅▆▇█"


def open_trace(run: Path) -> TraceReader:
    """The trace of a run folder. Raises RunFolderError or TraceError."""
    return TraceReader(RunFolder.open(run).trace)


def call_id(number: int | None) -> str:
    """A call as people name it, which tells it from a situation."""
    return f"c{number}"


def read_id(text: str) -> tuple[int | None, int | None]:
    """The (situation, call) that an id names, one of them None. Raises TraceError for another."""
    call = _CALL_ID.fullmatch(text)
    if call:
        return None, int(call[1])
    if _SITUATION_ID.fullmatch(text):
        return int(text), None
    raise TraceError(
        f"{text!r} is no id; allowed: a situation's number or signature, as in `trace list RUN`, "
        "or c and a call's number, as in `trace list RUN calls`"
    )


def one_line(text: str | None) -> str:
    """A situation's text in one line."""
    return "; ".join((text or DASH).splitlines())


def plan_line(steps: Iterable[Sequence[Any]]) -> str:
    """A plan's [option, target] steps in one line."""
    return " → ".join(f"{name}({target or ''})" for name, target in steps)


def plan_lines(plans: Sequence[Mapping[str, Any]] | None) -> str:
    """A distribution over plans, a line each."""
    if not plans:
        return DASH
    return "\n".join(f"{plan['p']:.2f} {plan_line(plan['plan'])}" for plan in plans)


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
