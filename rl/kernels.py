"""numba's decorator for this project's kernels, whose machine code is kept in a folder of files.

numba keeps it beside the source. An installation that cannot be written has no room there: then it
lies in the user's cache folder, or in a temporary one where that cannot be written either.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import numba
from numba import njit

from tutelage.rl.user_files import cache_folder, can_be_written

__all__ = ["confirm", "is_compiled", "njit"]

_VARIABLE: Final = "NUMBA_CACHE_DIR"


def _place() -> str:
    """Where the machine code is to be kept; empty for beside the source."""
    said = os.environ.get(_VARIABLE, "")
    if said and not said.startswith("~") and can_be_written(Path(said)):
        return said
    beside = Path(__file__).with_name("__pycache__")
    return "" if can_be_written(beside) else str(cache_folder() / "kernels")


def is_compiled(kernel: Any) -> bool:
    """Whether machine code of a kernel is kept, of its source as it is now."""
    changed = Path(kernel.py_func.__code__.co_filename).stat().st_mtime
    return any(index.stat().st_mtime >= changed for index in _indices(kernel))


def confirm(kernel: Any) -> None:
    """Note that what is kept is of the source as it is: numba goes by content, not by date."""
    for index in _indices(kernel):
        index.touch()


def _indices(kernel: Any) -> list[Path]:
    """numba's files about a kernel's machine code."""
    function = kernel.py_func
    pattern = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}-*.nbi"
    return list(Path(kernel.stats.cache_path).glob(pattern))


# For numba, which has read its variables by now, and for the processes that this one starts.
os.environ[_VARIABLE] = _place()
numba.config.CACHE_DIR = os.environ[_VARIABLE]  # type: ignore[attr-defined]  # set as it loads
