"""Where code of one's own is imported from: Python's path, and the working directory last."""

from __future__ import annotations

import errno
import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tutelage.rl.user_files import read_plain


@contextmanager
def working_directory_on_path() -> Iterator[None]:
    """The working directory as the last place to import from, while code of one's own runs.

    At no other time; and not at all inside a run folder, whose files may be anybody's.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was deleted
        yield
        return
    if str(here) in sys.path or _is_in_run_folder(here):
        yield
        return
    sys.path.append(str(here))  # last: a folder there must not stand before a package
    importlib.invalidate_caches()  # a file may have been written a moment ago
    try:
        yield
    finally:
        sys.path.remove(str(here))


def modules_here() -> list[str]:
    """The names of the modules in the working directory, where it is one to import from."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was deleted
        return []
    return [] if _is_in_run_folder(here) else sorted(file.stem for file in here.glob("*.py"))


def run_folder_on_the_way(module_name: str) -> Path | None:
    """The run folder that a dotted name leads into, from the working directory or Python's path.

    Such as `runs.first.evil`: a folder needs no `__init__.py` to be looked through.
    """
    parts = module_name.split(".")
    for entry in (".", *sys.path):
        for depth in range(1, len(parts) + 1):
            if _is_run_folder(folder := Path(entry, *parts[:depth])):
                return folder.absolute()
    return None


def searched(here: bool) -> str:
    """Where a module was looked for, in words. here: whether in the working directory too."""
    path = "on Python's path"
    if not here:
        return path
    try:
        folder = Path.cwd()
    except FileNotFoundError:
        return f"{path}; the working directory was deleted"
    if _is_in_run_folder(folder):
        return f"{path} and not in {folder}, for files in a run folder may be anybody's"
    return f"in {folder} and {path}"


def _is_in_run_folder(place: Path) -> bool:
    """Whether a folder or one above it holds a run's configuration."""
    return any(_is_run_folder(folder) for folder in (place, *place.parents))


def _is_run_folder(folder: Path) -> bool:
    """Whether it holds a run's configuration, a damaged one too."""
    try:
        content = read_plain(folder / "config.json")
    except OSError as error:
        return error.errno == errno.EFBIG  # who made it so large did not want it to be read
    with suppress(ValueError, RecursionError, TypeError):  # no JSON, no object
        # Read as JSON too, in which a name can be written in many ways.
        return b'"schema_version"' in content or "schema_version" in json.loads(content)
    return False
