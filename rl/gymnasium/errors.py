"""Faults in the code that people write: each becomes one line that names the method and the place.

A task's methods and its environment are anybody's code, which may raise or return anything.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any, Final

import gymnasium

from tutelage.rl.errors import TaskCodeError, one_line, text_of
from tutelage.rl.tasks.own_code import own_line, shown_path
from tutelage.rl.tasks.spaces import WrongValueError

_OURS: Final = f"{Path(__file__).parent}{os.sep}"
_LIBRARY: Final = f"{Path(gymnasium.__file__).parent}{os.sep}"


def failure(
    owner: type, call: str, error: Exception, situation: str | None = None
) -> TaskCodeError:
    """The error to raise for what went wrong in a method of a class.

    call: the method's name, its argument in parentheses where that tells more. error: what the
    method raised, or a WrongValueError about what it returned.
    """
    if isinstance(error, WrongValueError):
        place, what = _defined_at(owner, call.partition("(")[0]), one_line(text_of(error))
    else:
        place, what = place_of(error, owner), described(error)
    where = "" if situation is None else f' in situation "{one_line(situation, "; ")}"'
    at = "" if place is None else f" at {place}"
    return TaskCodeError(f"{owner.__name__}.{call} failed{where}{at}: {what}")


def place_of(error: BaseException, owner: type | None = None) -> str | None:
    """The innermost line of somebody's own code that an exception came through, as FILE:LINE.

    owner: the class in whose files it is looked for first. None where the exception comes from no
    code, as for a missing argument.
    """
    line = own_line(error, () if owner is None else _files_of(owner))
    return None if line is None else _shown(*line)


def described(error: BaseException) -> str:
    """An exception in one line: its class and its message."""
    message = one_line(text_of(error))
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
    return f"{one_line(str(shown_path(file)))}:{line}"
