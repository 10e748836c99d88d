"""Values that nobody expects, as Hypothesis draws them: `ODD` is any value of JSON.

What is drawn is the same each time, so that a failure can be had again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import HypothesisProvider

from helpers.key_forms import FORMS

Draw = Callable[[st.SearchStrategy[Any]], Any]
"""Draws a value: what `st.data()` gives."""


def try_each(seed_text: str, cases: int, try_it: Callable[[Draw], None]) -> None:
    """Try so many cases, the same ones in each process that is given the same text.

    A failing case is not made smaller: each try of that would be a process.
    """
    tried = 0

    @seed(seed_text)
    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def one(data: st.DataObject) -> None:
        nonlocal tried
        try_it(data.draw)
        tried += 1

    with pytest.MonkeyPatch.context() as patch:
        # Constants of the program's modules are drawn else, of those that happen to be loaded.
        patch.setattr(HypothesisProvider, "_maybe_draw_constant", lambda *_, **__: None)
        one()
    assert tried == cases


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
TEXTS: Final = st.one_of(
    st.sampled_from(
        ["", " ", "\0", "\x1b[2J", "\u202e\u2028", "NaN", "1e999", "\ud800", "x" * 5000]
    ),
    st.text(st.characters(), max_size=20),
    st.sampled_from(FORMS),
)
ODD: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
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
