"""The files of a run folder: written as a whole, looked at before they are opened, never lost.

What is damaged is renamed and kept (`set_aside`); what could lead out of the folder, or could be
larger than it should be, is refused before it is read (`check_entries`, `read_json_object`).
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from tutelage.rl.errors import UserError

JSON_LIMIT: Final = 1 << 28
"""Bytes of the largest JSON file that is read."""

JSON_LEVELS: Final = 100
"""Levels of the deepest JSON that is read: copying and writing it again takes Python several calls
a level, of which it allows a thousand."""

DEEPEST: Final = 32
"""How many folders may lie in each other where runs are looked for, or in a run; it has three."""

DAMAGED: Final = ".damaged-"
"""What follows the name of what was set aside, with a number after it."""

_SQLITE_SIDE_FILES: Final = ("-wal", "-shm", "-journal")
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


class RunFolderError(UserError):
    """A run folder that cannot be made, read or written; the message is one line."""


@contextmanager
def explained(action: str, path: Path) -> Iterator[None]:
    """Turns the system's errors into one line, a RunFolderError."""
    try:
        yield
    except OSError as error:
        raise RunFolderError(f"cannot {action} {path}: {error.strerror or error}") from error


def replace_file(target: Path, writer: Callable[[Path], None]) -> None:
    """Write a file so that a crash leaves the old one or the new one. Raises OSError.

    writer: fills the temporary file that it is given the path of; its errors pass through.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        writer(temporary)
        sync(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync(target.parent)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder to `NAME.damaged-1`, `-2`, ...; returns its new path.

    What SQLite keeps beside a file goes along: it would be applied to the file's successor.
    Raises OSError.
    """
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}{DAMAGED}{number}")):
        number += 1
    for ending in _SQLITE_SIDE_FILES:
        beside = path.with_name(f"{path.name}{ending}")
        if os.path.lexists(beside):
            beside.rename(aside.with_name(f"{aside.name}{ending}"))
    path.rename(aside)
    return aside


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite found the file damaged or no database, rather than in use or too large.

    By the primary code: the extended ones keep it in their low byte.
    """
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGE


def sqlite_reason(error: sqlite3.Error) -> str:
    """SQLite's message in one line. It reports a full disk as a disk error at times."""
    failed = (getattr(error, "sqlite_errorcode", 0) & 0xFF) == sqlite3.SQLITE_IOERR
    return f"{error} (the disk may be full)" if failed else " ".join(str(error).split())


def check_entries(folder: Path, names: tuple[str, ...]) -> None:
    """See that what a run folder's own names stand for lies in it. Raises RunFolderError.

    In a stranger's run, a link could lead to any file of the user, and a pipe would hang. The
    folder itself may be a link, and so may files that the run has nothing to do with.
    """
    with explained("read", folder):
        for entry in os.scandir(folder):
            if entry.name.startswith((".", *names)):
                path = Path(entry.path)
                _check_plain(path)
                for within in inside(path):
                    _check_plain(within)


def _check_plain(path: Path) -> None:
    """A plain file or a folder; what is gone by now is neither."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # a run that goes on replaces files and deletes old checkpoints
        return
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "no plain file"
        raise RunFolderError(f"cannot read {path}: it is {kind}; a run's files lie in its folder")


def inside(path: Path, levels: int = DEEPEST) -> Iterator[Path]:
    """All that lies in a folder and below it; no link is followed. Nothing for what is no folder.

    levels: how many folders may lie in each other. Raises RunFolderError for more, and OSError.
    """
    try:
        entries = list(os.scandir(path)) if path.is_dir() and not path.is_symlink() else []
    except FileNotFoundError:  # as above
        return
    if entries and not levels:
        raise RunFolderError(f"cannot read {path}: these folders are nested too deeply")
    for entry in entries:
        yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from inside(Path(entry.path), levels - 1)


def read_json_object(path: Path) -> dict[str, Any]:
    """A file's JSON object. Raises RunFolderError where it holds none, or is absurdly large."""
    with explained("read", path):
        size = path.stat().st_size
        if size > JSON_LIMIT:
            raise RunFolderError(f"{path} is damaged: {size:,} bytes are no JSON of a run")
        content = path.read_bytes()
    try:
        value = json.loads(content)
    except RecursionError:
        raise RunFolderError(f"{path} is damaged: its JSON is nested too deeply") from None
    except ValueError as error:
        raise RunFolderError(f"{path} is damaged: {error}") from error
    if is_deep(value):
        raise RunFolderError(f"{path} is damaged: its JSON is nested too deeply")
    if not isinstance(value, dict):
        raise RunFolderError(f"{path} is damaged: it holds no JSON object")
    return value


def is_deep(value: Any) -> bool:
    """Whether JSON is nested beyond `JSON_LEVELS`, which all that goes through it could fail at."""
    level, levels = [value], 0
    while level and levels <= JSON_LEVELS:
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        levels += 1
    return bool(level)


def cut_torn_line(file: BinaryIO) -> None:
    """Remove what follows the last line end: a write that a crash tore."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
