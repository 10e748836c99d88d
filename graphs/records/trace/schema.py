"""The trace's SQLite file: its tables, how it is made and opened, and which rows can be read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Final

from tutelage.agents.client.call_record import CallRecord
from tutelage.agents.common.files import is_damage, sqlite_reason
from tutelage.agents.common.redact import redact
from tutelage.agents.common.visible import visible
from tutelage.graphs.records import versions
from tutelage.graphs.records.trace.records import (
    AdviceRecord,
    EventRecord,
    ExampleRecord,
    VisitRecord,
    json_columns,
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

_INDEXED: Final = {"calls": " INDEXED BY calls_listed"}
"""From where a table's rows are read that hold more than is listed of them."""

_BOUNDS: Final = {"INTEGER": (-(2**53), 2**53), "REAL": (-(10**9), 10**11)}
"""The least and the largest number of a column that is believed; no count, share, price or time of
a run comes near."""

_LEAST: Final = {"situation_id": 0, "number": 1, "id": 1}
"""The least number of the columns that name a row."""

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
        _check_tables(connection, path)
        for name, rows in _sound_rows().items():
            connection.execute(f"CREATE TEMP VIEW {name} AS {rows}")
    except BaseException:
        connection.close()
        raise
    return connection


def unsound_rows() -> Mapping[str, str]:
    """For each table the query that finds the rows which no writer of ours wrote, by their key."""
    keys = {"situations": "situation_id", "visits": "iteration"}
    return {
        table: f"SELECT {keys.get(table, 'id')} FROM main.{table}{_INDEXED.get(table, '')}"
        f" WHERE NOT ({_sound(table)})"
        for table in ("situations", *TABLES.values())
    }


def _sound_rows() -> Mapping[str, str]:
    """The views of rows that can be read, by name; every search is in these.

    SQLite keeps texts in columns of numbers, and the other way round, where somebody puts them
    there. JSON is looked at when it is read. `listed_calls` has no conversations.
    """
    whole = {
        f"sound_{table}": f"SELECT * FROM main.{table} WHERE {_sound(table)}"
        for table in ("situations", *TABLES.values())
    }
    conversations = json_columns(CallRecord)
    listed = ", ".join(name for name, *_ in _columns()["calls"] if name not in conversations)
    return {
        **whole,
        "listed_calls": f"SELECT {listed} FROM main.calls{_INDEXED['calls']}"
        f" WHERE {_sound('calls')}",
    }


def _sound(table: str) -> str:
    """The condition that a row has in each column what this program writes there; never NULL."""
    kinds = {name: kind for kind, name in TABLES.items()}
    unread = json_columns(kinds[table]) if table in kinds else []
    terms = []
    for name, kind, needed in _columns()[table]:
        if name in unread:
            continue
        term = f"typeof({name}) = '{kind.lower()}'"
        if name in _LEAST:
            term += f" AND {name} >= {_LEAST[name]}"
        elif kind in _BOUNDS:
            least, largest = _BOUNDS[kind]
            term += f" AND {name} BETWEEN {least} AND {largest}"
        terms.append(f"({term})" if needed else f"({name} IS NULL OR {term})")
    return " AND ".join(terms)


@cache
def _columns() -> Mapping[str, list[tuple[str, str, bool]]]:
    """Each table's columns: name, type, and whether there must be a value."""
    with closing(_own()) as own:
        return {
            table: [
                (name, kind, bool(needed or key))
                for _, name, kind, needed, _, key in own.execute(f"PRAGMA table_info({table})")
            ]
            for table in ("situations", *TABLES.values())
        }


@cache
def _own_parts() -> Mapping[str, tuple[str, str]]:
    with closing(_own()) as own:
        return _parts(own)


def _own() -> sqlite3.Connection:
    """An empty trace in memory."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(_SCHEMA)
    return connection


def _parts(connection: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    """What a file consists of: type and definition of each part by its name, SQLite's own left
    out."""
    found = connection.execute(
        "SELECT name, type, sql FROM main.sqlite_master"
        " WHERE sql IS NOT NULL AND NOT (type = 'table' AND name GLOB 'sqlite_*')"
    )
    return {str(name): (str(kind), " ".join(str(sql).split())) for name, kind, sql in found}


def _check_structure(connection: sqlite3.Connection, path: Path) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise TraceDamagedError(f"{path}: {' '.join(str(found).split())}")


def _check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """See that the file consists of a trace's tables and indexes, as this program makes them.

    A stranger's file may have a view in the place of a table, which never ends, or a trigger.
    """
    own, found = _own_parts(), _parts(connection)
    tables = {name for name, (kind, _) in own.items() if kind == "table"}
    missing = sorted(tables - found.keys())
    if missing:
        raise TraceDamagedError(f"{path}: it has no table {', '.join(missing)}")
    others = sorted(name for name in own.keys() | found.keys() if own.get(name) != found.get(name))
    if others and others[0] in found:
        kind, _ = found[others[0]]
        other = visible(redact(others[0]))
        raise TraceDamagedError(f"{path}: its {kind} {other} is not a trace's own")
    if others:
        raise TraceDamagedError(f"{path}: it has no index {', '.join(others)}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    try:
        versions.check_version(_version(connection), versions.TRACE, "trace version")
    except ValueError as error:
        raise TraceError(f"{path}: {error}") from error
