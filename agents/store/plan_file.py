"""The plan cache's SQLite file: how it is made and opened, and how another program's is refused."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from langgraph.store.sqlite import SqliteStore

from tutelage.rl.errors import UserError

SUFFIX: Final = ".sqlite"
"""Only a file with this ending is renamed where it is damaged."""

_FILE_VERSION: Final = 1
"""SQLite's `user_version` of the file; 0 has the same tables. LangGraph's store migrates them."""

_NO_ROOM: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})


class CacheError(UserError):
    """The cache's file cannot be used. The message is one line."""


class CacheFullError(CacheError):
    """There is no room for the cache's file, or its disk fails."""


def open_store(path: Path, busy_s: float) -> SqliteStore:
    """The store in a file, which is made where there is none.

    busy_s: how long to wait while another process writes. Raises OSError, sqlite3.Error, and
    CacheError for a database of something else, or a newer program's.
    """
    if not path.exists():
        _create(path, busy_s)
    elif not (path.is_file() or path.is_dir()):  # SQLite would write beside a device
        raise CacheError(f"plan cache {path} is no plain file; choose another one")
    store = _connect(path, busy_s)
    try:
        _check_owner(store.conn, path)
        _set_up(store)
    except BaseException:
        store.conn.close()
        raise
    return store


def is_full(error: OSError | sqlite3.Error) -> bool:
    """Whether there was no room left. SQLite calls some of it an error of the disk."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _NO_ROOM


def _create(path: Path, busy_s: float) -> None:
    """A new file, complete before it gets its name: another run may be starting too."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    fresh = Path(name)
    try:
        store = _connect(fresh, busy_s)
        try:
            _set_up(store)
        finally:
            store.conn.close()
        _name_unless_taken(fresh, path)
    finally:
        for leftover in path.parent.glob(f"{fresh.name}*"):
            leftover.unlink(missing_ok=True)


def _connect(path: Path, busy_s: float) -> SqliteStore:
    connection = sqlite3.connect(
        path, timeout=busy_s, check_same_thread=False, isolation_level=None
    )
    # A power failure may cost the last answers, but never the file.
    connection.execute("PRAGMA synchronous = NORMAL")
    return SqliteStore(connection, deserializer=_loads)


def _check_owner(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if tables and "store_migrations" not in tables:
        raise CacheError(f"{path} is a database of something else than plans; choose another file")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > _FILE_VERSION:
        raise CacheError(
            f"plan cache {path}: version {version} is newer than {_FILE_VERSION},"
            " the newest this program knows; update the program"
        )


def _set_up(store: SqliteStore) -> None:
    """Bring the tables up to date. Write-ahead logging lets eight runs write within moments."""
    with suppress(sqlite3.OperationalError):  # another process is at it, and will do it
        store.conn.execute("PRAGMA journal_mode = WAL").fetchone()
    store.setup()
    (version,) = store.conn.execute("PRAGMA user_version").fetchone()
    if version < _FILE_VERSION:
        store.conn.execute(f"PRAGMA user_version = {_FILE_VERSION}")


def _name_unless_taken(fresh: Path, path: Path) -> None:
    """Give a file its name, unless another process was faster."""
    try:
        path.hardlink_to(fresh)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        fresh.replace(path)


def _loads(content: Any) -> dict[str, Any]:
    """A stored value; an empty one where it is not what was stored."""
    try:
        value = json.loads(content)
    except (TypeError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
