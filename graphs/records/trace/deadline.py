"""A bound on how long a trace is read: no file keeps a command for ever, and Ctrl-C ends it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tutelage.graphs.records.trace.schema import TraceError

READING_S: Final = 60.0
"""Seconds for one search; one among a hundred thousand calls takes about one."""

_LOOK_EVERY: Final = 10_000
"""Instructions of SQLite between two looks at the clock, which take it about a millisecond."""


class Deadline:
    """Ends each statement of a connection that takes longer than `READING_S`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._path = path
        self._end = time.monotonic() + READING_S
        connection.set_progress_handler(self._has_passed, _LOOK_EVERY)

    @contextmanager
    def statement(self) -> Iterator[None]:
        """Run a statement in this. Raises TraceError where it takes too long."""
        self._end = time.monotonic() + READING_S
        try:
            yield
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_INTERRUPT:
                raise
            if self._has_passed():
                line = f"{self._path}: reading took more than {READING_S:g} s and was given up"
                raise TraceError(line) from None
            # Python runs signals' handlers where it looks at the clock, and SQLite drops what
            # they raise.
            raise KeyboardInterrupt from None

    def _has_passed(self) -> bool:
        return time.monotonic() > self._end
