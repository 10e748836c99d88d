"""What an option does becomes targets, what a student does becomes an environment's action."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from tutelage import OptionStep
from tutelage.rl.gymnasium.actions import actions_of
from tutelage.rl.tasks.action_targets import action_targets, column_names
from tutelage.rl.tasks.spaces import SpaceError, WrongValueError

WIDE = spaces.Box(np.array([-2, 0, -np.inf]), np.array([2, 1, np.inf]), dtype=np.float64)


def target_of(space: spaces.Space[Any], **step: Any) -> list[float]:
    actions = actions_of(space)
    target = np.zeros(actions.size, dtype=np.float32)
    actions.write(OptionStep(**step), target)
    found: list[float] = target.tolist()
    return found


def refused(space: spaces.Space[Any], **step: Any) -> str:
    with pytest.raises(WrongValueError) as caught:
        target_of(space, **step)
    return str(caught.value)


class TestDiscrete:
    def test_an_action_has_all_of_the_probability(self) -> None:
        assert target_of(spaces.Discrete(3), action=1) == [0, 1, 0]
        assert target_of(spaces.Discrete(3, start=-1), action=-1) == [1, 0, 0]
        assert target_of(spaces.Discrete(3), action=np.array(2)) == [0, 0, 1]

    def test_probs_sum_to_one(self) -> None:
        assert target_of(spaces.Discrete(2), probs=[0.25, 0.75]) == [0.25, 0.75]
        assert sum(target_of(spaces.Discrete(3), probs=[0.3333] * 3)) == pytest.approx(1)

    @pytest.mark.parametrize(
        ("step", "why"),
        [
            ({"action": 3}, "the action 3 is not within 0..2"),
            ({"action": -1}, "the action -1 is not within 0..2"),
            ({"action": 1.0}, "the action 1.0 is no whole number"),
            ({"action": "left"}, "the action 'left' is no whole number"),
            ({"action": [1]}, "the action [1] is no whole number"),
            ({"probs": [0.5, 0.5]}, "probs are [0.5, 0.5], not 3 numbers"),
            ({"probs": [0.5, 0.5, 0.5]}, "probs are [0.5, 0.5, 0.5], whose sum is 1.5, not 1"),
            ({"probs": [1.5, -0.5, 0]}, "one is negative or not finite"),
            ({"probs": [float("nan"), 0, 1]}, "one is negative or not finite"),
            ({"probs": 1}, "not 3 numbers"),
            ({"probs": ["a", "b", "c"]}, "not 3 numbers"),
            ({"action": 1, "std": 0.1}, "std is for the actions of a Box"),
        ],
    )
    def test_anything_else_is_refused(self, step: dict[str, Any], why: str) -> None:
        assert why in refused(spaces.Discrete(3), **step)

    @given(st.integers(1, 9), st.integers(-5, 5), st.data())
    def test_what_is_taught_is_what_is_done(self, n: int, start: int, data: Any) -> None:
        space = spaces.Discrete(n, start=start)
        action = data.draw(st.integers(start, start + n - 1))
        target = np.array([target_of(space, action=action)], np.float32)
        drawn = action_targets(space).draw(target, np.random.default_rng(0))
        (done,) = actions_of(space).for_envs(drawn)
        assert done == action
        assert space.contains(done)


class TestMultiDiscrete:
    SPACE = spaces.MultiDiscrete([2, 3], start=[0, 1])

    def test_parts_stand_side_by_side(self) -> None:
        assert target_of(self.SPACE, action=[1, 1]) == [0, 1, 1, 0, 0]
        assert target_of(self.SPACE, action=np.array([0, 3])) == [1, 0, 0, 0, 1]
        probs = [[0.5, 0.5], [0, 0.25, 0.75]]
        assert target_of(self.SPACE, probs=probs) == [0.5, 0.5, 0, 0.25, 0.75]

    @pytest.mark.parametrize(
        ("step", "why"),
        [
            ({"action": [0, 0]}, "the action 0 is not within 1..3"),
            ({"action": [0]}, "has 1 parts, not 2"),
            ({"action": 1}, "1 is no list of 2"),
            ({"action": [0.5, 1]}, "the action 0.5 is no whole number"),
            ({"probs": [[0.5, 0.5], [0.5, 0.5]]}, "not 3 numbers"),
            ({"probs": [0.5, 0.5]}, "not 2 numbers"),
        ],
    )
    def test_anything_else_is_refused(self, step: dict[str, Any], why: str) -> None:
        assert why in refused(self.SPACE, **step)

    def test_actions_get_their_start(self) -> None:
        done = actions_of(self.SPACE).for_envs(np.array([[1, 0], [0, 2]]))
        assert [each.tolist() for each in done] == [[1, 1], [0, 3]]
        assert all(self.SPACE.contains(each) for each in done)


class TestBox:
    def test_an_action_is_a_mean_and_a_quarter_of_half_the_width(self) -> None:
        target = target_of(WIDE, action=[1, 0.5, 7])
        assert target == pytest.approx([1, 0.5, 7, 0.25, 0.125**2, 0.0625])

    def test_the_mean_is_clipped(self) -> None:
        assert target_of(WIDE, action=[-9, 9, 9])[:3] == [-2, 1, 9]

    def test_std_has_a_floor(self) -> None:
        assert target_of(WIDE, action=[0, 0, 0], std=1)[3:] == [1, 1, 1]
        assert target_of(WIDE, action=[0, 0, 0], std=[1, 0, 0])[3:] == pytest.approx(
            [1, 0.025**2, 0.05**2]
        )

    @pytest.mark.parametrize(
        ("step", "why"),
        [
            ({"action": 1.0}, "the action's shape is [], not [3]"),
            ({"action": [1, 2]}, "the action's shape is [2], not [3]"),
            ({"action": [1, float("nan"), 2]}, "is not finite numbers"),
            ({"action": [1, float("inf"), 2]}, "is not finite numbers"),
            ({"action": ["a", "b", "c"]}, "is not finite numbers"),
            ({"action": [0, 0, 0], "std": -1}, "negative or not finite"),
            ({"action": [0, 0, 0], "std": float("nan")}, "negative or not finite"),
            ({"action": [0, 0, 0], "std": [1, 2]}, "not a number or one per dimension"),
            ({"action": [0, 0, 0], "std": "wide"}, "not a number or one per dimension"),
            ({"probs": [1, 0, 0]}, "probs are for discrete actions"),
        ],
    )
    def test_anything_else_is_refused(self, step: dict[str, Any], why: str) -> None:
        assert why in refused(WIDE, **step)

    @given(
        st.lists(st.floats(-50, 50), min_size=3, max_size=3),
        st.floats(0, 9),
    )
    def test_targets_are_within_the_box_and_leave_room(
        self, action: list[float], std: float
    ) -> None:
        mean, variance = np.split(np.array(target_of(WIDE, action=action, std=std)), 2)
        assert WIDE.contains(mean)
        assert (np.sqrt(variance) >= np.array([0.1, 0.025, 0.05]) - 1e-6).all()

    def test_actions_are_clipped_and_of_the_spaces_type(self) -> None:
        (done,) = actions_of(WIDE).for_envs(np.array([[5, -5, 1e9]], np.float32))
        assert done.tolist() == [2, 0, 1e9]
        assert done.dtype == np.float64
        assert WIDE.contains(done)


class TestSpaces:
    @pytest.mark.parametrize(
        "space",
        [
            spaces.Box(0, 1, (2, 2)),
            spaces.Box(0, 9, (2,), np.int64),
            spaces.MultiBinary(3),
            spaces.MultiDiscrete([[2, 2], [2, 2]]),
            spaces.Dict({"a": spaces.Discrete(2)}),
            spaces.Text(3),
        ],
        ids=str,
    )
    def test_others_are_refused_in_one_line(self, space: spaces.Space[Any]) -> None:
        with pytest.raises(SpaceError, match=r"^no student can act in .*; known: Discrete") as e:
            actions_of(space)
        assert "\n" not in str(e.value)

    @pytest.mark.parametrize("space", [spaces.Discrete(3), TestMultiDiscrete.SPACE, WIDE])
    def test_there_is_a_name_for_each_column(self, space: Any) -> None:
        actions = actions_of(space)
        assert len(column_names(space, actions.names)) == actions.size == action_targets(space).size
