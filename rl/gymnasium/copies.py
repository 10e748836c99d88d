"""Copies of observations and infos, so that nobody changes what somebody else has.

What is kept of an environment is a copy whose arrays cannot be written to. So these can be shared
by all who get it handed on; the containers around them, which cannot be locked, are made anew.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from types import NoneType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_UNCHANGING: Final = (NoneType, str, int, float, np.generic)


def kept(value: Any) -> Any:
    """A copy of an observation or an info that stays as it is; its arrays cannot be written to."""
    return _copy(value, _locked)


def handed_on(value: Any) -> Any:
    """The same of what was `kept`, to be changed at will: it shares arrays alone."""
    if type(value) is np.ndarray and not value.dtype.hasobject:
        return value  # as most observations are: nothing more is to be done
    return _copy(value, _shared)


def _copy(value: Any, of_array: Callable[[NDArray[Any]], NDArray[Any]]) -> Any:
    kind = type(value)
    if kind is np.ndarray and not value.dtype.hasobject:
        return of_array(value)
    if isinstance(value, _UNCHANGING):
        return value
    if kind is dict:
        return {key: _copy(each, of_array) for key, each in value.items()}
    if kind is list or kind is tuple:
        return kind([_copy(each, of_array) for each in value])
    return deepcopy(value)


def _locked(array: NDArray[Any]) -> NDArray[Any]:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _shared(array: NDArray[Any]) -> NDArray[Any]:
    return array
