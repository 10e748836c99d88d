"""The unit of the value loss: a mean of the rollouts' variances, and what it does to an update."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from helpers.ppo_formulas import rollout_for, student_with
from tutelage.rl.ppo.gradients import views_of
from tutelage.rl.ppo.ppo import PPO
from tutelage.rl.ppo.return_variance import ReturnVariance
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.tasks.arrays import FloatArray

ONE_STEP = PPOSettings(gamma=0.97, epochs=1, minibatch_size=1024, max_grad_norm=1e6)


@given(st.lists(st.floats(0.1, 100.0), min_size=1, max_size=30))
def test_the_mean_is_the_weighted_one(spreads: list[float]) -> None:
    counted = ReturnVariance()
    for spread in spreads:
        counted = counted.after(np.array([[spread, -spread]], dtype=np.float32))
    variances = np.float32(spreads).astype(np.float64) ** 2
    weights = 0.98 ** np.arange(len(spreads))[::-1]
    assert counted.mean == pytest.approx(np.average(variances, weights=weights))


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_returns_that_are_not_finite_count_for_nothing(odd: float) -> None:
    counted = ReturnVariance().after(np.array([1.0, -1.0], np.float32))
    assert counted.after(np.array([1.0, odd], np.float32)) == counted


def test_noise_is_not_blown_up() -> None:
    assert ReturnVariance().mean == 1.0
    assert ReturnVariance().after(np.zeros((4, 2), np.float32)).mean == 1e-4


@pytest.mark.parametrize(
    "record",
    [{"total": -1.0, "weight": 0.5}, {"total": float("nan"), "weight": 0.5}, {"mean": 1.0}],
    ids=str,
)
def test_a_damaged_record_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ReturnVariance.model_validate(record)


@pytest.mark.parametrize("scale", [0.0625, 64.0])
def test_an_update_does_not_depend_on_the_unit_of_rewards(scale: float) -> None:
    """All that is measured in rewards is scaled: what the policy learns stays the same."""
    plain, scaled = gradients_with(1.0), gradients_with(scale)
    for name, gradient in plain.items():
        # A value's own weights have that unit, and their gradient its inverse.
        expected = gradient / scale if name.startswith("value_head") else gradient
        np.testing.assert_allclose(scaled[name], expected, rtol=1e-3, atol=1e-6, err_msg=name)


def gradients_with(scale: float) -> dict[str, FloatArray]:
    """Of one step, by the weights' names, with all rewards and values times a number."""
    student = student_with("features")
    rollout = rollout_for(student)
    for array in (rollout.rewards, rollout.values, rollout.final_values, rollout.last_values):
        array *= np.float32(scale)
    with torch.no_grad():
        student.network.value_head.weight.mul_(scale)
        student.network.value_head.bias.mul_(scale)
    ppo = PPO(student, ONE_STEP, np.random.default_rng(0))
    ppo.update(rollout, None, 0.0, 0.0)
    gradient = 10 * ppo.snapshot()[0]["adam.exp_avg"]
    return {name: part.numpy() for name, part in views_of(gradient, student.network).items()}
