"""The gradient that is written out by hand: autograd's is the reference.

Both make the same operations in the same order. The matrix library picks its own way for each
processor and for each alignment of its outputs, and so the last bits may differ: the distance is
held to 1e-6 of the gradient's norm. That is some ten times float32's rounding error: normalised
advantages cancel in sums over 512 steps, which costs a digit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.loss_batches import loss_batch
from helpers.small_students import ACTIONS, ATTRIBUTES, student_for, vector
from tutelage.rl.policy.policy import Policy
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.ppo.cpu.backprop import BackpropGradient, supports
from tutelage.rl.ppo.gradients import OBSERVED, AutogradGradient, flat_weights
from tutelage.rl.ppo.ppo import PPO
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.tasks.spaces import CategoryGrid, ObservationSpace, Tokens

pytestmark = pytest.mark.usefixtures("one_thread")

NUM_ACTIONS = 5
GRID = CategoryGrid(3, 3, len(ATTRIBUTES), ATTRIBUTES)


def policy_of(side: int, features: int, **options: object) -> Policy:
    """Which of the two keys comes first depends on their sizes."""
    space: ObservationSpace = {
        **({"grid": CategoryGrid(side, side, len(ATTRIBUTES), ATTRIBUTES)} if side else {}),
        **({"features": vector(features)} if features else {}),
    }
    if side < features:
        space = dict(reversed(space.items()))
    settings = StudentSettings.model_validate(options)
    return student_for(space, Discrete(NUM_ACTIONS), settings, seed=side + features)


def batch_of(rows: int, side: int, features: int, seed: int, *more: str) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    near_uniform = torch.zeros(rows, NUM_ACTIONS)
    return {
        OBSERVED + "grid": torch.randint(
            6, (rows, side, side), generator=random, dtype=torch.uint8
        ),
        OBSERVED + "features": torch.randn((rows, features), generator=random),
        **loss_batch(random, near_uniform, "advice" in more, "mask" in more),
    }


@settings(max_examples=60, deadline=None)
@given(
    rows=st.sampled_from([1, 2, 7, 64, 512]),
    side=st.sampled_from([1, 3, 7]),
    features=st.sampled_from([1, 4, 95]),
    hidden=st.sampled_from([8, 32, 128]),
    more=st.sets(st.sampled_from(["advice", "mask"])),
    seed=st.integers(0, 2**31),
)
def test_it_is_autograds_gradient(
    rows: int, side: int, features: int, hidden: int, more: set[str], seed: int
) -> None:
    network = policy_of(side, features, hidden=hidden).network
    vector = torch.full_like(flat_weights(network), torch.nan)
    other = vector.clone()
    batch = batch_of(rows, side, features, seed, *more)
    metrics = BackpropGradient(vector, network)(batch, PPOSettings(), 0.7)
    expected = AutogradGradient(other, network)(batch, PPOSettings(), 0.7)
    assert_same_gradient(vector, other)
    torch.testing.assert_close(metrics, expected, rtol=1e-6, atol=1e-6)


def assert_same_gradient(found: Tensor, expected: Tensor) -> None:
    assert torch.isfinite(found).all()
    assert torch.linalg.vector_norm(found - expected) <= 1e-6 * torch.linalg.vector_norm(expected)


def test_it_follows_the_weights() -> None:
    """They are views of a vector that Adam moves: what is kept of them must be no copy."""
    network = policy_of(7, 4).network
    weights = flat_weights(network)
    vector = torch.empty_like(weights)
    differentiate = BackpropGradient(vector, network)
    batch = batch_of(64, 7, 4, seed=0)
    differentiate(batch, PPOSettings(), 0.0)
    before = vector.clone()
    weights.mul_(0.5)
    differentiate(batch, PPOSettings(), 0.0)
    other = torch.empty_like(vector)
    AutogradGradient(other, network)(batch, PPOSettings(), 0.0)
    assert_same_gradient(vector, other)
    assert (vector - before).abs().max() > 1e-3 * before.abs().max()


def test_a_code_that_is_none_is_refused() -> None:
    network = policy_of(3, 4).network
    batch = batch_of(2, 3, 4, seed=0)
    batch[OBSERVED + "grid"][1, 2, 2] = 6
    vector = torch.empty_like(flat_weights(network))
    with pytest.raises(IndexError, match="num_codes"):
        BackpropGradient(vector, network)(batch, PPOSettings(), 0.0)


@pytest.mark.parametrize(
    ("options", "side", "features", "supported"),
    [
        ({}, 7, 4, True),
        ({}, 7, 0, False),
        ({}, 0, 4, False),
        ({"body": "conv"}, 7, 4, False),
        ({"memory": "gru"}, 7, 4, False),
    ],
)
def test_which_networks_it_is_written_for(
    options: dict[str, object], side: int, features: int, supported: bool
) -> None:
    policy = policy_of(side, features, **options)
    assert supports(policy) == supported
    ppo = PPO(policy, PPOSettings(gamma=0.97), np.random.default_rng(0))
    assert isinstance(ppo._differentiate, BackpropGradient) == supported


@pytest.mark.parametrize(
    "other",
    [
        {"normalise": True},
        {"action_space": ACTIONS["MultiDiscrete"]},
        {"action_space": ACTIONS["Box"]},
        {"observation_space": {"grid": GRID, "a": vector(4), "b": vector(4)}},
        {"observation_space": {"grid": GRID, "words": Tokens(3)}},
        {"observation_space": {"grid": GRID, "a": Box(-1, 1, (4,), np.float64)}},
        {"observation_space": {"grid": GRID, "a": Box(-1, 1, (4,), np.float16)}},
        {"observation_space": {"a": vector(4), "b": vector(4)}},
        {"observation_space": {"grid": GRID, "other": GRID}},
    ],
    ids=str,
)
def test_what_it_is_not_written_for(other: dict[str, Any]) -> None:
    whole: dict[str, Any] = {"observation_space": {"grid": GRID, "features": vector(4)}}
    assert supports(student_for(**whole))
    assert not supports(student_for(**whole | other))


def test_other_devices_are_autograds() -> None:
    policy = policy_of(7, 4)
    policy.device = torch.device("meta")
    assert not supports(policy)
