"""Untrusted text made visible: what would move a cursor, or show one thing and mean another."""

from __future__ import annotations

import re
from typing import Final

# Everything that moves the cursor or starts an escape sequence; tabs and line ends are harmless.
# What is not seen itself and orders, joins, parts or hides what is: the bidirectional controls and
# marks, line and paragraph separators, signs without width, and the tags and variation selectors
# that a whole hidden text can be written in. Lone surrogates, as in the name of a file that is no
# UTF-8, cannot be written at all.
_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    """The text with a `·` for each character that is not to be let through."""
    return _UNSAFE.sub("·", text)
