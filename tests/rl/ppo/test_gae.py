"""GAE against the sum that defines it, and where an episode's end cuts that sum."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tutelage.rl.ppo.gae import advantages_of
from tutelage.rl.tasks.arrays import BoolArray, FloatArray


class Case(NamedTuple):
    """The arrays of a rollout of T steps of N environments, in `advantages_of`'s order."""

    rewards: FloatArray
    values: FloatArray
    terminated: BoolArray
    truncated: BoolArray
    final_values: FloatArray
    last_values: FloatArray


@st.composite
def cases(draw: st.DrawFn, most_steps: int = 9) -> Case:
    """Any pattern of ends, both kinds at one step included, with numbers of any sign."""
    shape = (draw(st.integers(1, most_steps)), draw(st.integers(1, 3)))
    number = st.floats(-10, 10, width=32)

    def floats(size: Any) -> FloatArray:
        return draw(hnp.arrays(np.float32, size, elements=number))

    terminated, truncated = (draw(hnp.arrays(np.bool_, shape)) for _ in range(2))
    return Case(
        floats(shape), floats(shape), terminated, truncated, floats(shape), floats(shape[1])
    )


def by_definition(case: Case, gamma: float, gae_lambda: float) -> list[list[float]]:
    """A_t = delta_t + (gamma lambda) delta_{t+1} + ... to the episode's end, in plain Python."""
    num_steps, num_envs = case.rewards.shape
    return [
        [_advantage(case, t, i, gamma, gae_lambda) for i in range(num_envs)]
        for t in range(num_steps)
    ]


def _advantage(case: Case, start: int, i: int, gamma: float, gae_lambda: float) -> float:
    total, weight = 0.0, 1.0
    for t in range(start, len(case.rewards)):
        total += weight * _delta(case, t, i, gamma)
        weight *= gamma * gae_lambda
        if case.terminated[t, i] or case.truncated[t, i]:
            break
    return total


def _delta(case: Case, t: int, i: int, gamma: float) -> float:
    if case.terminated[t, i]:
        following = 0.0
    elif case.truncated[t, i]:
        following = float(case.final_values[t, i])
    elif t + 1 < len(case.rewards):
        following = float(case.values[t + 1, i])
    else:
        following = float(case.last_values[i])
    return float(case.rewards[t, i]) + gamma * following - float(case.values[t, i])


rates = st.one_of(st.sampled_from([0.0, 1.0, 0.95, 0.99]), st.floats(0, 1))


@given(cases(), rates, rates)
def test_advantages_are_the_defining_sum(case: Case, gamma: float, gae_lambda: float) -> None:
    found = advantages_of(*case, gamma, gae_lambda)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_definition(case, gamma, gae_lambda), rtol=1e-4, atol=1e-4)


@given(cases(), rates, rates)
def test_the_arrays_given_stay_as_they_are(case: Case, gamma: float, gae_lambda: float) -> None:
    before = [array.copy() for array in case]
    advantages_of(*case, gamma, gae_lambda)
    for array, copy in zip(case, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@given(cases(), st.data())
def test_nothing_leaks_back_across_an_end(case: Case, data: st.DataObject) -> None:
    num_steps, num_envs = case.rewards.shape
    t, i = data.draw(st.integers(0, num_steps - 1)), data.draw(st.integers(0, num_envs - 1))
    ends = data.draw(st.sampled_from([case.terminated, case.truncated]))
    ends[t, i] = True
    before = advantages_of(*case, 0.9, 0.9)[: t + 1, i]
    for array in (case.rewards, case.values, case.final_values):
        array[t + 1 :, i] = 1e6
    case.last_values[i] = 1e6
    np.testing.assert_array_equal(advantages_of(*case, 0.9, 0.9)[: t + 1, i], before)


@given(cases(), st.data())
def test_environments_do_not_mix(case: Case, data: st.DataObject) -> None:
    i = data.draw(st.integers(0, case.rewards.shape[1] - 1))
    column: list[Any] = [array[..., i : i + 1] for array in case]
    alone = Case(*column)
    together = advantages_of(*case, 0.9, 0.8)[:, i : i + 1]
    np.testing.assert_array_equal(advantages_of(*alone, 0.9, 0.8), together)


def one_step(terminated: bool, truncated: bool) -> Case:
    """Reward 1, value 2, final value 10, value after the step 100."""
    return Case(
        np.array([[1.0]], np.float32),
        np.array([[2.0]], np.float32),
        np.array([[terminated]]),
        np.array([[truncated]]),
        np.array([[10.0]], np.float32),
        np.array([100.0], np.float32),
    )


@pytest.mark.parametrize(
    ("terminated", "truncated", "advantage"),
    [
        (False, False, 1 + 0.5 * 100 - 2),
        (False, True, 1 + 0.5 * 10 - 2),
        (True, False, 1 - 2),
        (True, True, 1 - 2),
    ],
    ids=["goes on", "timed out", "ended", "ended as the time ran out"],
)
def test_a_time_out_is_bootstrapped_and_an_end_is_not(
    terminated: bool, truncated: bool, advantage: float
) -> None:
    assert advantages_of(*one_step(terminated, truncated), 0.5, 0.9)[0, 0] == advantage


@given(cases())
def test_final_values_count_at_time_outs_only(case: Case) -> None:
    expected = advantages_of(*case, 0.9, 0.8)
    case.final_values[~case.truncated | case.terminated] = np.nan
    np.testing.assert_array_equal(advantages_of(*case, 0.9, 0.8), expected)


@given(cases())
def test_lambda_zero_is_one_step_ahead(case: Case) -> None:
    expected = [
        [_delta(case, t, i, 0.9) for i in range(case.rewards.shape[1])]
        for t in range(len(case.rewards))
    ]
    np.testing.assert_allclose(advantages_of(*case, 0.9, 0.0), expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=50)
@given(cases(), rates)
def test_gamma_zero_looks_at_the_reward_alone(case: Case, gae_lambda: float) -> None:
    np.testing.assert_array_equal(advantages_of(*case, 0.0, gae_lambda), case.rewards - case.values)


@given(cases())
def test_without_discount_returns_are_sums_of_rewards(case: Case) -> None:
    """gamma = lambda = 1: advantage + value is all the reward to come, and the last bootstrap."""
    returns = advantages_of(*case, 1.0, 1.0) + case.values
    for i in range(case.rewards.shape[1]):
        to_come = float(case.last_values[i])
        for t in reversed(range(len(case.rewards))):
            if case.truncated[t, i]:
                to_come = float(case.final_values[t, i])
            if case.terminated[t, i]:
                to_come = 0.0
            to_come += float(case.rewards[t, i])
            assert returns[t, i] == pytest.approx(to_come, rel=1e-4, abs=1e-4)
