"""A key, the forms that it comes back in, and whether a text shows it."""

from __future__ import annotations

import base64
import re
from typing import Final
from urllib.parse import unquote

KEY: Final = "opensesame-0123456789-abcdef"
"""Of no shape that is known for a key."""

_HEADER: Final = f"Authorization: Bearer {KEY}"
FORMS: Final = (
    KEY,
    _HEADER,
    KEY.upper(),
    KEY.encode().hex(),
    base64.b64encode(KEY.encode()).decode(),
    base64.b64encode(_HEADER.encode()).decode(),
    base64.urlsafe_b64encode(f"x{KEY}".encode()).decode(),
    "".join(f"%{ord(sign):02x}" for sign in KEY),
    "".join(f"\\u00{ord(sign):02x}" for sign in KEY),
    "-".join(KEY),
    " ".join(KEY[at : at + 4] for at in range(0, len(KEY), 4)),
    "\n".join(KEY[at : at + 7] for at in range(0, len(KEY), 7)),
)

_WORDS: Final = re.sub(r"[^a-z0-9]", "", KEY)
_ENCODED: Final = tuple(
    base64.b64encode(b"\0" * before + KEY.encode()).decode()[4:-4] for before in range(3)
)


def shows_key(text: str) -> bool:
    """Whether a text holds the key in one of its forms; another reading than the redactor's."""
    plain = re.sub(r"\\u00([0-9a-f]{2})", r"%\1", text, flags=re.IGNORECASE)
    words = re.sub(r"[^a-z0-9]", "", unquote(plain).lower())
    letters = re.sub(r"[^A-Za-z0-9+/]", "", text.replace("-", "+").replace("_", "/"))
    encoded = any(form in letters for form in _ENCODED)
    return _WORDS in words or KEY.encode().hex() in words or encoded
