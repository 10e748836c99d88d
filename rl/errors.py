"""Errors that people can mend, those of the code that they bring, and texts for their messages.

`did_you_mean` is what every refusal of a name says of those that are near it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def did_you_mean(name: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """` (did you mean 'A' or 'B'?)` with the nearest of the names; empty where none is near.

    cutoff: how near, as `difflib` has it: 0 takes any, 1 the name itself. Case does not count.
    """
    return meant(nearest(name, names, cutoff))


def meant(names: Sequence[str]) -> str:
    """` (did you mean 'A' or 'B'?)` of names that are near what was given; empty without any."""
    return f" (did you mean {' or '.join(map(repr, names))}?)" if names else ""


def nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """At most three of the names, the nearest first; see `did_you_mean`."""
    from difflib import get_close_matches  # here and not above: only what is refused needs it

    whole = {each.lower(): each for each in names}
    return [whole[each] for each in get_close_matches(name.lower(), whole, n=3, cutoff=cutoff)]


def one_of(name: str, names: Iterable[str]) -> str:
    """What to say after a name that is none of a few: the nearest of them, and all."""
    allowed = list(names)
    return f"{did_you_mean(name, allowed)}; allowed: {', '.join(allowed)}"


def text_of(error: BaseException) -> str:
    """What an error says. Where its own code fails over that, as with odd arguments: its type."""
    try:
        return str(error)
    except Exception:
        return f"a {type(error).__name__} that cannot be put into words"
