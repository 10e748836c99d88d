"""Files that people name to be written: nothing of theirs is lost to a slip of the hand."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tutelage.graphs.records.run_folder import RunFolder
from tutelage.rl.errors import UserError


class OutputError(UserError):
    """A file that must not be written; the message is one line."""


def check_output(file: Path, force: bool) -> None:
    """See that a file of this name may be written.

    force: what is there may be replaced. Never replaced is what is no plain file, such as a folder,
    a link or a device, nor a run's own file, be it there or not. Raises OutputError.
    """
    try:
        mode = file.lstat().st_mode
    except FileNotFoundError:
        mode = None
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror or error}") from error
    if mode is not None and not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link"}
        kind = kinds.get(stat.S_IFMT(mode), "no plain file")
        raise OutputError(f"{file} is {kind}; name a file to be written")
    run = _run_of(file)
    if run is not None:
        raise OutputError(f"{file} is one of the run's own files in {run}; name another file")
    if mode is not None and not force:
        raise OutputError(f"{file} is there already; --force overwrites it")


def _run_of(file: Path) -> Path | None:
    """The folder of the run whose own file this is, or would be; None for another."""
    place = Path(os.path.realpath(file.parent)) / file.name
    for folder in place.parents:
        run = RunFolder(folder)
        if os.path.lexists(run.config) and run.checkpoints.is_dir():
            return folder if run.is_own(place.relative_to(folder).parts[0]) else None
    return None
