"""Errors that people can mend, those of the code that they bring, and texts for their messages."""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 300


class UserError(ValueError):
    """A mistake that people can mend; the message is one line."""


class TaskCodeError(UserError):
    """A user's own task or environment failed, or returned what it must not.

    The message names the method, the situation where it is known, and the line. No file of a run is
    to blame: once the code is mended, the run goes on.
    """


def is_writable(text: str) -> bool:
    """Whether a text is Unicode, as files and requests are: half a surrogate pair is not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def one_line(text: str, between: str = " ") -> str:
    """A text in one line of at most 300 characters, nothing in it but what can be printed."""
    joined = between.join(" ".join(line.split()) for line in text.splitlines() if line.strip())
    shown = "".join(c if c.isprintable() else "?" for c in joined)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
