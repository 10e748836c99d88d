"""The one base class of errors that people can mend, and texts in one line for their messages."""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 300


class UserError(ValueError):
    """A mistake that people can mend; the message is one line."""


def one_line(text: str, between: str = " ") -> str:
    """A text in one line of at most 300 characters, nothing in it but what can be printed."""
    joined = between.join(" ".join(line.split()) for line in text.splitlines() if line.strip())
    shown = "".join(c if c.isprintable() else "?" for c in joined)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
