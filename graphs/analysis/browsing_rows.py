"""The rows of a trace's browser: what stands in their columns, and by what they are ordered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, get_args

from tutelage.graphs.records.trace.names import plan_line
from tutelage.graphs.records.trace.records import (
    ADVICE_REJECTED,
    TEACHER_REJECTED,
    TEACHER_WITHHELD,
    EventRecord,
    SituationSummary,
)

Kind = Literal["situations", "calls", "events"]
KINDS: tuple[Kind, ...] = ("situations", "calls", "events")

Verdict = Literal["rejected", "withheld", "failed", "no advice", "followed"]
"""What becomes of the advice on a situation: the teacher check rejected it, or the teacher; the
teacher is not followed until it is known to help; no question was answered; there is none; it is
learned from."""
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
"""As a list is ordered by them: what people look for comes first."""


def event_name(kind: str) -> str:
    """A kind of event in words."""
    return "advice rejected" if kind == ADVICE_REJECTED else kind.replace("_", " ")


def verdict_of(situation: SituationSummary, teacher: EventRecord | None) -> Verdict:
    """What becomes of the advice on a situation.

    teacher: what the check found of the teacher as a whole (`teacher_verdict`).
    """
    if not situation.plans:
        return "failed" if situation.failures else "no advice"
    found = teacher.kind if teacher is not None else None
    if situation.rejection is not None or found == TEACHER_REJECTED:
        return "rejected"
    return "withheld" if found == TEACHER_WITHHELD else "followed"


class Row(NamedTuple):
    """A row of a list. record: a SituationSummary, CallRow or EventRecord, by the kind of list.

    verdict: of a situation. Texts are made when they are needed: a list may have a hundred thousand
    rows.
    """

    kind: Kind
    record: Any
    verdict: Verdict | None = None

    @property
    def key(self) -> tuple[str, int]:
        """The same for the same thing at the next refresh."""
        if self.kind == "situations":
            return ("situation", self.record.number)
        return (self.record.kind if self.kind == "calls" else "event", self.record.id or 0)

    @property
    def good(self) -> bool | None:
        """Whether a call or an event is a success; None where it can be neither."""
        if self.kind == "calls":
            return self.record.status in ("ok", "cached")
        if self.record.kind in (ADVICE_REJECTED, TEACHER_REJECTED):
            return False
        return self.record.kind == "teacher_removed" or None

    def value(self, column: str) -> Any:
        """The value in a column of `COLUMNS`."""
        return COLUMNS[self.kind][column](self)

    @property
    def advice(self) -> str | None:
        """The likeliest plan on a situation; None without advice."""
        plans = self.record.plans or ()
        best = max(plans, key=lambda plan: plan["p"], default=None)
        return None if best is None else plan_line(best["plan"])

    @property
    def searched(self) -> str:
        """What a search looks into, casefolded."""
        record = self.record
        if self.kind == "situations":
            plans = (plan_line(row["plan"]) for row in record.plans or ())
            sources = ", ".join(record.sources)
            words = (record.number, record.text, self.verdict, sources, *plans)
        elif self.kind == "calls":
            words = (
                f"c{self.value('call')}",
                record.status,
                record.model or record.provider,
                record.node,
            )
            words += (f"iteration {record.iteration}", record.text, record.error)
        else:
            words = (record.kind, self.value("event"), record.node, record.message)
        return " ".join(str(word) for word in words if word is not None).casefold()


COLUMNS: Final[Mapping[Kind, Mapping[str, Callable[[Row], Any]]]] = {
    "situations": {
        "visits": lambda row: row.record.visits,
        "agree": lambda row: row.record.agreement,
        "last": lambda row: row.record.last_iteration,
        "verdict": lambda row: row.verdict,
        "situation": lambda row: row.record.text,
    },
    "calls": {
        "call": lambda row: row.record.id if row.record.kind == "call" else None,
        "iter": lambda row: row.record.iteration,
        "status": lambda row: row.record.status,
        "seconds": lambda row: row.record.latency_s,
        "situation": lambda row: row.record.text,
    },
    "events": {
        "iter": lambda row: row.record.iteration,
        "event": lambda row: event_name(row.record.kind),
        "message": lambda row: row.record.message,
    },
}
"""The columns of each list, and the value of a row there; None where it is not known."""


class Order(NamedTuple):
    """By what a list can be ordered. column: the one that shows it."""

    column: str
    value: Callable[[Row], Any]
    largest_first: bool


ORDERS: Final[Mapping[Kind, Mapping[str, Order]]] = {
    "situations": {
        "visits": Order("visits", lambda row: row.record.visits, True),
        "disagree": Order("agree", lambda row: row.record.disagreements, True),
        "last": Order("last", lambda row: row.record.last_iteration, True),
        "advice": Order("situation", lambda row: row.advice, False),
        "verdict": Order("verdict", lambda row: VERDICTS.index(row.verdict or "no advice"), False),
        "id": Order("visits", lambda row: row.record.number, False),
    },
    "calls": {
        "id": Order("call", lambda row: row.record.id, True),
        "iteration": Order("iter", lambda row: row.record.iteration, True),
        "status": Order("status", lambda row: row.record.status, False),
        "latency": Order("seconds", lambda row: row.record.latency_s, True),
        "situation": Order("situation", lambda row: row.record.number, False),
    },
    "events": {
        "iteration": Order("iter", lambda row: row.record.id, True),
        "event": Order("event", lambda row: row.value("event"), False),
        "message": Order("message", lambda row: row.record.message, False),
    },
}
"""The orders of each list, first the one that `TraceBook.rows` gives. Those that `trace list`
has too are the same there."""


def in_order(rows: Sequence[Row], kind: Kind, order: str, reverse: bool) -> Sequence[Row]:
    """Rows by one of `ORDERS`; among equals by their number, and what has no value at the end."""
    _, value, largest_first = ORDERS[kind][order]
    known: list[tuple[Any, Row]] = []
    unknown: list[tuple[Any, Row]] = []
    for row in sorted(rows, key=lambda row: row.key[1]):
        (unknown if (at := value(row)) is None else known).append((at, row))
    known.sort(key=lambda pair: pair[0], reverse=largest_first != reverse)
    return [row for _, row in (*known, *unknown)]
