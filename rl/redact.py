"""Keeps secrets out of what is stored or shown: API keys, tokens and bearer headers.

Messages and settings should hold none, but a provider's error can echo the key it was sent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Final

REDACTED: Final = "[redacted]"

_NAME_ENDINGS: Final = ("_API_KEY", "_TOKEN", "_SECRET")
_MIN_LENGTH: Final = 8
"""Shorter values (`none`, `local`, `1`) are placeholders that also occur as ordinary words."""

_KEY_SHAPES: Final = re.compile(r"sk-[A-Za-z0-9_-]{16,}|Bearer \S+")


def redactor() -> Callable[[str], str]:
    """A function that redacts one text, with the environment's secrets as they are now.

    For a batch of texts: the environment is read once instead of for every text.
    """
    known = _known_secrets()

    def redact_text(text: str) -> str:
        if known is not None:
            # A pass of its own: a key shape must not bite off half of a known secret.
            text = known.sub(REDACTED, text)
        return _KEY_SHAPES.sub(REDACTED, text)

    return redact_text


def redact(text: str) -> str:
    """The text with every secret replaced by `[redacted]`.

    A secret is the value (8 characters or more) of an environment variable whose name ends in
    `_API_KEY`, `_TOKEN` or `_SECRET`, or anything of the shape `sk-...` or `Bearer ...`.
    """
    return redactor()(text)


def _known_secrets() -> re.Pattern[str] | None:
    values = {v.strip() for name, v in os.environ.items() if name.upper().endswith(_NAME_ENDINGS)}
    secrets = sorted((v for v in values if len(v) >= _MIN_LENGTH), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, secrets))) if secrets else None
