"""The user's own files: where they and what is cached lie, and how a text of theirs is read.

Containers often run as a user who is not known by name, whose home is missing or cannot be written.
Then a folder of that user alone, in the system's temporary folder, stands in for both.
"""

from __future__ import annotations

import atexit
import codecs
import errno
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final

from platformdirs import user_cache_path, user_config_path

from tutelage.rl.errors import UserError

_PROGRAM: Final = "tutelage"
_OTHERS: Final = 0o077
"""The rights of everybody but the owner."""

LARGEST_TEXT: Final = 1 << 24
"""Bytes of the largest file that people write and that is read as a whole."""

_MARKS: Final = {
    codecs.BOM_UTF32_LE: "UTF-32",  # first: it begins as UTF-16's does
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class NoFolderError(UserError):
    """There is no folder that can be written, not even a temporary one."""


class NotUtf8Error(UserError):
    """A text in another encoding. line: where that shows, from 1. byte: which one shows it.

    The message names no file, and repeats nothing of it. byte is None where the encoding is known.
    """

    def __init__(self, message: str, line: int = 1, byte: int | None = None) -> None:
        super().__init__(f"{message}; save it as UTF-8")
        self.line, self.byte = line, byte


def cache_folder() -> Path:
    """Where what was computed once is kept: the user's cache folder (`XDG_CACHE_HOME`).

    Where that cannot be written, a temporary one, which is said in a line on standard error. It is
    not made here. Raises NoFolderError.
    """
    own = _folder(user_cache_path)
    if own is not None and can_be_written(own):
        return own
    instead = temporary_folder()
    trouble = "there is no home folder" if own is None else f"{own} cannot be written"
    say_once(
        f"{trouble}: what is cached lies in {instead}; set XDG_CACHE_HOME to a folder that lasts"
    )
    return instead


def config_folder() -> Path:
    """Where the user's own keys, prices and prompts are, if there are any.

    A temporary folder where there is none and none can be made. Raises NoFolderError.
    """
    own = _folder(user_config_path)
    if own is not None and (_is_folder(own) or can_be_written(own)):
        return own
    return temporary_folder() / "config"


@cache
def temporary_folder() -> Path:
    """A folder of the user's alone within the system's temporary one. Raises NoFolderError.

    Its name is always the same, so that the next command finds what this one has cached. Anybody
    may have made something of that name, and compiled code is run from there: what is not the
    user's own and closed to others is not used, but a fresh folder, deleted at the end.
    """
    try:
        within = Path(tempfile.gettempdir())
        if hasattr(os, "getuid"):
            lasting = within / f"{_PROGRAM}-{os.getuid()}"
            if not os.path.lexists(lasting):
                lasting.mkdir(mode=0o700, exist_ok=True)
            if _is_private(lasting):
                return lasting
        fresh = Path(tempfile.mkdtemp(prefix=f"{_PROGRAM}-"))
    except OSError as error:
        raise NoFolderError(
            f"no folder can be written here, not even a temporary one ({error.strerror}); "
            "set TMPDIR to one"
        ) from error
    atexit.register(shutil.rmtree, fresh, ignore_errors=True)
    return fresh


def open_plain(path: Path) -> BinaryIO:
    """A plain file, opened to be read. Raises OSError, for anything else too.

    A pipe would be waited for without end, and a device may have no end.
    """
    if not path.is_dir():  # which says so itself, below
        _see_that_it_is_plain(path.stat())
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        _see_that_it_is_plain(os.fstat(descriptor))  # that is the one which is read
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_plain(path: Path, largest: int = LARGEST_TEXT) -> bytes:
    """The content of a plain file of at most so many bytes. Raises OSError."""
    with open_plain(path) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, f"it has more than {largest:,} bytes")
    return content


def _see_that_it_is_plain(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no plain file")


def decoded(content: bytes) -> str:
    """A text file's content as text, line ends as `\\n`, without a byte order mark.

    Raises NotUtf8Error.
    """
    for mark, name in _MARKS.items():
        if content.startswith(mark):
            raise NotUtf8Error(f"the text is {name}")
    if b"\0" in content[:2]:
        raise NotUtf8Error("the text looks like UTF-16")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise NotUtf8Error("the text is no UTF-8", line, error.object[error.start]) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


@cache
def say_once(line: str) -> None:
    """Say it on standard error, the first time."""
    print(f"{_PROGRAM}: {line}", file=sys.stderr)


def can_be_written(folder: Path) -> bool:
    """Whether a folder can be written, or be made if it is not there."""
    try:
        nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    except (OSError, StopIteration):
        return False


def _folder(find: Callable[[str], Path]) -> Path | None:
    """The folder of this program that a function of platformdirs finds.

    None where nobody knows whose home it is in: newer releases raise, older ones leave the `~`.
    """
    try:
        folder = find(_PROGRAM)
    except RuntimeError:
        return None
    return None if str(folder).startswith("~") else folder


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # within what may not even be looked into
        return False


def _is_private(folder: Path) -> bool:
    """Whether it is a folder, no link to one, of this user, which nobody else may look into."""
    status = folder.lstat()
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.getuid()
        and not status.st_mode & _OTHERS
    )
