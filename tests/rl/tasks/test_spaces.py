"""Spaces as files hold them, words as tokens, and elements of a space from plain values."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from helpers.small_students import ACTIONS, KINDS, observations_for
from tutelage.rl.tasks.spaces import (
    MAX_TOKEN,
    CategoryGrid,
    Tokens,
    read_array,
    space_from_json,
    space_to_json,
    tokens_of,
)

KNOWN: list[spaces.Space[Any]] = [
    *(space for observed, _ in KINDS.values() for space in observed.values()),
    *ACTIONS.values(),
]


@pytest.mark.parametrize("space", KNOWN, ids=str)
def test_json_brings_a_space_back(space: spaces.Space[Any]) -> None:
    stored = json.loads(json.dumps(space_to_json(space), allow_nan=False))
    found = space_from_json(stored)
    assert found == space
    assert type(found) is type(space)
    assert (found.shape, found.dtype) == (space.shape, space.dtype)


@pytest.mark.parametrize("space", KNOWN, ids=str)
def test_elements_come_back_from_plain_values(space: spaces.Space[Any]) -> None:
    element = observations_for({"": space}, rows=1)[""][0]
    found = read_array(json.loads(json.dumps(element.tolist())), space)
    assert found.dtype == space.dtype
    np.testing.assert_array_equal(found, element)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(3),
        spaces.Box(0, 1, (2, 2)),
        spaces.Box(0, 9, (3,), np.int64),
        spaces.MultiDiscrete([[2, 2], [2, 2]]),
        spaces.Dict({"a": spaces.Discrete(2)}),
        spaces.Tuple([spaces.Discrete(2)]),
    ],
    ids=str,
)
def test_other_spaces_are_named_with_what_is_allowed(space: spaces.Space[Any]) -> None:
    with pytest.raises(ValueError, match="no space that is known here; allowed: a Box of floats"):
        space_to_json(space)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(ANYTHING, st.sampled_from(KNOWN))
def test_any_value_is_an_element_or_refused(value: Any, space: spaces.Space[Any]) -> None:
    try:
        found = read_array(value, space)
    except (TypeError, ValueError):
        return
    assert found.shape == (space.shape or ())
    assert np.isfinite(found).all()


@given(ANYTHING, st.sampled_from(KNOWN), st.data())
def test_any_damage_to_a_stored_space_is_refused_or_harmless(
    value: Any, space: spaces.Space[Any], data: st.DataObject
) -> None:
    stored = space_to_json(space)
    stored[data.draw(st.sampled_from(sorted(stored)))] = value
    try:
        found = space_from_json(stored)
    except ValueError:
        return
    space_to_json(found)


def test_a_grid_is_equal_to_one_of_the_same_codes_only() -> None:
    grid = CategoryGrid(2, 3, 4, ((0,), (1,), (0,), (1,)))
    assert grid == CategoryGrid(2, 3, 4, ((0,), (1,), (0,), (1,)))
    assert grid != CategoryGrid(2, 3, 4)
    assert grid != CategoryGrid(3, 2, 4, grid.attributes)
    assert grid != spaces.Box(0, 3, (2, 3), np.uint8)
    assert spaces.Box(0, 3, (2, 3), np.uint8) != grid


class TestWords:
    def test_padding_is_zero_and_no_word_is(self) -> None:
        found = tokens_of("go to the ball", 6)
        assert (found.dtype, found.shape) == (np.int32, (6,))
        assert (found[:4] > 0).all()
        assert not found[4:].any()
        assert tokens_of("", 3).tolist() == [0, 0, 0]
        assert tokens_of(" ... !", 2).tolist() == [0, 0], "stops alone are no words"

    def test_a_long_text_is_cut(self) -> None:
        assert tokens_of("a b c d", 2).tolist() == tokens_of("a b", 2).tolist()

    def test_another_process_says_the_same(self) -> None:
        """No vocabulary is kept: a word's token must not depend on the run."""
        assert tokens_of("open door", 2).tolist() == [269881696, 2137435623]

    @given(st.text(max_size=40), st.integers(1, 8))
    def test_any_text_is_in_the_space(self, text: str, length: int) -> None:
        found = tokens_of(text, length)
        assert Tokens(length).contains(found)
        assert (found <= MAX_TOKEN).all()
        there = found > 0
        assert there.tolist() == sorted(there.tolist(), reverse=True)
        assert (
            tokens_of(text.upper().lower(), length).tolist()
            == tokens_of(text.upper().lower().casefold(), length).tolist()
        )
