"""Any nested space becomes arrays by key."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.rl.tasks.observations import ObservationEncoder
from tutelage.rl.tasks.spaces import (
    CategoryGrid,
    SpaceError,
    Tokens,
    WrongValueError,
    is_picture,
    is_vector,
    space_from_json,
    space_to_json,
    tokens_of,
)

shapes = st.lists(st.integers(1, 4), max_size=3).map(tuple)


def leaves() -> st.SearchStrategy[spaces.Space[Any]]:
    floats = st.sampled_from([np.float32, np.float64])
    sides = st.integers(8, 10)
    return st.one_of(
        st.builds(lambda s, d: spaces.Box(-3, 5, s, d), shapes, floats),
        st.builds(lambda s, d: spaces.Box(-np.inf, np.inf, s, d), shapes, floats),
        st.builds(lambda s: spaces.Box(-9, 9, s, np.int64), shapes),
        st.builds(lambda s: spaces.Box(0, 255, s, np.uint8), shapes),
        st.builds(lambda h, w, c: spaces.Box(0, 255, (h, w, c), np.uint8), sides, sides, sides),
        st.builds(lambda h, w: spaces.Box(0, 255, (h, w), np.uint8), sides, sides),
        st.builds(lambda h, w: spaces.Box(0, 255, (3, h, w), np.uint8), sides, sides),
        st.builds(lambda n, s: spaces.Discrete(n, start=s), st.integers(1, 9), st.integers(-5, 5)),
        st.builds(
            lambda nvec: spaces.MultiDiscrete(nvec, start=[2] * len(nvec)),
            st.lists(st.integers(1, 5), min_size=1, max_size=3),
        ),
        st.builds(spaces.MultiBinary, st.integers(1, 4)),
        st.builds(spaces.Text, st.integers(1, 20)),
    )


def nested() -> st.SearchStrategy[spaces.Space[Any]]:
    keys = st.text("abc", min_size=1, max_size=3)
    return st.recursive(
        leaves(),
        lambda inner: st.one_of(
            st.dictionaries(keys, inner, min_size=1, max_size=3).map(spaces.Dict),
            st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
        ),
        max_leaves=5,
    )


def encoded(space: spaces.Space[Any], value: Any) -> dict[str, Any]:
    encoder = ObservationEncoder(space)
    batch = encoder.empty(2)
    encoder.write(value, batch, 1)
    assert encoder.unusable_row(batch) is None
    return {key: array[1] for key, array in batch.items()}


def refused(space: spaces.Space[Any], value: Any) -> str:
    with pytest.raises(WrongValueError) as caught:
        encoded(space, value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestAnySpace:
    @settings(max_examples=80, deadline=None)
    @given(nested(), st.integers(0, 99))
    def test_what_it_draws_is_within_the_students_spaces(
        self, space: spaces.Space[Any], seed: int
    ) -> None:
        space.seed(seed)
        found = encoded(space, space.sample())
        seen = ObservationEncoder(space).observation_space
        assert list(found) == list(seen)
        for key, inner in seen.items():
            assert found[key].shape == (inner.shape or ())
            assert found[key].dtype == inner.dtype
            if isinstance(inner, spaces.Discrete | spaces.MultiDiscrete):
                assert inner.contains(found[key] + inner.start)

    @settings(max_examples=80, deadline=None)
    @given(nested())
    def test_the_students_spaces_are_those_that_files_know(self, space: spaces.Space[Any]) -> None:
        for inner in ObservationEncoder(space).observation_space.values():
            assert space_from_json(space_to_json(inner)) == inner

    @settings(max_examples=50, deadline=None)
    @given(nested(), st.integers(0, 99))
    def test_only_the_row_is_written(self, space: spaces.Space[Any], seed: int) -> None:
        space.seed(seed)
        encoder = ObservationEncoder(space)
        batch = encoder.empty(3)
        encoder.write(space.sample(), batch, 1)
        assert not any(array[[0, 2]].any() for array in batch.values())


class TestKinds:
    def test_a_plain_space_has_the_key_observation(self) -> None:
        assert list(encoded(spaces.Discrete(3), 2)) == ["observation"]

    def test_keys_are_joined_by_dots(self) -> None:
        space = spaces.Dict(
            {
                "a": spaces.Tuple([spaces.Discrete(2), spaces.Dict({"b": spaces.Discrete(2)})]),
                "c": spaces.Discrete(2),
            }
        )
        found = encoded(space, {"a": (1, {"b": 0}), "c": 1})
        assert {key: int(value) for key, value in found.items()} == {"a.0": 1, "a.1.b": 0, "c": 1}

    def test_floats_of_any_shape_are_a_vector(self) -> None:
        space = spaces.Box(-1, 1, (2, 2), np.float64)
        seen = ObservationEncoder(space).observation_space["observation"]
        assert is_vector(seen)
        assert encoded(space, [[1, 2], [3, 4]])["observation"].tolist() == [1, 2, 3, 4]

    @pytest.mark.parametrize("shape", [(8, 9, 3), (3, 8, 9), (8, 9)])
    def test_pictures_have_their_channels_last(self, shape: tuple[int, ...]) -> None:
        space = spaces.Box(0, 255, shape, np.uint8)
        seen = ObservationEncoder(space).observation_space["observation"]
        assert is_picture(seen)
        assert seen.shape == (8, 9, 3 if len(shape) == 3 else 1)
        picture = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        found = encoded(space, picture)["observation"]
        if shape[0] == 3:
            picture = picture.transpose(1, 2, 0)
        assert found.tolist() == picture.reshape(found.shape).tolist()

    @given(st.integers(1, 24), st.integers(8, 30), st.integers(8, 30), st.booleans())
    def test_the_smaller_end_has_the_channels(
        self, channels: int, height: int, width: int, first: bool
    ) -> None:
        """Stacks of many frames too; where both ends are alike the last has them."""
        channels = min(channels, (width if first else height) - first)
        picture = np.zeros((height, width, channels), np.uint8)
        picture[-1, 0, :] = 7
        given_one = np.moveaxis(picture, -1, 0) if first else picture
        found = encoded(spaces.Box(0, 255, given_one.shape, np.uint8), given_one)["observation"]
        np.testing.assert_array_equal(found, picture)

    @pytest.mark.parametrize("shape", [(7, 9, 3), (7, 8), (8,), (8, 8, 8, 8)])
    def test_other_bytes_are_a_vector(self, shape: tuple[int, ...]) -> None:
        space = spaces.Box(0, 255, shape, np.uint8)
        assert is_vector(ObservationEncoder(space).observation_space["observation"])

    def test_categories_are_numbered_from_0(self) -> None:
        assert encoded(spaces.Discrete(3, start=-1), -1)["observation"] == 0
        many = spaces.MultiDiscrete([2, 3], start=[4, 5])
        assert encoded(many, [5, 5])["observation"].tolist() == [1, 0]

    def test_text_becomes_tokens(self) -> None:
        found = encoded(spaces.Text(30), "Go north, now")["observation"]
        assert found.tolist() == tokens_of("go north now", 32).tolist()

    def test_spaces_of_ours_stay(self) -> None:
        grid, words = CategoryGrid(2, 2, 5), Tokens(4)
        space = spaces.Dict({"grid": grid, "words": words})
        assert ObservationEncoder(space).observation_space == {"grid": grid, "words": words}
        found = encoded(space, {"grid": [[0, 4], [1, 2]], "words": tokens_of("a b", 4)})
        assert found["grid"].dtype == np.uint8
        assert "outside its space" in refused(grid, [[0, 5], [1, 2]])


class TestRefused:
    @pytest.mark.parametrize(
        "space",
        [
            spaces.Sequence(spaces.Discrete(2)),
            spaces.Graph(spaces.Box(0, 1, (2,)), None),
            spaces.Dict({"a": spaces.OneOf([spaces.Discrete(2), spaces.Discrete(3)])}),
            spaces.Dict({}),
            spaces.Box(0, 1, (0,)),
            spaces.Box(0, 255, (2000, 8, 3), np.uint8),
            spaces.Box(0, 1, (300, 300)),
            spaces.Dict({"a.0": spaces.Discrete(2), "a": spaces.Tuple([spaces.Discrete(2)])}),
        ],
        ids=lambda space: str(space)[:30],
    )
    def test_spaces_that_no_student_can_see(self, space: spaces.Space[Any]) -> None:
        with pytest.raises(SpaceError) as caught:
            ObservationEncoder(space)
        assert "\n" not in str(caught.value)

    def test_values_that_are_not_in_the_space(self) -> None:
        vector, picture = spaces.Box(0, 1, (2,)), spaces.Box(0, 255, (8, 8), np.uint8)
        assert refused(vector, [1, 2, 3]) == "the observation has the shape [3], not [2]"
        assert "not of numbers" in refused(vector, ["a", "b"])
        assert "not of whole numbers" in refused(picture, np.zeros((8, 8)))
        assert "outside its space" in refused(picture, np.full((8, 8), 256))
        assert refused(spaces.Discrete(2), 2) == "the observation 2 is outside its space"
        assert "no whole number" in refused(spaces.Discrete(2), 0.5)
        assert "outside its space" in refused(spaces.MultiDiscrete([2, 2]), [0, 2])
        assert refused(spaces.Text(9), 7) == "the observation 7 is no text"
        assert refused(spaces.Text(9), "\ud800") == r"the observation '\ud800' is no Unicode"
        assert refused(spaces.Dict({"a": vector}), {}) == "the observation lacks 'a'"
        assert refused(spaces.Dict({"a": vector}), {"a": [1]}).startswith("the observation's 'a'")
        assert "lacks" in refused(spaces.Tuple([vector, vector]), ([0, 0],))
        assert "lacks" in refused(spaces.Dict({"a": vector}), None)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
    def test_numbers_that_are_not_finite_are_found_by_their_row(self, value: float) -> None:
        encoder = ObservationEncoder(spaces.Box(-np.inf, np.inf, (2,), np.float64))
        batch = encoder.empty(3)
        encoder.write([0, value], batch, 2)
        assert encoder.unusable_row(batch) == 2
