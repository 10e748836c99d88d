"""numba's decorator for this project's kernels, whose machine code is kept in a folder of files.

numba keeps it beside the source. An installation that cannot be written has no room there: then it
lies in the user's cache folder, or in a temporary one where that cannot be written either. No run
depends on what lies there: what is damaged is set aside and compiled again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

from tutelage.rl.user_files import cache_folder, can_be_written, say_once

__all__ = ["confirm", "is_compiled", "njit"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_VARIABLE: Final = "NUMBA_CACHE_DIR"
_DIGEST_BYTES: Final = hashlib.sha256().digest_size

_damaged: Final[list[Path]] = []
"""Files that this process has found damaged."""


def njit(**options: Any) -> Callable[[_Function], _Function]:
    """numba's decorator, and its options. What `cache=True` keeps is looked over before it runs."""

    def compiled(function: _Function) -> _Function:
        kernel: Any = numba.njit(**options)(function)
        if options.get("cache"):
            kernel._cache = _KeptCode(function)
        decorated: _Function = kernel
        return decorated

    return compiled


class _KeptCode(FunctionCache):
    """numba's cache of a kernel's machine code, in files that are looked over."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        place = self._impl.locator
        self._cache_file = _CheckedFiles(
            place.get_cache_path(), self._impl.filename_base, place.get_source_stamp()
        )


class _CheckedFiles(IndexDataCacheFile):
    """numba's files about one kernel, with a digest at the end of each; numba reads no further.

    Without it some damage would not be seen: zeros in the place of a block, as a power failure
    leaves them, are read as machine code, and end the process.
    """

    def __init__(self, *place: Any) -> None:
        super().__init__(*place)
        self._version = f"{self._version} with digests"  # others are compiled anew, without a word

    def save(self, key: Any, data: Any) -> None:
        try:
            super().save(key, data)
        except OSError as error:  # a full disk: the run has what it needs
            say_once(f"{self._cache_path}: machine code cannot be kept ({error.strerror})")

    def _dump(self, value: Any) -> bytes:
        content: bytes = super()._dump(value)
        return content + hashlib.sha256(content).digest()

    def _load_index(self) -> dict[Any, str]:
        try:
            index: dict[Any, str] = super()._load_index()
            return index
        except Exception:  # damaged bytes raise anything
            _set_aside(Path(self._index_path))
            return {}

    def _load_data(self, name: str) -> Any:
        path = Path(self._data_path(name))
        if not path.exists():
            return None
        try:
            content = path.read_bytes()
            if hashlib.sha256(content[:-_DIGEST_BYTES]).digest() == content[-_DIGEST_BYTES:]:
                return super()._load_data(name)
        except Exception:
            pass  # whole, but of an older NumPy, or not to be read at all
        _set_aside(path)
        return None


def _set_aside(path: Path) -> None:
    """Take a damaged file out of the way, beside where it was, and say so once in a process."""
    with suppress(OSError):  # somebody else has done it, or it cannot be: it is passed over
        path.replace(path.with_name(f"{path.name}.damaged"))
    _damaged.append(path)
    say_once(f"{_damaged[0]}: machine code is damaged; all such is set aside and compiled again")


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
