"""Untrusted text made visible: what would move a cursor, or show one thing and mean another."""

from __future__ import annotations

import re
from typing import Final

# Everything that moves the cursor or starts an escape sequence; tabs and line ends are harmless.
# The bidirectional controls could show one thing and mean another. Lone surrogates, as in the name
# of a file that is no UTF-8, cannot be written at all.
_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with a `·` for each character that is not to be let through."""
    return _UNSAFE.sub("·", text)
