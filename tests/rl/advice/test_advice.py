"""Advice on plans becomes labels for actions, against a plain loop over states and plans."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.toy_task import (
    EXIT,
    LENGTH,
    OPTIONS,
    PULL_IT,
    WALK_TO_EXIT,
    WALK_TO_LEVER,
    WANDER,
    Corridor,
    CorridorStates,
)
from tutelage.rl.advice.advice import Advice
from tutelage.rl.advice.labels import Labels, agreement, label
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import encode_plans
from tutelage.rl.tasks.options import PADDING, Option, Plan

TASK = Corridor()
NUM_ACTIONS = len(TASK.action_names)
LEFT, RIGHT, PULL = range(NUM_ACTIONS)

plans = st.lists(st.sampled_from(OPTIONS), min_size=1, max_size=4).map(tuple)


@st.composite
def advices(draw: st.DrawFn) -> Advice:
    """Up to four plans, repeats allowed, with probabilities that sum to at most 1."""
    found = draw(st.lists(plans, min_size=1, max_size=4))
    weights = draw(st.lists(st.floats(0.001, 1), min_size=len(found), max_size=len(found)))
    total = sum(weights) / draw(st.floats(0.01, 1))
    return Advice(tuple(found), tuple(weight / total for weight in weights))


@st.composite
def many_states(draw: st.DrawFn) -> CorridorStates:
    """Up to 12 states, the lever's own cell often among them."""
    row = st.tuples(st.integers(1, EXIT - 1), st.integers(1, EXIT - 1), st.booleans())
    rows = draw(st.lists(row, min_size=1, max_size=12))
    return states_of(*rows)


def states_of(*rows: tuple[int, int, bool]) -> CorridorStates:
    """States from (position, lever, down)."""
    positions, levers, down = zip(*rows, strict=True)
    return CorridorStates(np.array(positions), np.array(levers), np.array(down))


def one_by_one(
    states: CorridorStates, situation_ids: IntArray, advice: Mapping[int, Advice]
) -> tuple[list[list[float]], list[float]]:
    """pi_T and m from the module's formula: `task.act` is asked for one option in one state."""
    targets, masses = [], []
    for row, situation_id in enumerate(situation_ids):
        state = CorridorStates(*(array[row : row + 1] for array in vars(states).values()))
        mixed, coverage = [0.0] * NUM_ACTIONS, 0.0
        given = advice.get(int(situation_id))
        for plan, p in zip(given.plans, given.probs, strict=True) if given else ():
            action_probs = current_step(plan, state)
            if action_probs is not None:
                coverage += p
                mixed = [total + p * q for total, q in zip(mixed, action_probs, strict=True)]
        targets.append([total / coverage if coverage else 0.0 for total in mixed])
        masses.append(coverage)
    return targets, masses


def current_step(plan: Plan, state: CorridorStates) -> list[float] | None:
    """What the first feasible step that is not finished does; None where there is none."""
    for option in plan:
        done = TASK.act(np.array([[TASK.encode(option)]]), state)
        if done.feasible[0, 0] and not done.finished[0, 0]:
            targets: list[float] = done.targets[0, 0].tolist()
            return targets
    return None


def labels_of(states: CorridorStates, advice: Mapping[int, Advice]) -> Labels:
    return label(TASK, states, TASK.situation_ids(states), advice)


# --- labels ---


