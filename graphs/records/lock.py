"""One process at a time in a run folder, and deleting one in which none is at work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from tutelage.agents.common.files import RunFolderError, explained, inside
from tutelage.graphs.records.run_folder import RunFolder

_LOCK: Final = ".lock"
_PATIENCE_S: Final = 0.3
"""Whoever only looks (`in_use`) has the lock for an instant, which must not stop a run."""


@contextmanager
def locked(folder: RunFolder) -> Iterator[None]:
    """Keep other processes out of the folder; the lock goes with the process, however it ends.

    Raises RunFolderError where another has it, or where none can be made.
    """
    lock = FileLock(folder.path / _LOCK, timeout=_PATIENCE_S)
    try:
        lock.acquire()
    except Timeout:
        raise RunFolderError(f"{folder.path} is in use: another process runs there") from None
    except OSError as error:
        raise RunFolderError(f"cannot lock {folder.path}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def in_use(path: Path) -> bool:
    """Whether a process is at work in a run folder. Writes nothing and waits for nobody."""
    import fcntl  # here and not above: a system without it can still make runs

    try:
        descriptor = os.open(path / _LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def check_deletable(path: Path) -> None:
    """Raises RunFolderError for a link, what is no run by all signs, and a run that is going on."""
    if path.is_symlink():
        raise RunFolderError(f"{path} is a symbolic link; name the run folder that it leads to")
    folder = RunFolder.open(path)
    folder.check_signs()
    with explained("read", path):
        for _ in inside(path):
            pass  # it can be deleted as a whole: its folders are not nested too deeply
    with locked(folder):
        return  # nobody else is there


def delete_run(path: Path) -> None:
    """Delete a run folder; what its links lead to stays. Raises RunFolderError as above."""
    check_deletable(path)
    path = path.resolve()  # `.` has no name
    aside = path.with_name(f".{path.name}.deleted-{os.getpid()}")
    with explained("delete", path):
        with locked(RunFolder(path)):
            # At once out of the way: a deletion that is cut short leaves no half run.
            path.rename(aside)
        shutil.rmtree(aside)
