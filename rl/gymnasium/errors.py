"""Faults in the code that people write: each becomes one line that names the method and the place.

A task's methods and its environment are anybody's code, which may raise or return anything.
"""

from __future__ import annotations

import inspect
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import gymnasium

from tutelage.rl.errors import UserError, one_line
from tutelage.rl.tasks.spaces import WrongValueError

_OURS: Final = str(Path(__file__).parent)
_LIBRARY: Final = str(Path(gymnasium.__file__).parent)


class TaskCodeError(UserError):
    """A method of a user's task, or its environment, that failed or returned what it must not.

    The message names the method, the situation where it is known, and the line.
    """


def failure(
    owner: type, call: str, error: Exception, situation: str | None = None
) -> TaskCodeError:
    """The error to raise for what went wrong in a method of a class.

    call: the method's name, its argument in parentheses where that tells more. error: what the
    method raised, or a WrongValueError about what it returned.
    """
    if isinstance(error, WrongValueError):
        place, what = _defined_at(owner, call.partition("(")[0]), one_line(str(error))
    else:
        place, what = place_of(error, owner), described(error)
    where = "" if situation is None else f' in situation "{one_line(situation, "; ")}"'
    at = "" if place is None else f" at {place}"
    return TaskCodeError(f"{owner.__name__}.{call} failed{where}{at}: {what}")


def place_of(error: BaseException, owner: type | None = None) -> str | None:
    """The innermost line in the owner's files that an exception came through, as file:line.

    Where there is none, or no owner, the innermost that is neither Gymnasium's nor ours. None where
    there is none of these, as for a missing argument.
    """
    places = [
        (frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    files = set() if owner is None else _files_of(owner)
    own = [place for place in places if place[0] in files]
    found = own or [place for place in places if not place[0].startswith((_OURS, _LIBRARY))]
    return _shown(*found[-1]) if found else None


def described(error: BaseException) -> str:
    """An exception in one line: its class and its message."""
    message = one_line(str(error))
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _defined_at(owner: type, method: str) -> str | None:
    """Where a method begins; its decorators are left out where Python tells them apart."""
    function = inspect.unwrap(_function(getattr(owner, method, None)))
    code = getattr(function, "__code__", None)
    return None if code is None else _shown(code.co_filename, code.co_firstlineno)


def _function(attribute: Any) -> Any:
    return attribute.fget if isinstance(attribute, property) else attribute


def _files_of(owner: type) -> set[str]:
    """The files of a class and of its bases, but for Gymnasium's and ours."""
    members = [member for base in owner.__mro__ for member in vars(base).values()]
    codes = [getattr(_function(member), "__code__", None) for member in members]
    files = {code.co_filename for code in codes if code is not None}
    return {file for file in files if not file.startswith((_OURS, _LIBRARY))}


def _shown(file: str, line: int) -> str:
    """A file and its line, as seen from the working directory where it is in there."""
    path = Path(file)
    with suppress(OSError, ValueError):
        path = path.relative_to(Path.cwd())
    return f"{one_line(str(path))}:{line}"
