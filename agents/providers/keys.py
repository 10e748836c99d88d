"""Providers' keys: from the environment, or from a file of the user's own.

A key is sent in a header of each request, so white space around it, which a file of variables or a
mounted secret easily has, is taken off, and what no header can carry is refused.

`keys.toml` in the user's configuration folder (`~/.config/tutelage` on Linux) holds lines such as
`OPENAI_API_KEY = "..."`. What the environment has already goes first. A key becomes a variable of
this process, where every provider's package looks for it and where `agents.common.redact` finds it,
so that it is kept out of everything that is stored or shown.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tutelage.agents.common.redact import MIN_LENGTH, is_secret_name
from tutelage.rl.errors import UserError
from tutelage.rl.user_files import NotUtf8Error, config_folder, decoded

_OTHERS: Final = 0o077
"""The rights of everybody but the owner."""

_LARGEST: Final = 1 << 16
_LINE: Final = re.compile(r"at line (\d+)")


class KeyFileError(UserError):
    """A key file that cannot be used. The message is one line, and repeats nothing of the file."""


class UnusableKeyError(UserError):
    """A key of the environment's that no request can carry. The message does not repeat it."""


def key_file() -> Path:
    """Where the user's key file is, if there is one."""
    return config_folder() / "keys.toml"


def load_keys(path: Path | None = None) -> tuple[str, ...]:
    """Take over the keys that the environment lacks; the names of all that the file has.

    path: `key_file()` unless given. A missing file has none. Raises KeyFileError for a file that
    others can read, and for one that holds anything but keys.
    """
    path = path or key_file()
    keys = _checked(path, _read(path))
    for name, key in keys.items():
        if not os.environ.get(name):
            os.environ[name] = key
    return tuple(keys)


def _read(path: Path) -> dict[str, Any]:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise KeyFileError(f"key file {path} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        # Looked at after it was opened: what is checked is what is read.
        _check_rights(path, os.fstat(file.fileno()))
        content = file.read(_LARGEST)
    try:
        return tomllib.loads(decoded(content))
    except ValueError as error:
        found = _LINE.search(str(error))
        where = f", line {found[1]}" if found else ""
        why = f" ({error})" if isinstance(error, NotUtf8Error) else ""
        raise KeyFileError(
            f'key file {path}{where}: not of the form NAME = "KEY", one a line{why}'
        ) from None


def _check_rights(path: Path, status: os.stat_result) -> None:
    """Raises KeyFileError unless the file is the user's own, and no one else may read it."""
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"key file {path} is no plain file")
    if os.name != "posix":
        return
    if status.st_uid != os.getuid():
        raise KeyFileError(f"key file {path} belongs to another user; needed: a file of your own")
    if status.st_mode & _OTHERS:
        raise KeyFileError(
            f"key file {path} is open to others (mode {stat.S_IMODE(status.st_mode):03o}); "
            f"close it: chmod 600 {shlex.quote(str(path))}"
        )


def _checked(path: Path, values: dict[str, Any]) -> dict[str, str]:
    """The keys, stripped: names that are known to be secret, values too long to be a word."""
    keys = {}
    for name, value in values.items():
        if not is_secret_name(name):
            raise KeyFileError(
                f"key file {path}: {name} is no name of a key; allowed: variables that end in "
                "_API_KEY, _KEY, _TOKEN or _SECRET"
            )
        if not isinstance(value, str) or len(value.strip()) < MIN_LENGTH:
            raise KeyFileError(
                f"key file {path}: {name} is no text of at least {MIN_LENGTH} characters"
            )
        problem = _problem(value.strip())
        if problem is not None:
            raise KeyFileError(f"key file {path}: {name} {problem}")
        keys[name] = value.strip()
    return keys


def clean_keys(names: Iterable[str]) -> None:
    """Take white space off the keys in these variables of the environment; unset the empty ones.

    Raises UnusableKeyError.
    """
    for name in names:
        key = os.environ.get(name)
        if key is None:
            continue
        if not key.strip():
            del os.environ[name]
            continue
        problem = _problem(key.strip())
        if problem is not None:
            raise UnusableKeyError(f"the environment variable {name} {problem}")
        os.environ[name] = key.strip()


def _problem(key: str) -> str | None:
    """Why no header of a request can carry a key that was stripped; None where one can."""
    if len(key.split()) > 1:
        return "holds more than one word; needed: one key and nothing else"
    if not (key.isascii() and key.isprintable()):
        return (
            "holds signs that no request can carry (letters with accents, typographic quotes, "
            "control characters); copy the key anew"
        )
    return None
