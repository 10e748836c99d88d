"""numba's decorator for this project's kernels, whose machine code is kept in a folder of files.

numba keeps it beside the source. An installation that cannot be written has no room there: then it
lies in the user's cache folder, or in a temporary one where that cannot be written either.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numba
from numba import njit

from tutelage.rl.user_files import cache_folder, can_be_written

__all__ = ["njit"]

_VARIABLE: Final = "NUMBA_CACHE_DIR"


def _place() -> str:
    """Where the machine code is to be kept; empty for beside the source."""
    said = os.environ.get(_VARIABLE, "")
    if said and not said.startswith("~") and can_be_written(Path(said)):
        return said
    beside = Path(__file__).with_name("__pycache__")
    return "" if can_be_written(beside) else str(cache_folder() / "kernels")


# For numba, which has read its variables by now, and for the processes that this one starts.
numba.config.CACHE_DIR = os.environ[_VARIABLE] = _place()
