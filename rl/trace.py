"""The trace: what the teacher was asked, what it answered and what the student made of it.

One SQLite file in the run folder. There is one `TraceWriter`; any number of `TraceReader`s may
read while it writes, and they see whole iterations: each is one transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from rl.files import is_damage, sqlite_reason
from rl.trace_records import (
    CACHED,
    OK,
    AdviceRecord,
    CallRecord,
    EventRecord,
    ExampleRecord,
    PlanRows,
    Record,
    SituationSummary,
    VisitRecord,
    from_row,
    text_cleaner,
    to_rows,
    to_signature,
)
from rl.trace_schema import (
    TraceDamagedError,
    TraceError,
    open_for_reading,
    open_for_writing,
)

__all__ = [
    "CACHED",
    "MAX_EXAMPLES",
    "OK",
    "AdviceRecord",
    "CallRecord",
    "EventRecord",
    "ExampleRecord",
    "SituationSummary",
    "TraceDamagedError",
    "TraceError",
    "TraceReader",
    "TraceWriter",
    "VisitRecord",
]

MAX_EXAMPLES: Final = 3
"""How many drawn states the trace keeps for each situation."""

_TABLES: Final[Mapping[type, str]] = {
    CallRecord: "calls",
    AdviceRecord: "advice",
    VisitRecord: "visits",
    ExampleRecord: "examples",
    EventRecord: "events",
}
"""Each table's columns are its record's fields, under the same names."""


class TraceWriter:
    """Writes a trace. Nothing is kept until `commit`, which ends an iteration's transaction.

    Every text is redacted on the way in. Each method raises TraceError where SQLite fails,
    TraceDamagedError where that is for good, and ValueError for a signature that is not in
    0..2**63 - 1. Not for two threads at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._closed = False
        with _explained(path):
            self._connection = open_for_writing(path)
            self._examples = self._count_examples()

    def situations(self, texts: Mapping[int, str]) -> None:
        """Add situations by signature; those already there stay as they are."""
        clean = text_cleaner()
        rows = [(to_signature(signature), clean(text)) for signature, text in texts.items()]
        self._insert("INSERT OR IGNORE INTO situations (signature, text) VALUES (?, ?)", rows)

    def calls(self, records: Iterable[CallRecord]) -> None:
        """Add requests to a provider, answered or not, and those that the cache replayed."""
        self._add(CallRecord, records)

    def advice(self, records: Iterable[AdviceRecord]) -> None:
        """Add what was settled on for situations."""
        self._add(AdviceRecord, records)

    def visits(self, records: Iterable[VisitRecord]) -> None:
        """Add an iteration's situations: at most one record for each (iteration, signature)."""
        self._add(VisitRecord, records)

    def events(self, records: Iterable[EventRecord]) -> None:
        """Add things that happened."""
        self._add(EventRecord, records)

    def wants_example(self, signature: int) -> bool:
        """Whether another drawn state of the situation would be kept. Ask before drawing one."""
        return self._examples[signature] < MAX_EXAMPLES

    def examples(self, records: Iterable[ExampleRecord]) -> None:
        """Add drawn states, the first `MAX_EXAMPLES` of each situation; the others are dropped."""
        kept = []
        for record in records:
            if self.wants_example(record.signature):
                self._examples[record.signature] += 1
                kept.append(record)
        self._add(ExampleRecord, kept)

    def commit(self) -> None:
        """Keep all that was added since the last commit: one transaction for each iteration."""
        with _explained(self.path):
            self._connection.commit()

    def sync(self) -> None:
        """Wait until all commits are on the disk, which spares those of each iteration the wait."""
        with _explained(self.path):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def cut(self, last_iteration: int) -> None:
        """Remove all that lies beyond an iteration, and what was not committed; for a resume."""
        with _explained(self.path):
            self._connection.rollback()
            with self._connection:
                for table in _TABLES.values():
                    self._connection.execute(
                        f"DELETE FROM {table} WHERE iteration > ?", (last_iteration,)
                    )
                self._connection.execute(
                    "DELETE FROM situations WHERE signature NOT IN ("
                    " SELECT signature FROM calls UNION SELECT signature FROM advice UNION"
                    " SELECT signature FROM visits UNION SELECT signature FROM examples)"
                )
            self._examples = self._count_examples()

    def close(self) -> None:
        """Close the file, unless it is closed. What was not committed is dropped."""
        if self._closed:
            return
        self._closed = True
        with _explained(self.path):
            self._connection.rollback()
            # Outside WAL mode the trace is one plain file, readable from a read-only place too.
            # That needs the file for ourselves; while somebody reads, it at least gets all rows.
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            with suppress(sqlite3.OperationalError):
                self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A disk that is full, say, has been reported already, and is no news at the end.
        with suppress(TraceError) if exc_type is not None else nullcontext():
            self.close()

    def _add(self, kind: type[Record], records: Iterable[Record]) -> None:
        names = [field.name for field in fields(kind) if field.name != "id"]
        marks = ", ".join("?" for _ in names)
        sql = f"INSERT INTO {_TABLES[kind]} ({', '.join(names)}) VALUES ({marks})"
        self._insert(sql, to_rows(kind, records))

    def _insert(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        with _explained(self.path):
            self._connection.executemany(sql, rows)

    def _count_examples(self) -> Counter[int]:
        rows = self._connection.execute("SELECT signature, COUNT(*) FROM examples GROUP BY 1")
        return Counter(dict(rows))


class TraceReader:
    """Reads a trace, also while it is being written. Each method raises TraceError on damage."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _explained(path):
            self._connection = open_for_reading(path)

    def situations(self) -> list[SituationSummary]:
        """Every situation with all that was done about it, the most visited first."""
        with self._snapshot():
            rows = self._query(_SITUATIONS)
            sources = self._sources()
            plans = self._last_plans()
        return [
            SituationSummary(
                signature=row[0],
                text=row[1],
                calls=row[2],
                failures=row[3],
                sources=sources.get(row[0], {}),
                plans=plans.get(row[0]),
                visits=row[4],
                mass=row[5],
                agreement=row[6],
                episodes=row[7],
                successes=row[8],
            )
            for row in rows
        ]

    def calls(self, signature: int | None = None) -> list[CallRecord]:
        """The requests about one situation, or all of them, in order; cached ones too."""
        return self._records(CallRecord, "id", signature=signature)

    def call(self, id: int) -> CallRecord:
        """One request by its id. Raises TraceError where there is none."""
        found = self._records(CallRecord, "id", id=id)
        if not found:
            raise TraceError(f"{self.path}: there is no call {id}")
        return found[0]

    def advice(self, signature: int) -> list[AdviceRecord]:
        """What was settled on for a situation, in order."""
        return self._records(AdviceRecord, "id", signature=signature)

    def visits(self, signature: int) -> list[VisitRecord]:
        """How often a situation was visited, by iteration."""
        return self._records(VisitRecord, "iteration", signature=signature)

    def examples(self, signature: int) -> list[ExampleRecord]:
        """The drawn states of a situation, in order."""
        return self._records(ExampleRecord, "id", signature=signature)

    def events(self) -> list[EventRecord]:
        """All events, in order."""
        return self._records(EventRecord, "id")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _records(self, kind: type[Record], order: str, **where: int | None) -> list[Record]:
        names = [field.name for field in fields(kind)]
        given: dict[str, int] = {name: value for name, value in where.items() if value is not None}
        condition = " AND ".join(["TRUE", *(f"{name} = :{name}" for name in given)])
        rows = self._query(
            f"SELECT {', '.join(names)} FROM {_TABLES[kind]} WHERE {condition} ORDER BY {order}",
            given,
        )
        with _explained(self.path):
            return [from_row(kind, row) for row in rows]

    def _sources(self) -> dict[int, dict[str, int]]:
        sources: dict[int, dict[str, int]] = {}
        for signature, source, count in self._query(_SOURCES):
            sources.setdefault(signature, {})[source] = count
        return sources

    def _last_plans(self) -> dict[int, PlanRows]:
        rows = self._query(_LAST_PLANS)
        with _explained(self.path):
            return {signature: json.loads(plans) for signature, plans in rows}

    def _query(self, sql: str, values: Mapping[str, int] | None = None) -> list[tuple[Any, ...]]:
        with _explained(self.path):
            return self._connection.execute(sql, values or {}).fetchall()

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """All queries inside see the same commits."""
        self._query("BEGIN")
        try:
            yield
        finally:
            self._query("ROLLBACK")


_SITUATIONS: Final = f"""
    SELECT s.signature, s.text, IFNULL(c.calls, 0), IFNULL(c.failures, 0), IFNULL(v.visits, 0),
        v.mass, v.agreement, IFNULL(v.episodes, 0), IFNULL(v.successes, 0)
    FROM situations s
    LEFT JOIN (
        SELECT signature, COUNT(*) AS calls, SUM(status != '{OK}') AS failures
        FROM calls WHERE status != '{CACHED}' GROUP BY signature
    ) c USING (signature)
    LEFT JOIN (
        SELECT signature, SUM(visits) AS visits, SUM(episodes) AS episodes,
            SUM(successes) AS successes, SUM(visits * mass) / SUM(visits) AS mass,
            SUM(visits * agreement)
                / SUM(CASE WHEN agreement IS NOT NULL THEN visits END) AS agreement
        FROM visits GROUP BY signature
    ) v USING (signature)
    ORDER BY IFNULL(v.visits, 0) DESC, s.signature
"""
_SOURCES: Final = (
    "SELECT signature, source, COUNT(*) FROM advice GROUP BY signature, source ORDER BY 1, 2"
)
_LAST_PLANS: Final = (
    "SELECT signature, plans FROM advice"
    " WHERE id IN (SELECT MAX(id) FROM advice GROUP BY signature)"
)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns SQLite's errors, and JSON that is none, into one line that names the file."""
    try:
        yield
    except sqlite3.Error as error:
        kind = TraceDamagedError if is_damage(error) else TraceError
        raise kind(f"{path}: {sqlite_reason(error)}") from error
    except json.JSONDecodeError as error:
        raise TraceError(f"{path}: damaged JSON in the trace ({error})") from error
