"""Reading a trace, also while a run writes it: each reader sees whole iterations.

All that is read is redacted: a stranger's trace, or an older one, may hold a secret of ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, Self

from tutelage.agents.client.call_record import CACHED, OK, CallRecord
from tutelage.agents.common.redact import redact, values_redactor
from tutelage.graphs.records.trace.deadline import Deadline
from tutelage.graphs.records.trace.names import read_id
from tutelage.graphs.records.trace.records import (
    AdviceRecord,
    CallCount,
    EventRecord,
    ExampleRecord,
    IterationTotals,
    Record,
    Rejection,
    SituationSummary,
    VisitRecord,
    from_row,
    read_json,
    read_plans,
)
from tutelage.graphs.records.trace.schema import (
    TABLES,
    TraceError,
    explained,
    open_for_reading,
    unsound_rows,
)
from tutelage.graphs.records.trace.search import (
    CallRow,
    Wanted,
    added,
    search_calls,
    search_situations,
)

_NAMED: Final = 10
"""Damaged rows of a table that are named."""
_REASON: Final = 200
"""Characters of the reason."""


class TraceReader:
    """Reads a trace. Each method raises TraceError where the file is damaged, or takes too long.

    A damaged row is passed over: all else is read as if it were not there; `passed_over` names it.
    Nothing that comes out of it holds a secret of the environment as it was when the trace was
    opened; what is looked for and sorted by is what stands there.

    Raises TraceNotBegunError where there is no trace yet, TraceError for one that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with explained(path):
            self._connection = open_for_reading(path)
            self._connection.create_function("folded", 1, str.casefold, deterministic=True)
        self._deadline = Deadline(self._connection, path)
        self._damaged: dict[str, None] = {}
        self._redact = values_redactor()

    def passed_over(self) -> list[str]:
        """The damaged rows, a line each: those of the wrong types, and whatever else was read."""
        lines = []
        for table, query in unsound_rows().items():
            key = "iteration" if table == "visits" else "row"
            found = [row for (row,) in self._query(f"{query} LIMIT {_NAMED + 1}")]
            lines += [
                f"{self.path}: {key} {redact(str(row))[:30]} of {table} is damaged: a value of a "
                "wrong type"
                for row in dict.fromkeys(found[:_NAMED])
            ]
            if len(found) > _NAMED:
                lines.append(f"{self.path}: more rows of {table} are damaged")
        return [*lines, *self._damaged]

    # ------------------------------------------------------------------ situations

    def situations(
        self, wanted: Wanted | None = None, sort: str = "visits", reverse: bool = False
    ) -> list[SituationSummary]:
        """The situations with all that was done about them, the most visited first.

        wanted: those about which such calls were made, with the figures of these alone.
        sort: one of `SITUATION_ORDERS`. Raises TraceError for another.
        """
        return self._summaries(*search_situations(wanted or Wanted(), sort, reverse))

    def named(self, id: str) -> tuple[SituationSummary, CallRecord | None]:
        """The situation of an id, and the call where it is a call's id. Raises TraceError."""
        situation, call = read_id(id)
        if situation is not None:
            return self.situation(situation), None
        found = self.call(call or 0)
        return self.situation_of(found.situation_id), found

    def situation(self, key: int) -> SituationSummary:
        """One situation by its number, else by its id. Raises TraceError for another."""
        found = self._query(
            "SELECT situation_id FROM sound_situations WHERE number = :key", {"key": key}
        )
        return self.situation_of(found[0][0] if found else key)

    def situation_of(self, situation_id: int) -> SituationSummary:
        """One situation by its id. Raises TraceError where there is none."""
        found = self._summaries(*search_situations(Wanted(), "id", False, situation_id))
        if not found:
            there = self._numbers("situations")
            raise TraceError(f"no situation {situation_id} in {self.path}; allowed: {there}")
        return found[0]

    def advice(self, situation_id: int) -> list[AdviceRecord]:
        """The advice that was given on a situation, in order."""
        return self._records(AdviceRecord, "id", situation_id=situation_id)

    def visits(self, situation_id: int) -> list[VisitRecord]:
        """How often a situation was visited, by iteration."""
        return self._records(VisitRecord, "iteration", situation_id=situation_id)

    def examples(self, situation_id: int) -> list[ExampleRecord]:
        """The drawn states of a situation, in order."""
        return self._records(ExampleRecord, "id", situation_id=situation_id)

    # ------------------------------------------------------------------ calls and events

    def calls(self, situation_id: int | None = None) -> list[CallRecord]:
        """The requests about one situation, or all of them, in order; cached ones too."""
        return self._records(CallRecord, "id", situation_id=situation_id)

    def each_call(self) -> Iterator[CallRecord]:
        """All requests in order, one at a time: together they may not fit into memory."""
        last = 0
        while rows := self.news(CallRecord, last, 100):
            yield from rows
            last = rows[-1].id or 0

    def call(self, id: int) -> CallRecord:
        """One request by its id. Raises TraceError where there is none."""
        found = self._records(CallRecord, "id", id=id)
        if found:
            return found[0]
        if self._query("SELECT 1 FROM main.calls WHERE id = :id", {"id": id}):
            raise TraceError(f"{self.path}: call {id} is damaged and cannot be read")
        raise TraceError(f"{self.path}: there is no call {id}; allowed: {self._numbers('calls')}")

    def news(self, kind: type[Record], after: int, limit: int) -> list[Record]:
        """The records of a kind with an id (calls, events) that came after that one, in order."""
        while True:
            place = {"after": after, "limit": limit}
            rows = self._raw(kind, "id > :after ORDER BY id LIMIT :limit", place)
            found = self._read(kind, rows)
            if found or len(rows) < limit:
                return found
            after = rows[-1]["id"]

    def last_id(self, kind: type[Record]) -> int:
        """The newest record's id, 0 where there is none."""
        ((last,),) = self._query(f"SELECT IFNULL(MAX(id), 0) FROM sound_{TABLES[kind]}")
        return int(last)

    def names(self) -> dict[int, tuple[int, str]]:
        """The number and the text of each situation, by its id."""
        rows = self._shown("SELECT situation_id, number, text FROM sound_situations")
        return {situation_id: (number, text) for situation_id, number, text in rows}

    def find_calls(
        self,
        wanted: Wanted | None = None,
        failures_only: bool = False,
        sort: str = "id",
        reverse: bool = False,
        limit: int | None = None,
    ) -> tuple[list[CallRow], int]:
        """The first `limit` of the wanted calls without their conversations, and how many all are.

        failures_only: calls that failed, and situations that were given up. sort: id, iteration,
        situation, node, status, tokens, latency, cost or started; tokens, latency and cost from
        the largest on. Raises TraceError for another.
        """
        query, values = search_calls(wanted or Wanted(), failures_only, sort, reverse)
        rows = self._shown(f"{query} LIMIT {-1 if limit is None else limit}", values)
        total = rows[0][-1] if rows else 0
        return [CallRow._make(row[:-1]) for row in rows], total

    def call_counts(self) -> list[CallCount]:
        """How many calls there are of each node, provider, model and status."""
        rows = self._shown(
            f"SELECT node, provider, model, status, COUNT(*), {added('prompt_tokens')},"
            f" {added('completion_tokens')}, SUM(cost_usd),"
            f" SUM(cost_usd IS NULL AND status IN ('{OK}', 'unusable_answer', 'cut_off'))"
            " FROM listed_calls"
            " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
        )
        return [CallCount(*row) for row in rows]

    def latencies(self) -> list[float]:
        """Seconds of each request that was made, those from the cache left out, sorted."""
        rows = self._query(
            f"SELECT latency_s FROM listed_calls WHERE status != '{CACHED}' ORDER BY latency_s"
        )
        return [seconds for (seconds,) in rows]

    def events(self, situation_id: int | None = None) -> list[EventRecord]:
        """All events, or those of one situation, in order."""
        return self._records(EventRecord, "id", situation_id=situation_id)

    # ------------------------------------------------------------------ over time

    def iterations(self, after: int = -1) -> list[IterationTotals]:
        """Totals over all situations, for each iteration after that one."""
        rows = self._query(
            f"SELECT iteration, {added('visits')}, SUM(visits * coverage) / TOTAL(visits),"
            " SUM(visits * agreement) / TOTAL(CASE WHEN agreement IS NOT NULL THEN visits END)"
            " FROM sound_visits WHERE iteration > :after GROUP BY iteration ORDER BY iteration",
            {"after": after},
        )
        return [IterationTotals(*row) for row in rows]

    def sources(self) -> dict[str, int]:
        """How often advice came from where."""
        rows = self._shown("SELECT source, COUNT(*) FROM sound_advice GROUP BY 1 ORDER BY 1")
        counts = Counter[str]()
        for source, times in rows:  # two of them may be the same by now
            counts[source] += times
        return dict(counts)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _records(self, kind: type[Record], order: str, **where: int | None) -> list[Record]:
        given: dict[str, int] = {name: value for name, value in where.items() if value is not None}
        condition = " AND ".join(["TRUE", *(f"{name} = :{name}" for name in given)])
        return self._rows(kind, f"{condition} ORDER BY {order}", given)

    def _rows(self, kind: type[Record], rest: str, values: Mapping[str, Any]) -> list[Record]:
        return self._read(kind, self._raw(kind, rest, values))

    def _raw(
        self, kind: type[Record], rest: str, values: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Rows by the names of their columns, JSON as it is written."""
        names = [field.name for field in fields(kind)]
        query = f"SELECT {', '.join(names)} FROM sound_{TABLES[kind]} WHERE {rest}"
        return [dict(zip(names, row, strict=True)) for row in self._query(query, values)]

    def _read(self, kind: type[Record], rows: Iterable[Mapping[str, Any]]) -> list[Record]:
        """The records of rows, but for damaged ones."""
        found = []
        for row in rows:
            try:
                found.append(vars(from_row(kind, row.values())))
            except ValueError as error:
                self._pass_over(f"row {row['id']} of {TABLES[kind]}", error)
        return [kind(**values) for values in self._redact(found)]

    def _pass_over(self, what: str, error: ValueError) -> None:
        reason = redact(" ".join(str(error).split()))
        self._damaged[f"{self.path}: {what} is damaged: {reason[:_REASON]}"] = None

    def _summaries(self, query: str, values: Mapping[str, Any]) -> list[SituationSummary]:
        rows = [self._parsed(row) for row in self._query(query, values)]
        return [_summary(*row) for row in self._redact(rows)]

    def _parsed(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """A row of `search_situations` with its JSON read; last, a rejection's iteration and
        message."""
        plans = None
        try:
            plans = read_plans(row[6])
        except ValueError as error:
            self._pass_over(f"the latest advice on situation {row[0]}", error)
        rejection = None if row[-1] is None else read_json(row[-1])
        return (*row[:5], read_json(row[5]), plans, *row[7:-1], rejection)

    def _numbers(self, what: str) -> str:
        """Which numbers there are, for people."""
        column = "number" if what == "situations" else "id"
        ((last,),) = self._query(f"SELECT MAX({column}) FROM sound_{what}")
        return f"none, the trace holds no {what}" if last is None else f"1 to {last}"

    def _query(self, sql: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        with explained(self.path), self._deadline.statement():
            return self._connection.execute(sql, values or {}).fetchall()

    def _shown(self, sql: str, values: Mapping[str, Any] | None = None) -> Sequence[Sequence[Any]]:
        """Rows, redacted."""
        return self._redact(self._query(sql, values))


def _summary(*values: Any) -> SituationSummary:
    """values: of the fields; of the last, the rejection, iteration and message, or None."""
    *others, said = values
    return SituationSummary(*(*others, None if said is None else Rejection.read(*said)))
