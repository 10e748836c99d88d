"""Mistakes that people can mend: each is one clear line and exit code 2, never a traceback."""

from __future__ import annotations

import traceback
from typing import Final

from tutelage.agents.common.redact import redact
from tutelage.graphs.runtime.conditions import machine_trouble
from tutelage.rl.errors import UserError

NO_ANSWER: Final = 3
"""The exit code of a run that came to its end without one usable answer of its teacher in time."""


def one_line(error: Exception) -> str | None:
    """What to tell people of an error; None for a fault of the program, to be shown in full.

    Without secrets: a key may have been typed where something else belongs.
    """
    line = str(error) if isinstance(error, UserError) else machine_trouble(error)
    return None if line is None else redact(line)


def in_full(error: BaseException) -> str:
    """The traceback of a fault of the program, without secrets: an error may quote anything."""
    return redact("".join(traceback.format_exception(error)))
