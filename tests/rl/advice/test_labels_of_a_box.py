"""In a Box one plan is drawn for each episode and situation, and the label is what it does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from helpers.steering_task import AWAY, FAST, OPTIONS, SLOW, STD, Steering, SteeringStates
from tutelage.rl.advice.advice import Advice
from tutelage.rl.advice.decisions import advised, options_at
from tutelage.rl.advice.labels import (
    Labels,
    agreement,
    label,
    mixed_with_uniform,
    with_retention_targets,
)
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import States
from tutelage.rl.tasks.options import Option

TASK = Steering("Box")
KIND = action_targets(TASK.action_space)
THREE = Advice(((SLOW,), (FAST,), (AWAY,)), (0.5, 0.3, 0.1))
PUSHES = {-0.06: 0, -0.3: 1, 0.3: 2}
"""What each plan does at 0.3, to its number."""


def states_at(*places: float) -> SteeringStates:
    return SteeringStates(np.array(places))


def labels_of(
    states: SteeringStates, episodes: IntArray | None, advice: Advice = THREE, task: Steering = TASK
) -> Labels:
    ids = task.situation_ids(states)
    return label(task, states, ids, {int(s): advice for s in np.unique(ids)}, episodes)


def plans_of(labels: Labels) -> list[int]:
    """Which plan each label is of, in states at 0.3."""
    return [PUSHES[round(float(mean), 4)] for mean in labels.targets[:, 0]]


def test_a_label_is_what_one_of_the_plans_does() -> None:
    labels = labels_of(states_at(*[0.3] * 200), np.arange(200))
    assert set(plans_of(labels)) == {0, 1, 2}
    assert labels.targets[:, 1] == pytest.approx(STD**2)
    assert labels.coverage == pytest.approx(0.9), "all plans that can be carried out count"


def test_plans_are_drawn_by_their_shares() -> None:
    counts = np.bincount(plans_of(labels_of(states_at(*[0.3] * 9000), np.arange(9000))))
    assert chisquare(counts, 9000 * np.array([5, 3, 1]) / 9).pvalue > 1e-3


def test_one_plan_for_an_episode_and_a_situation() -> None:
    """The same in all of its states, another in the other situation now and then."""
    episodes = np.repeat(np.arange(60), 4)
    states = states_at(*[0.3, 0.3, -0.3, -0.3] * 60)
    labels = labels_of(states, episodes)
    sides = np.sign(states.places)
    plans = np.array([PUSHES[round(float(m), 4)] for m in labels.targets[:, 0] * sides])
    rows = plans.reshape(60, 4)
    assert (rows[:, 0] == rows[:, 1]).all()
    assert (rows[:, 2] == rows[:, 3]).all()
    assert 10 < (rows[:, 0] != rows[:, 2]).sum() < 55, "situations are drawn apart"


@given(st.integers(0, 2**40), st.integers(1, 5))
@settings(max_examples=30)
def test_the_draw_is_the_episodes_whatever_stands_beside_it(episode: int, others: int) -> None:
    alone = labels_of(states_at(0.3), np.array([episode]))
    beside = labels_of(
        states_at(*[0.3] * (others + 1)), np.array([*range(others), episode], dtype=np.int64)
    )
    np.testing.assert_array_equal(alone.targets[0], beside.targets[-1])


def test_without_episodes_all_states_are_of_one() -> None:
    assert len(set(plans_of(labels_of(states_at(*[0.3] * 50), None)))) == 1


class Renumbered(Steering):
    """The same task with other numbers for its situations, in another order."""

    def situation_ids(self, states: States) -> IntArray:
        return 70 - super().situation_ids(states)

    def describe(self, situation_id: int) -> str:
        return super().describe(70 - situation_id)

    def options(self, situation_id: int) -> tuple[Option, ...]:
        return super().options(70 - situation_id)


def test_the_numbers_of_situations_mean_nothing() -> None:
    rng = np.random.default_rng(0)
    states, episodes = states_at(*rng.uniform(-1, 1, 100)), rng.integers(0, 20, 100)
    ours, theirs = (labels_of(states, episodes, task=t) for t in (TASK, Renumbered("Box")))
    np.testing.assert_array_equal(ours.targets, theirs.targets)


@pytest.mark.parametrize("actions", ["Discrete", "MultiDiscrete"])
def test_discrete_plans_are_mixed_whatever_the_episode(actions: str) -> None:
    task = Steering(actions)
    states = states_at(*[0.3] * 5)
    one = labels_of(states, np.arange(5), task=task)
    two = labels_of(states, None, task=task)
    np.testing.assert_array_equal(one.targets, two.targets)
    assert (one.targets == one.targets[0]).all()
    assert sorted(one.targets[0][one.targets[0] > 0])[0] == pytest.approx(1 / 9)


def test_what_is_told_of_a_kept_state_is_the_mixture() -> None:
    states = states_at(0.3)
    (options,) = options_at(TASK, states, [0], [1])
    assert [here.option for here in options] == list(OPTIONS)
    said = advised(THREE, options, KIND)
    pushes = np.array([-0.06, -0.3, 0.3])
    shares = np.array([5, 3, 1]) / 9
    mean = pushes @ shares
    expected = [mean, STD**2 + (shares * (pushes - mean) ** 2).sum()]
    assert said.targets == pytest.approx(expected, abs=1e-6)
    assert said.coverage == pytest.approx(0.9)


def test_agreement_is_within_a_standard_deviation_and_needs_advice() -> None:
    labels = Labels(np.float32([[0.2, 0.01], [0.2, 0.01], [0, 0]]), np.float32([1, 1, 0]))
    greedy = np.float32([[0.25], [0.35], [0.0]])
    assert agreement(KIND, labels, greedy).tolist() == [1, 0, 0]


def test_retention_targets_of_a_box() -> None:
    """As wide as if mixed with the uniform distribution, and where it was, however often."""
    policy = np.float32([[0.4, 0.01], [-0.1, 0.04]])
    mixed = mixed_with_uniform(KIND, policy, None, 0.25)
    assert mixed[0].tolist() == pytest.approx([0.4, 0.75 * 0.01 + 0.25 * 0.25 / 3], abs=1e-6)
    for _ in range(20):
        mixed = mixed_with_uniform(KIND, mixed, None, 0.25)
    assert mixed[:, 0].tolist() == pytest.approx([0.4, -0.1])
    assert mixed[:, 1].tolist() == pytest.approx([0.25 / 3] * 2, rel=0.01)
    labels = Labels(np.float32([[0.2, 0.01], [0, 0]]), np.float32([0.7, 0]))
    after = with_retention_targets(labels, policy, 0.5)
    assert after.targets.tolist() == [[pytest.approx(0.2), pytest.approx(0.01)], policy[1].tolist()]
    assert after.coverage == pytest.approx([0.7, 0.5])