@settings(max_examples=200)
@given(many_states(), st.dictionaries(st.integers(0, 3), advices()))
def test_labels_are_the_formula(states: CorridorStates, advice: dict[int, Advice]) -> None:
    labels = labels_of(states, advice)
    targets, coverage = one_by_one(states, TASK.situation_ids(states), advice)
    assert labels.targets.dtype == labels.coverage.dtype == np.float32
    np.testing.assert_allclose(labels.coverage, coverage, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(labels.targets, targets, rtol=1e-4, atol=1e-6)


@given(many_states(), st.dictionaries(st.integers(0, 3), advices()))
def test_targets_are_distributions_where_there_is_mass(
    states: CorridorStates, advice: dict[int, Advice]
) -> None:
    labels = labels_of(states, advice)
    sums = labels.targets.sum(axis=1)
    np.testing.assert_allclose(sums[labels.coverage > 0], 1.0, rtol=1e-5)
    assert not sums[labels.coverage == 0].any()
    assert (labels.targets >= 0).all()
    assert (labels.coverage <= 1.0001).all()


@given(many_states(), st.dictionaries(st.integers(0, 3), advices()), st.data())
def test_a_state_is_labelled_whatever_stands_beside_it(
    states: CorridorStates, advice: dict[int, Advice], data: st.DataObject
) -> None:
    order = np.array(data.draw(st.permutations(range(len(states)))))
    shuffled = CorridorStates(*(array[order] for array in vars(states).values()))
    labels, others = labels_of(states, advice), labels_of(shuffled, advice)
    np.testing.assert_array_equal(labels.targets[order], others.targets)
    np.testing.assert_array_equal(labels.coverage[order], others.coverage)


def test_situations_are_what_the_situation_ids_say() -> None:
    """The same state twice, under two keys: it is the caller's situation id that decides."""
    states = states_of((3, 5, False), (3, 5, False), (3, 5, False))
    advice = {-7: Advice(((WALK_TO_LEVER,),), (0.5,)), 2**62: Advice(((WANDER,),), (1.0,))}
    labels = label(TASK, states, np.array([2**62, -7, 8]), advice)
    np.testing.assert_allclose(labels.coverage, [1.0, 0.5, 0.0])
    assert labels.targets.tolist() == [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]


def test_a_plan_that_cannot_be_carried_out_gives_up_its_share() -> None:
    up, down = (2, 5, False), (2, 5, True)
    advice = Advice(((WALK_TO_EXIT,), (PULL_IT,), (WALK_TO_LEVER,)), (0.5, 0.3, 0.2))
    labels = labels_of(states_of(up, down), {0: advice, 1: advice})
    # The exit is shut and the lever far: only the walk to it is left. Then only the exit.
    np.testing.assert_allclose(labels.coverage, [0.2, 0.5])
    np.testing.assert_allclose(labels.targets, [[0, 1, 0], [0, 1, 0]], rtol=1e-6)


def test_a_plan_goes_on_with_its_first_step_that_is_not_finished() -> None:
    whole = Advice(((WALK_TO_LEVER, PULL_IT, WALK_TO_EXIT),), (1.0,))
    states = states_of((7, 4, False), (4, 4, False), (4, 4, True), (2, 4, True))
    labels = labels_of(states, dict.fromkeys(range(4), whole))
    assert labels.targets.argmax(axis=1).tolist() == [LEFT, PULL, RIGHT, RIGHT]
    np.testing.assert_allclose(labels.coverage, 1.0)


def test_an_infeasible_step_is_passed_over() -> None:
    plan = Advice(((WALK_TO_EXIT, PULL_IT, WALK_TO_LEVER),), (1.0,))
    states = states_of((7, 4, False), (4, 4, False))
    assert labels_of(states, {0: plan, 2: plan}).targets.argmax(axis=1).tolist() == [LEFT, PULL]


def test_without_advice_there_is_no_mass() -> None:
    states = states_of((3, 5, False), (5, 5, False), (3, 5, True))
    for advice in ({}, {99: Advice(((WANDER,),), (1.0,))}):
        labels = labels_of(states, advice)
        assert labels.targets.shape == (3, NUM_ACTIONS)
        assert not labels.targets.any()
        assert not labels.coverage.any()


def test_no_states_have_no_labels() -> None:
    none = states_of((1, 1, False))
    empty = CorridorStates(*(array[:0] for array in vars(none).values()))
    labels = label(TASK, empty, np.zeros(0, np.int64), {0: Advice(((WANDER,),), (1.0,))})
    assert labels.targets.shape == (0, NUM_ACTIONS)
    assert labels.coverage.shape == (0,)


def test_an_option_that_the_task_lacks_is_an_error() -> None:
    advice = {0: Advice(((Option("fly"),),), (1.0,))}
    with pytest.raises(ValueError, match="fly"):
        labels_of(states_of((3, 5, False)), advice)


def test_plans_are_encoded_option_by_option() -> None:
    coded = encode_plans(TASK, [(WALK_TO_LEVER, PULL_IT), (WANDER,)])
    assert coded == [[0, 1], [3]]
    assert PADDING not in {code for plan in coded for code in plan}


# --- agreement ---


def test_agreement_is_with_the_likeliest_action_and_needs_advice() -> None:
    labels = Labels(
        np.array([[0.2, 0.7, 0.1], [0.2, 0.7, 0.1], [0, 0, 0], [0, 0, 1]], np.float32),
        np.array([0.4, 1.0, 0.0, 1.0], np.float32),
    )
    found = agreement(action_targets(TASK.action_space), labels, np.array([1, 2, 0, 2]))
    assert found.dtype == np.float32
    assert found.tolist() == [1.0, 0.0, 0.0, 1.0]


# --- advice itself ---

texts = st.text(max_size=8)
any_options = st.builds(Option, texts, st.none() | texts)


@st.composite
def any_advice(draw: st.DrawFn) -> Advice:
    plan = st.lists(any_options, min_size=1, max_size=3).map(tuple)
    found = draw(st.lists(plan, min_size=1, max_size=3))
    return Advice(tuple(found), tuple(1.0 / (len(found) + 1) for _ in found))


@given(any_advice())
def test_json_brings_advice_back(advice: Advice) -> None:
    assert Advice.from_json(json.loads(json.dumps(advice.to_json()))) == advice


WALK = [["walk_to", "lever"]]
GARBAGE: dict[str, Any] = {
    "a number": 3,
    "null": None,
    "no rows": [],
    "a text": "plans",
    "a table": {"plan": WALK, "p": 0.5},
    "rows of text": ["plan"],
    "rows of null": [None],
    "no plan": [{"p": 0.5}],
    "no p": [{"plan": WALK}],
    "plan is null": [{"plan": None, "p": 0.5}],
    "plan is a number": [{"plan": 3, "p": 0.5}],
    "plan is empty": [{"plan": [], "p": 0.5}],
    "plan is a text": [{"plan": "go", "p": 0.5}],
    "steps are texts": [{"plan": ["go", "up"], "p": 0.5}],
    "a step of one": [{"plan": [["walk_to"]], "p": 0.5}],
    "a step of three": [{"plan": [["walk_to", "lever", "x"]], "p": 0.5}],
    "a name that is no text": [{"plan": [[3, "lever"]], "p": 0.5}],
    "a name that is null": [{"plan": [[None, "lever"]], "p": 0.5}],
    "a target that is no text": [{"plan": [["walk_to", 3]], "p": 0.5}],
    "a target that is a list": [{"plan": [["walk_to", ["lever"]]], "p": 0.5}],
    "p is a text": [{"plan": WALK, "p": "half"}],
    "p is null": [{"plan": WALK, "p": None}],
    "p is zero": [{"plan": WALK, "p": 0.0}],
    "p is negative": [{"plan": WALK, "p": -0.5}],
    "p is not a number": [{"plan": WALK, "p": math.nan}],
    "p is infinite": [{"plan": WALK, "p": math.inf}],
    "p above 1": [{"plan": WALK, "p": 1.5}],
    "p sums to more than 1": [{"plan": WALK, "p": 0.6}, {"plan": WALK, "p": 0.6}],
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_is_no_advice(garbage: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Advice.from_json(GARBAGE[garbage])


@pytest.mark.parametrize(
    ("found", "probs"),
    [
        (((WANDER,),), ()),
        ((), ()),
        ((), (0.5,)),
        (((WANDER,), ()), (0.5, 0.5)),
        (((WANDER,),), (math.nan,)),
        (((WANDER,),), (math.inf,)),
        (((WANDER,),), (0.0,)),
        (((WANDER,), (PULL_IT,)), (1.2, -0.2)),
        (((WANDER,), (PULL_IT,)), (0.6, 0.5)),
    ],
)
def test_what_is_no_distribution_over_plans_is_refused(
    found: tuple[Plan, ...], probs: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match=r"plan"):
        Advice(found, probs)


@given(st.integers(1, 100))
def test_shares_that_sum_to_one_up_to_rounding_are_accepted(count: int) -> None:
    advice = Advice(tuple((WANDER,) for _ in range(count)), (1 / count,) * count)
    assert sum(advice.probs) == pytest.approx(1.0)


def test_hardened_advice_is_its_likeliest_plan_alone() -> None:
    first, second, third = (WANDER,), (PULL_IT, WANDER), (WALK_TO_EXIT,)
    advice = Advice((first, second, third), (0.2, 0.5, 0.1))
    assert advice.hardened() == Advice((second,), (1.0,))
    tied = Advice((first, second, third), (0.2, 0.4, 0.4))
    assert tied.hardened() == Advice((second,), (1.0,)), "ties go to the first"
    assert advice.hardened().hardened() == advice.hardened()


# --- the corridor keeps the contract that all of this rests on ---


def test_the_corridors_options_do_what_they_say() -> None:
    every = [
        (position, lever, down)
        for position in range(1, EXIT)
        for lever in range(1, EXIT)
        for down in (False, True)
    ]
    states = states_of(*every)
    codes = np.tile(np.array([*range(len(OPTIONS)), PADDING]), (len(states), 1))
    done = TASK.act(codes, states)
    runnable = done.feasible & ~done.finished
    np.testing.assert_allclose(done.targets.sum(axis=2), runnable.astype(np.float32))
    assert not done.targets[:, -1].any()
    assert not done.feasible[:, -1].any()
    texts = {TASK.describe(int(key)): int(key) for key in TASK.situation_ids(states)}
    assert len(texts) == 4
    for key in texts.values():
        offered = TASK.options(key)
        rows = TASK.situation_ids(states) == key
        assert runnable[rows, TASK.encode(offered[0])].all(), "the first on offer can be done"
    assert all(len(TASK.picture(states, row).split(" ")) >= LENGTH for row in range(len(states)))
