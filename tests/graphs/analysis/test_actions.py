"""Actions in words, for every kind of action space."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from helpers.toy_task import Corridor
from tutelage.graphs.analysis.actions import (
    Actions,
    action_of,
    actions_in_words,
    space_in_words,
)
from tutelage.rl.policy.heads import make_head
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.spaces import CategoryGrid, Tokens

LIMITS = np.array([-1, 0], np.float32), np.array([1, np.inf], np.float32)
MOVES = Actions(spaces.Discrete(3), ("left", "right", "pull"))
DIALS = Actions(spaces.MultiDiscrete([3, 2]), ("upper", "lower"))
PEDALS = Actions(spaces.Box(*LIMITS), ("throttle", "brake"))


@pytest.mark.parametrize(
    ("actions", "targets", "likeliest", "words", "chosen"),
    [
        (MOVES, (0.2, 0.5, 0.3), 1, "right", {1}),
        (MOVES, (0.5, 0.5, 0.0), 0, "left", {0}),
        (DIALS, (0.2, 0.3, 0.5, 0.6, 0.4), (2, 0), "upper=2, lower=0", {2, 3}),
        (PEDALS, (1.5, 2.25, 1.0, 1.0), (1.0, 2.25), "throttle=1, brake=2.25", set()),
    ],
)
def test_what_targets_are_most_for(
    actions: Actions, targets: tuple[float, ...], likeliest: Any, words: str, chosen: set[int]
) -> None:
    found = actions.likeliest(targets)
    assert found == likeliest
    assert actions.words(found) == words
    assert actions.chosen(found) == chosen
    assert actions.chosen(None) == set()
    assert list(actions.by_column(targets).values()) == list(targets)


@pytest.mark.parametrize("actions", [MOVES, DIALS, PEDALS])
def test_a_students_likeliest_action_is_that_of_its_targets(actions: Actions) -> None:
    head = make_head(actions.space, 4)
    params = np.random.default_rng(0).normal(size=(50, head.num_params)).astype(np.float32)
    targets, done = head.as_targets(params), head.likeliest(params)
    for row in range(len(params)):
        assert actions.likeliest(targets[row].tolist()) == pytest.approx(action_of(done, row))


def test_both_agree_where_the_likeliest_action_is_the_teachers() -> None:
    assert MOVES.agree((0.0, 1.0, 0.0), (0.2, 0.5, 0.3))
    assert not MOVES.agree((1.0, 0.0, 0.0), (0.2, 0.5, 0.3))
    assert DIALS.agree((0, 0, 1, 1, 0), (0.3, 0.3, 0.4, 0.6, 0.4))
    assert not DIALS.agree((0, 0, 1, 0, 1), (0.3, 0.3, 0.4, 0.6, 0.4))
    assert PEDALS.agree((0.5, 2.0, 0.04, 0.01), (0.6, 2.0, 1.0, 1.0))
    assert not PEDALS.agree((0.5, 2.0, 0.04, 0.01), (0.6, 2.2, 1.0, 1.0))
    assert PEDALS.agree((3.0, 2.0, 0.0, 0.0), (5.0, 2.0, 1.0, 1.0)), "beyond the box is its edge"


def test_names_must_fit() -> None:
    with pytest.raises(ValueError, match="2 names"):
        Actions(spaces.Discrete(3), ("left", "right"))


def test_tasks_and_spaces_in_words() -> None:
    car, dials = (
        make_task(f"helpers.taught_tasks:{name}", None) for name in ("TaughtCar", "TaughtDials")
    )
    assert actions_in_words(Corridor()) == "actions: left, right, pull"
    assert actions_in_words(car) == "each action is a number for throttle (-1 to 1)"
    assert actions_in_words(dials) == "each action is a choice of upper (0 to 2), lower (0 to 3)"
    for space, words in (
        (CategoryGrid(3, 4, 9), "3 x 4 cells of 9 kinds"),
        (Tokens(8), "the first 8 words of a text"),
        (spaces.Box(0, 255, (48, 40, 3), np.uint8), "a picture of 48 x 40 pixels with 3 channels"),
        (spaces.Box(-1, 1, (5,)), "5 numbers"),
        (spaces.Discrete(7), "one of 7 categories"),
        (spaces.MultiDiscrete([2, 3]), "a category of each of 2, 3"),
    ):
        assert space_in_words(space) == words
