"""The trace's SQLite file: its tables, and how it is made and opened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from tutelage.agents.client.call_record import CallRecord
from tutelage.agents.common.files import is_damage, sqlite_reason
from tutelage.graphs.records import versions
from tutelage.graphs.records.trace.records import (
    AdviceRecord,
    EventRecord,
    ExampleRecord,
    VisitRecord,
)
from tutelage.rl.errors import UserError

_SCHEMA: Final = """
    CREATE TABLE situations (
        situation_id INTEGER PRIMARY KEY,
        number INTEGER NOT NULL,
        text TEXT NOT NULL
    );
    CREATE UNIQUE INDEX situations_by_number ON situations (number);
    CREATE TABLE calls (
        id INTEGER PRIMARY KEY,
        iteration INTEGER NOT NULL,
        env_steps INTEGER NOT NULL,
        node TEXT NOT NULL,
        situation_id INTEGER NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        status TEXT NOT NULL,
        error TEXT,
        messages TEXT NOT NULL,
        tools TEXT NOT NULL,
        settings TEXT NOT NULL,
        answers TEXT NOT NULL,
        plans TEXT NOT NULL,
        prompt_tokens INTEGER,
        completion_tokens INTEGER,
        started_at REAL NOT NULL,
        latency_s REAL NOT NULL,
        cost_usd REAL
    );
    CREATE INDEX calls_listed ON calls (
        situation_id, iteration, env_steps, node, status, attempt, provider, model,
        prompt_tokens, completion_tokens, started_at, latency_s, cost_usd, error
    );
    CREATE TABLE advice (
        id INTEGER PRIMARY KEY,
        iteration INTEGER NOT NULL,
        env_steps INTEGER NOT NULL,
        situation_id INTEGER NOT NULL,
        source TEXT NOT NULL,
        plans TEXT NOT NULL,
        cache_key TEXT
    );
    CREATE INDEX advice_by_situation ON advice (situation_id);
    CREATE TABLE visits (
        iteration INTEGER NOT NULL,
        situation_id INTEGER NOT NULL,
        visits INTEGER NOT NULL,
        coverage REAL NOT NULL,
        agreement REAL,
        episodes INTEGER NOT NULL,
        successes INTEGER NOT NULL,
        PRIMARY KEY (iteration, situation_id)
    ) WITHOUT ROWID;
    CREATE INDEX visits_by_situation ON visits (situation_id);
    CREATE TABLE examples (
        id INTEGER PRIMARY KEY,
        iteration INTEGER NOT NULL,
        situation_id INTEGER NOT NULL,
        env INTEGER NOT NULL,
        picture TEXT NOT NULL,
        inks TEXT,
        decision TEXT NOT NULL
    );
    CREATE INDEX examples_by_situation ON examples (situation_id);
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        iteration INTEGER NOT NULL,
        env_steps INTEGER NOT NULL,
        node TEXT NOT NULL,
        kind TEXT NOT NULL,
        message TEXT NOT NULL,
        situation_id INTEGER
    );
    CREATE INDEX events_by_situation ON events (situation_id);
"""
"""Lists are read from the index `calls_listed` alone: the rows of calls hold conversations."""

TABLES: Final[Mapping[type, str]] = {
    CallRecord: "calls",
    AdviceRecord: "advice",
    VisitRecord: "visits",
    ExampleRecord: "examples",
    EventRecord: "events",
}
"""The tables of the records. Their columns are the records' fields, under the same names."""

_BUSY_TIMEOUT_S: Final = 10.0
_text: Final = partial(str, encoding="utf-8", errors="replace")
"""Reads a text. A flipped bit must not hide all the rest of a trace."""


class TraceError(UserError):
    """A trace that cannot be opened, read or written; the message is one line."""


class TraceDamagedError(TraceError):
    """A file that is no trace any more, and will not be one again by itself."""


class TraceNotBegunError(TraceError):
    """No trace is there yet, or one that is only just being made."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns SQLite's errors, and JSON that is none, into one line that names the file."""
    try:
        yield
    except sqlite3.Error as error:
        kind = TraceDamagedError if is_damage(error) else TraceError
        raise kind(f"{path}: {sqlite_reason(error)}") from error
    except json.JSONDecodeError as error:
        raise TraceError(f"{path}: damaged JSON in the trace ({error})") from error


def open_for_writing(path: Path) -> sqlite3.Connection:
    """A connection to a trace, which is made where there is none.

    Raises sqlite3.Error where SQLite fails, TraceDamagedError where the file's structure is not
    whole, and TraceError for a file of another version.
    """
    # The nodes of a graph may run in different threads, one after the other.
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
    connection.text_factory = _text
    try:
        # A stranger's file may hold triggers and views of its own.
        connection.execute("PRAGMA trusted_schema = OFF")
        _check_structure(connection, path)
        # A reader does not block the writer in WAL mode, nor the other way round. NORMAL keeps
        # every commit through a crash of the process and spares an fsync at each.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if _version(connection) == 0:
            connection.executescript(
                f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version = {versions.TRACE};COMMIT;"
            )
        _check_version(connection, path)
        _check_tables(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A read-only connection to a trace; its statements see what has been committed.

    Raises sqlite3.Error where SQLite fails, TraceNotBegunError where there is no trace yet, and
    TraceError for a file of another version.
    """
    if not path.is_file():
        raise TraceNotBegunError(f"{path}: there is no trace here")
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = _text
    try:
        if _version(connection) == 0:
            raise TraceNotBegunError(f"{path}: trace version 0: it is empty, or only just begun")
        _check_version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_structure(connection: sqlite3.Connection, path: Path) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise TraceDamagedError(f"{path}: {' '.join(str(found).split())}")


def _check_tables(connection: sqlite3.Connection, path: Path) -> None:
    missing = {"situations", *TABLES.values()} - {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    if missing:
        raise TraceDamagedError(f"{path}: it has no table {', '.join(sorted(missing))}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    try:
        versions.check_version(_version(connection), versions.TRACE, "trace version")
    except ValueError as error:
        raise TraceError(f"{path}: {error}") from error
