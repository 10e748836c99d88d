"""The trace's SQLite file: its tables, its migrations and how it is opened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tutelage.agents.common.files import is_damage, sqlite_reason
from tutelage.rl.errors import UserError

MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE situations (situation_id INTEGER PRIMARY KEY, text TEXT NOT NULL);
    CREATE TABLE calls (
        id INTEGER PRIMARY KEY,
        iteration INTEGER NOT NULL,
        env_steps INTEGER NOT NULL,
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
        prompt_tokens INTEGER,
        completion_tokens INTEGER,
        started_at REAL NOT NULL,
        latency_s REAL NOT NULL
    );
    CREATE INDEX calls_by_situation ON calls (situation_id);
    CREATE TABLE advice (
        id INTEGER PRIMARY KEY,
        iteration INTEGER NOT NULL,
        env_steps INTEGER NOT NULL,
        situation_id INTEGER NOT NULL,
        source TEXT NOT NULL,
        plans TEXT NOT NULL
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
        picture TEXT NOT NULL
    );
    CREATE INDEX examples_by_situation ON examples (situation_id);
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        iteration INTEGER NOT NULL,
        env_steps INTEGER NOT NULL,
        node TEXT NOT NULL,
        kind TEXT NOT NULL,
        message TEXT NOT NULL
    );
    """,
    """ ALTER TABLE calls ADD COLUMN cost_usd REAL; ALTER TABLE advice ADD COLUMN cache_key TEXT;
    """,
    """ ALTER TABLE examples ADD COLUMN inks TEXT; ALTER TABLE examples ADD COLUMN decision TEXT NOT
    NULL DEFAULT 'null'; """,
    # A number that a situation keeps while the run goes on; which node a call or a failure belongs
    # to; what was read out of each answer. Lists are read from the index alone: the rows of calls
    # hold whole conversations.
    """ ALTER TABLE situations ADD COLUMN number INTEGER; UPDATE situations SET number =
    ranked.number FROM (
        SELECT s.situation_id, ROW_NUMBER() OVER (ORDER BY v.first, s.situation_id) AS number
        FROM situations s LEFT JOIN (
            SELECT situation_id, MIN(iteration) AS first FROM visits GROUP BY situation_id
        ) v USING (situation_id)
    ) AS ranked WHERE ranked.situation_id = situations.situation_id;
    CREATE UNIQUE INDEX situations_by_number ON situations (number);
    ALTER TABLE calls ADD COLUMN node TEXT NOT NULL DEFAULT 'planner';
    UPDATE calls SET node = 'cache' WHERE status = 'cached';
    ALTER TABLE calls ADD COLUMN plans TEXT NOT NULL DEFAULT '[]';
    DROP INDEX calls_by_situation;
    CREATE INDEX calls_listed ON calls (
        situation_id, iteration, env_steps, node, status, attempt, provider, model,
        prompt_tokens, completion_tokens, started_at, latency_s, cost_usd, error
    );
    ALTER TABLE events ADD COLUMN situation_id INTEGER;
    UPDATE events SET situation_id = CAST(substr(message, 11) AS INTEGER)
        WHERE message GLOB 'situation [0-9]*';
    CREATE INDEX events_by_situation ON events (situation_id);
    """,
)
"""Script i brings a file from version i to i + 1. Append to it; never edit what was released."""

TABLES: Final = frozenset({"situations", "calls", "advice", "visits", "examples", "events"})

_BUSY_TIMEOUT_S: Final = 10.0


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
    """A connection to a trace that is made or brought up to date first.

    Raises sqlite3.Error where SQLite fails, TraceDamagedError where the file's structure is not
    whole, and TraceError for a file of a newer version.
    """
    # The nodes of a graph may run in different threads, one after the other.
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        # A stranger's file may hold triggers and views of its own.
        connection.execute("PRAGMA trusted_schema = OFF")
        _check_structure(connection, path)
        # A reader does not block the writer in WAL mode, nor the other way round. NORMAL keeps
        # every commit through a crash of the process and spares an fsync at each.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        migrate(connection, path, MIGRATIONS)
        _check_tables(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A read-only connection to a trace; its statements see what has been committed.

    Of a trace that an older program wrote, a copy that was brought up to date; the file stays.
    Raises sqlite3.Error where SQLite fails, TraceNotBegunError where there is no trace yet, and
    TraceError for a file of a newer version.
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
    try:
        version = _version(connection)
        _refuse_newer(path, version, len(MIGRATIONS))
        if version == 0:
            raise TraceNotBegunError(f"{path}: trace version 0: it is empty, or only just begun")
        return connection if version == len(MIGRATIONS) else _up_to_date_copy(connection, path)
    except BaseException:
        connection.close()
        raise


def _up_to_date_copy(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """The same rows in a temporary file of SQLite's own; the given connection is closed."""
    copy = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    try:
        # A stranger's file may hold triggers and views of its own.
        copy.execute("PRAGMA trusted_schema = OFF")
        connection.backup(copy)
        migrate(copy, path, MIGRATIONS)
    except BaseException:
        copy.close()
        raise
    connection.close()
    return copy


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    """Run the scripts that the file has not seen, each in a transaction with its version number.

    Raises TraceError for a file that has seen more than these, sqlite3.Error for a failed script,
    of which nothing is kept.
    """
    done = _version(connection)
    _refuse_newer(path, done, len(migrations))
    for version, script in enumerate(migrations[done:], start=done + 1):
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{script};\nPRAGMA user_version = {version};\nCOMMIT;"
            )
        except sqlite3.Error:
            connection.rollback()
            raise


def _check_structure(connection: sqlite3.Connection, path: Path) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise TraceDamagedError(f"{path}: {' '.join(str(found).split())}")


def _check_tables(connection: sqlite3.Connection, path: Path) -> None:
    missing = TABLES - {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    if missing:
        raise TraceDamagedError(f"{path}: it has no table {', '.join(sorted(missing))}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _refuse_newer(path: Path, version: int, known: int) -> None:
    if version > known:
        raise TraceError(
            f"{path}: trace version {version} is newer than version {known},"
            " the newest this program knows; update the program"
        )
