"""Standard output and error in whatever encoding they have: what it lacks is written in ASCII.

A console of Windows, a pipe under `LC_ALL=C` or a log in Latin-1 know no bars, dots and arrows; a
file's name may be no text at all. Neither may end a command.
"""

from __future__ import annotations

import codecs
import io
import sys
from contextlib import suppress
from typing import Final

_ERRORS: Final = "tutelage.in_ascii"
_IN_ASCII: Final = {
    **dict.fromkeys("─━═┄┈╌–—", "-"),  # noqa: RUF001 - dashes among lines
    **dict.fromkeys("│┃║┆┊╎", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼┏┓┗┛╭╮╰╯╋╸╺╴╶╷╵", "+"),
    **dict.fromkeys("▁▂▃", "."),
    **dict.fromkeys("▄▅▏▎▍", ":"),
    **dict.fromkeys("▆▇█▌▋▊▉■", "#"),
    **dict.fromkeys("→▶▸", ">"),
    **{"◀": "<", "▲": "^", "↑": "^", "▼": "v", "↓": "v"},
    **{"●": "*", "○": "o", "✓": "+", "✗": "x", "·": "-", "…": "~", "µ": "u", "±": "~"},
}
"""One sign for each, so that tables stay in line; a question mark for all others."""


def write_anything() -> None:
    """Let nothing that is written to standard output or error raise UnicodeEncodeError."""
    codecs.register_error(_ERRORS, _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file that became a terminal beneath its stream has no place to be told any more.
            with suppress(OSError):
                stream.reconfigure(errors=_ERRORS)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_IN_ASCII.get(sign, "?") for sign in lacking), error.end
