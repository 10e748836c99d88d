"""The trace: what the teacher was asked, what it answered and what the student made of it.

One SQLite file in the run folder. There is one `TraceWriter`; any number of `TraceReader`s may
read while it writes, and they see whole iterations: each is one transaction.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, Self

from tutelage.agents.client.call_record import CallRecord
from tutelage.agents.common.redact import text_cleaner
from tutelage.graphs.records.trace.records import (
    AdviceRecord,
    EventRecord,
    ExampleRecord,
    Record,
    VisitRecord,
    to_rows,
    to_situation_id,
)
from tutelage.graphs.records.trace.schema import TABLES, TraceError, explained, open_for_writing

MAX_EXAMPLES: Final = 3
"""How many drawn states the trace keeps for each situation."""


class TraceWriter:
    """Writes a trace. Nothing is kept until `commit`, which ends an iteration's transaction.

    Every text is redacted on the way in. Each method raises TraceError where SQLite fails,
    TraceDamagedError where that is for good, and ValueError for a situation id that is not in
    0..2**63 - 1. Not for two threads at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._closed = False
        with explained(path):
            self._connection = open_for_writing(path)
            self._note_what_is_there()

    def lacks(self, situation_id: int) -> bool:
        """Whether the situation is not there yet. Ask before rendering its text."""
        return situation_id not in self._situations

    def situations(self, texts: Mapping[int, str]) -> None:
        """Add situations by situation id, numbered in this order; those already there stay."""
        if not texts:
            return
        clean = text_cleaner()
        rows = [
            (to_situation_id(situation_id), clean(text)) for situation_id, text in texts.items()
        ]
        self._insert(
            "INSERT OR IGNORE INTO situations (situation_id, text, number) VALUES"
            " (?, ?, (SELECT IFNULL(MAX(number), 0) + 1 FROM situations))",
            rows,
        )
        self._situations.update(texts)

    def calls(self, records: Iterable[CallRecord]) -> None:
        """Add requests to a provider, answered or not, and those that the cache replayed."""
        self._add(CallRecord, records)

    def advice(self, records: Iterable[AdviceRecord]) -> None:
        """Add advice that was given on situations."""
        self._add(AdviceRecord, records)

    def visits(self, records: Iterable[VisitRecord]) -> None:
        """Add an iteration's situations: at most one record for each (iteration, situation id)."""
        self._add(VisitRecord, records)

    def events(self, records: Iterable[EventRecord]) -> None:
        """Add things that happened."""
        self._add(EventRecord, records)

    def wants_example(self, situation_id: int) -> bool:
        """Whether another drawn state of the situation would be kept. Ask before drawing one."""
        return self._examples[situation_id] < MAX_EXAMPLES

    def examples(self, records: Iterable[ExampleRecord]) -> None:
        """Add drawn states, the first `MAX_EXAMPLES` of each situation; the others are dropped."""
        kept = []
        for record in records:
            if self.wants_example(record.situation_id):
                self._examples[record.situation_id] += 1
                kept.append(record)
        self._add(ExampleRecord, kept)

    def commit(self) -> None:
        """Keep all that was added since the last commit: one transaction for each pass."""
        with explained(self.path):
            self._connection.commit()

    def sync(self) -> None:
        """Wait until all commits are on the disk, which spares those of each iteration the wait."""
        with explained(self.path):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def cut(self, last_iteration: int, text_of: Callable[[int], str | None]) -> None:
        """Remove all that lies beyond an iteration, and what was not committed; for a resume.

        text_of: a situation's text, None for an id that stands for none now. Situations that have
        another text in the trace are removed with all that is there about them: a process that was
        killed may have numbered them after what is gone on from.
        """
        with explained(self.path):
            self._connection.rollback()
            with self._connection:
                for table in TABLES.values():
                    self._connection.execute(
                        f"DELETE FROM {table} WHERE iteration > ?", (last_iteration,)
                    )
                others = self._others(text_of)
                for table in TABLES.values():
                    self._connection.executemany(
                        f"DELETE FROM {table} WHERE situation_id = ?", others
                    )
                self._connection.executemany(
                    "DELETE FROM situations WHERE situation_id = ?", others
                )
                self._connection.execute(
                    "DELETE FROM situations WHERE situation_id NOT IN ("
                    " SELECT situation_id FROM calls UNION SELECT situation_id FROM advice UNION"
                    " SELECT situation_id FROM visits UNION SELECT situation_id FROM examples)"
                )
            self._note_what_is_there()

    def _others(self, text_of: Callable[[int], str | None]) -> list[tuple[int]]:
        """The ids of the situations that are not what they are in the trace."""
        clean = text_cleaner()
        found = []
        for situation_id, text in self._connection.execute(
            "SELECT situation_id, text FROM situations"
        ):
            now = text_of(situation_id)
            if now is None or clean(now) != text:
                found.append((situation_id,))
        return found

    def close(self) -> None:
        """Close the file, unless it is closed. What was not committed is dropped."""
        if self._closed:
            return
        self._closed = True
        with explained(self.path):
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

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        # A disk that is full, say, has been reported already, and is no news at the end.
        with suppress(TraceError) if exc_type is not None else nullcontext():
            self.close()

    def _add(self, kind: type[Record], records: Iterable[Record]) -> None:
        records = list(records)
        if not records:
            return
        names = [field.name for field in fields(kind) if field.name != "id"]
        marks = ", ".join("?" for _ in names)
        sql = f"INSERT INTO {TABLES[kind]} ({', '.join(names)}) VALUES ({marks})"
        self._insert(sql, to_rows(kind, records))

    def _insert(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        with explained(self.path):
            self._connection.executemany(sql, rows)

    def _note_what_is_there(self) -> None:
        """Situations and numbers of examples, which are asked for at every iteration."""
        counted = self._connection.execute("SELECT situation_id, COUNT(*) FROM examples GROUP BY 1")
        self._examples = Counter[int](dict(counted))
        there = self._connection.execute("SELECT situation_id FROM situations")
        self._situations = {situation_id for (situation_id,) in there}
