"""Values that nobody expects, as Hypothesis draws them, and the forms that a key comes back in.

`ODD` is any value of JSON; what is drawn is the same each time, so that a failure can be had again.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import unquote

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

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


def fuzzed(examples: int) -> settings:
    """So many cases, the same ones each time, with nothing kept between two runs of the tests.

    A failing case is not made smaller: each try of that would be a process.
    """
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


def shows_key(text: str) -> bool:
    """Whether a text holds the key in one of its forms; another reading than the redactor's."""
    plain = re.sub(r"\\u00([0-9a-f]{2})", r"%\1", text, flags=re.IGNORECASE)
    words = re.sub(r"[^a-z0-9]", "", unquote(plain).lower())
    letters = re.sub(r"[^A-Za-z0-9+/]", "", text.replace("-", "+").replace("_", "/"))
    encoded = any(form in letters for form in _ENCODED)
    return _WORDS in words or KEY.encode().hex() in words or encoded


def nested(depth: int, inner: Any) -> Any:
    """A value in so many lists."""
    for _ in range(depth):
        inner = [inner]
    return inner


NUMBERS: Final = st.one_of(
    st.sampled_from(
        [
            *(0, -1, 1.5, 2**31, 2**53, 2**63, -(10**12), 10**400, 1e308, -0.0),
            *map(float, ("nan", "inf", "-inf")),
        ]
    ),
    st.integers(),
    st.floats(),
)
_KEYLESS: Final = st.one_of(
    st.sampled_from(
        ["", " ", "\0", "\x1b[2J", "\u202e\u2028", "NaN", "1e999", "\ud800", "x" * 5000]
    ),
    st.text(st.characters(), max_size=20),
)
TEXTS: Final = st.one_of(_KEYLESS, st.sampled_from(FORMS))


def _tree(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.one_of(st.none(), st.booleans(), NUMBERS, texts),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)
        ),
        max_leaves=6,
    )


ODD: Final = _tree(TEXTS)
STRANGE: Final = _tree(_KEYLESS)
"""What a stranger may write into a file. They do not know the key, and what a run writes is
redacted on its way in: what is read from a file is shown as it stands there."""
DEEP: Final = st.integers(1, 120).map(lambda depth: nested(depth, "deep"))
"""As deep as Hypothesis can print it; what is deeper is drawn as text."""


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The usual value three times of four."""
    return st.one_of(usual, usual, usual, odd)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterable[tuple[Any, ...]]:
    """The paths of all values within a value of JSON."""
    within = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in within:
        yield (*path, name)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, name))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> None:
    """Put another value in a place; `...` removes what is there."""
    for name in path[:-1]:
        value = value[name]
    if new is ...:
        del value[path[-1]]
    else:
        value[path[-1]] = new
