"""Keeps secrets out of what is stored or shown: API keys, tokens and bearer headers.

Messages and settings should hold none, but a provider's error can echo the key it was sent.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

Json = Any
"""Anything that `json.dumps` writes."""

REDACTED: Final = "[redacted]"

MIN_LENGTH: Final = 8
"""Shorter values (`none`, `local`, `1`) are placeholders that also occur as ordinary words."""

_SECRET_NAME: Final = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD)$")

_KEY_SHAPES: Final = re.compile(
    r"sk-[A-Za-z0-9_-]{16,}|Bearer \S+"
    # xAI, Groq, Hugging Face, NVIDIA, Google and AWS.
    r"|\b(?:xai-|gsk_|hf_|nvapi-)[A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{30,}|\bAKIA[A-Z0-9]{16}\b"
)


def is_secret_name(name: str) -> bool:
    """Whether the value of an environment variable of that name is a secret."""
    return _SECRET_NAME.search(name.upper()) is not None


def redactor() -> Callable[[str], str]:
    """A function that redacts one text, with the environment's secrets as they are now.

    For a batch of texts: the environment is read once, at the first text, instead of for every one.
    """
    known_secrets = cache(_known_secrets)

    def redact_text(text: str) -> str:
        known = known_secrets()
        if known is not None:
            # A pass of its own: a key shape must not bite off half of a known secret.
            text = known.sub(REDACTED, text)
        return _KEY_SHAPES.sub(REDACTED, text)

    return redact_text


def redact(text: str) -> str:
    """The text with every secret replaced by `[redacted]`.

    A secret is the value (8 characters or more) of an environment variable whose name ends in
    `KEY`, `TOKEN`, `SECRET` or `PASSWORD`, or anything of the shape of a well-known service's key
    or of `Bearer ...`.
    """
    return redactor()(text)


def _known_secrets() -> re.Pattern[str] | None:
    values = {v.strip() for name, v in os.environ.items() if is_secret_name(name)}
    secrets = sorted((v for v in values if len(v) >= MIN_LENGTH), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, secrets))) if secrets else None


_TOO_DEEP: Final = "[nested too deeply to be kept]"


def text_cleaner() -> Callable[[str], str]:
    """A function that redacts a text and replaces what UTF-8 cannot hold: lone surrogates."""
    redact = redactor()
    return lambda text: redact(text).encode("utf-8", "replace").decode("utf-8")


def json_writer() -> Callable[[Json], str]:
    """A function that writes a value as JSON, its texts redacted, numbers that are none as null.

    What is nested too deeply to be written becomes a text that says so.
    """
    clean = text_cleaner()

    def to_json(value: Json) -> str:
        try:
            return json.dumps(_plain(value, clean), ensure_ascii=False)
        except RecursionError:
            return json.dumps(_TOO_DEEP)

    return to_json


def _plain(value: Json, clean: Callable[[str], str]) -> Json:
    """The value with clean texts, keys included, and null for what JSON has no number for."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {clean(str(key)): _plain(item, clean) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, clean) for item in value]
    return value
