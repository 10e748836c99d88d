"""Shared by all views of a trace: opening it; tokens, costs, shares and advice in a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.names import DASH, one_line, plan_line
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.terminal.common.text import console, safe

_BARS: Final = "▁▂▃▄▅▆▇█"


@contextmanager
def open_trace(run: Path) -> Iterator[TraceReader]:
    """The trace of a run folder; in the end it is said which rows were passed over.

    Raises RunFolderError or TraceError.
    """
    with TraceReader(RunFolder.open(run).trace) as reader:
        yield reader
        tell_passed_over(reader.passed_over())


def tell_passed_over(rows: Iterable[str]) -> None:
    """Name damaged rows, on standard error."""
    err = console(stderr=True)
    for row in rows:
        err.print(safe(f"passed over: {row}", "yellow"), soft_wrap=True)


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


def cost_line(cost_usd: float | None, unpriced: int) -> str:
    """What calls cost, as far as it is known. unpriced: how many were answered without a price."""
    calls = "call" if unpriced == 1 else "calls"
    if cost_usd is None:
        return "not known" + (f": {unpriced:,} {calls} without a known price" if unpriced else "")
    if not unpriced:
        return f"{cost_usd:.4f} USD"
    return f"at least {cost_usd:.4f} USD; {unpriced:,} {calls} without a known price"


def rejection_line(rejection: Mapping[str, Any]) -> str:
    """Advice that was rejected, in words, with its figures."""
    taught, own = rejection["with_advice"], rejection["without_advice"]
    if taught is None or own is None:
        return f"rejected: {one_line(rejection['message'])}"
    taught, own = outcomes_line(taught), outcomes_line(own)
    return f"rejected: {taught} episodes succeeded with it, {own} without"


def outcomes_line(outcomes: Mapping[str, int] | None) -> str:
    """How many episodes of how many succeeded; a dash where it is not known."""
    if outcomes is None:
        return DASH
    return f"{outcomes['successes']:,} of {outcomes['episodes']:,}"


def advice_line(row: Mapping[str, Any]) -> str:
    """A situation's likeliest plan in a line; where its advice was rejected, the figures first.

    row: as `situation_row` gives it.
    """
    plans = row["plans"] or []
    best = max(plans, key=lambda plan: plan["p"], default=None)
    line = DASH if best is None else f"{best['p']:.2f} {plan_line(best['plan'])}"
    rejection = row["rejection"]
    return line if rejection is None else f"✗ {rejection_figures(rejection)}{line}"


def rejection_figures(rejection: Mapping[str, Any]) -> str:
    """The figures of a rejection in a table's cell, with a space after them; empty for none."""
    both = (rejection["with_advice"], rejection["without_advice"])
    if None in both:
        return ""
    return " vs ".join(f"{each['successes']}/{each['episodes']}" for each in both) + " "
