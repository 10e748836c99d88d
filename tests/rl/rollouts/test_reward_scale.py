"""The scale of rewards against the variance of all discounted returns, computed at once."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tutelage.rl.rollouts.reward_scale import RewardScale

ENVS = 3
ROLLOUT = st.integers(1, 7).flatmap(
    lambda steps: st.tuples(
        hnp.arrays(np.float32, (steps, ENVS), elements=st.floats(-100, 100, width=32)),
        hnp.arrays(np.bool_, (steps, ENVS)),
    )
)


def by_hand(rollouts: list[tuple[Any, Any]], gamma: float) -> list[Any]:
    """Each rollout's rewards, divided by the deviation of all returns up to its end."""
    running, returns, scaled = [0.0] * ENVS, [], []
    for rewards, ended in rollouts:
        for row, over in zip(rewards.tolist(), ended.tolist(), strict=True):
            running = [gamma * r + reward for r, reward in zip(running, row, strict=True)]
            returns += running
            running = [0.0 if end else r for r, end in zip(running, over, strict=True)]
        deviation = math.sqrt(np.var(returns) + 1e-8)
        scaled.append(np.clip(rewards.astype(np.float64) / deviation, -10, 10))
    return scaled


@given(st.lists(ROLLOUT, min_size=1, max_size=4), st.floats(0, 1), st.booleans())
def test_rewards_are_divided_by_the_deviation_of_all_returns(
    rollouts: list[tuple[Any, Any]], gamma: float, restored: bool
) -> None:
    """Restored after each rollout as from a checkpoint, or not."""
    scale = RewardScale(ENVS, gamma)
    for (rewards, ended), expected in zip(rollouts, by_hand(rollouts, gamma), strict=True):
        before = rewards.copy()
        found = scale.scaled(rewards, ended)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(rewards, before)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
        if restored:
            record = json.loads(json.dumps(scale.snapshot()))
            scale = RewardScale(ENVS, gamma)
            scale.restore(record)


def test_the_returns_of_a_long_run_have_a_deviation_near_one() -> None:
    rng = np.random.default_rng(0)
    scale, again = RewardScale(ENVS, 0.9), RewardScale(ENVS, 0.9)
    for _ in range(20):
        rewards = (50 + 300 * rng.normal(size=(200, ENVS))).astype(np.float32)
        ended = rng.random((200, ENVS)) < 0.1
        again.scaled(scale.scaled(rewards, ended), ended)
    record = again.snapshot()
    assert record["squares"] / record["count"] == pytest.approx(1.0, abs=0.05)


def test_a_reward_that_is_always_nothing_stays_nothing() -> None:
    scale = RewardScale(ENVS, 0.9)
    nothing, never = np.zeros((4, ENVS), np.float32), np.zeros((4, ENVS), np.bool_)
    assert not scale.scaled(nothing, never).any()
    assert (np.abs(scale.scaled(nothing + 1, never)) <= 10).all()


def test_the_largest_rewards_leave_finite_numbers() -> None:
    most = float(np.finfo(np.float32).max)
    never = np.zeros((50, ENVS), np.bool_)
    for rewards in ([most] * 3, [most, -most, 0.0], [1e-30, most, -most]):
        scale = RewardScale(ENVS, 1.0)
        for _ in range(3):
            assert np.isfinite(scale.scaled(np.tile(np.float32(rewards), (50, 1)), never)).all()
        record = json.loads(json.dumps(scale.snapshot(), allow_nan=False))
        scale.restore(record)
        assert scale.snapshot() == record


@pytest.mark.parametrize(
    "damage",
    [
        {"returns": [0.0]},
        {"returns": None},
        {"returns": [0.0, 0.0, math.nan]},
        {"count": -1},
        {"count": "many"},
        {"count": 0.5, "squares": -1.0},
        {"mean": math.inf},
        {"squares": math.nan},
        {"count": 2**53 + 1},
        {"count": 10**400},
        {"count": True},
        {"count": 4.0},
        {"count": 0},
        {"count": 0, "squares": 0.0},
        {"squares": 1e300},
        {"mean": 1e300},
        {"mean": 10**400},
        {"returns": [0.0, 0.0, -1e300]},
        {"returns": [0, 0, 10**400]},
        {"squares": [1.0]},
    ],
    ids=str,
)
def test_a_damaged_record_is_refused_and_changes_nothing(damage: dict[str, Any]) -> None:
    scale = RewardScale(ENVS, 0.9)
    scale.scaled(np.ones((4, ENVS), np.float32), np.zeros((4, ENVS), np.bool_))
    before = scale.snapshot()
    with pytest.raises((KeyError, TypeError, ValueError)):
        scale.restore(before | damage)
    with pytest.raises(KeyError):
        scale.restore({k: v for k, v in before.items() if k not in damage})
    assert scale.snapshot() == before
