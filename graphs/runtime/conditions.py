"""Faults of the machine, each in one line: a full disk, missing rights, no memory left."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from tutelage.agents.common.invocation import hint
from tutelage.agents.common.settings import provider_and_address
from tutelage.graphs.config.config import RunConfig, without_own_fields
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.rl.errors import UserError

_CONDITIONS: Final = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENODEV,
        errno.ENOENT,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
        errno.ESTALE,
    }
)
"""Other errors of the system are faults of the program, and shown in full."""

_OUT_OF_MEMORY: Final = ("can't allocate memory", "out of memory", "can't start new thread")
"""How torch and Python's threads say it, which raise no MemoryError."""


class RunStoppedError(UserError):
    """A run that cannot go on for now; the message is one line and says how it goes on later."""


def stopped(error: Exception, folder: RunFolder) -> RunStoppedError | None:
    """What to tell of a run that an error ended; None for a fault of the program."""
    line = str(error) if isinstance(error, UserError) else machine_trouble(error)
    if line is None:
        return None
    if folder.config.is_file():
        again = hint("resume", folder.path, *_addresses(folder))
        line = f"{line}; once that is mended, go on with: {again}"
    return RunStoppedError(line)


def _addresses(folder: RunFolder) -> list[str]:
    """The addresses of a run's teachers as `resume` wants them named, by who started the run."""
    try:
        config = RunConfig.model_validate(without_own_fields(folder.read_config()))
    except ValueError:  # damaged: `resume` says so
        return []
    second = [provider_and_address(step)[1] for step in config.teacher.fallback]
    return [word for url in (config.base_url, *second) if url for word in ("--base-url", url)]


def machine_trouble(error: BaseException) -> str | None:
    """The condition of the machine that an error comes from, in one line; None for others."""
    if isinstance(error, OSError) and error.errno in _CONDITIONS:
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror}"
    if isinstance(error, sqlite3.OperationalError):
        return f"SQLite: {error}"
    if isinstance(error, MemoryError):
        return "out of memory; try fewer --num-envs or a smaller student"
    if isinstance(error, RuntimeError) and any(sign in str(error) for sign in _OUT_OF_MEMORY):
        return "out of memory; try fewer --num-envs or a smaller student"
    return None
