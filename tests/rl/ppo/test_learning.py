"""Learning as a whole: reproducible, and good at what it is for. A broken learner fails here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.training import Training
from tutelage.rl.policy.policy import Policy

pytestmark = pytest.mark.usefixtures("one_thread")


def same_weights(one: Policy, other: Policy) -> bool:
    """Bit for bit."""
    pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def trained(seed: int, rollouts: int = 3) -> Policy:
    """Three rollouts of the corridor with a teacher, all streams from one seed."""
    run = Training(seed, taught=True)
    for _ in range(rollouts):
        run.advance()
    return run.student


def test_the_same_seed_gives_the_same_weights_bit_for_bit() -> None:
    one = trained(seed=0)
    # Whatever others draw from the global generators does not matter.
    torch.manual_seed(99)
    np.random.seed(99)
    assert same_weights(one, trained(seed=0))


def test_another_seed_gives_other_weights() -> None:
    assert not same_weights(trained(seed=0), trained(seed=1))


@pytest.mark.parametrize("stream", ["network", "actions", "minibatches"])
def test_each_stream_matters(stream: str) -> None:
    one, other = Training(0, taught=False), Training(0, taught=False, reseeded=stream)
    one.advance()
    other.advance()
    assert not same_weights(one.student, other.student)


@pytest.mark.parametrize("seed", [0, 1])
def test_ppo_learns_the_corridor_and_learns_it_sooner_with_a_teacher(seed: int) -> None:
    alone = Training(seed, taught=False).steps_to_95(most=6144)
    taught = Training(seed, taught=True).steps_to_95(most=3072)
    assert alone is not None, "PPO alone does not learn"
    assert taught is not None, "PPO with good advice does not learn"
    assert taught <= 0.7 * alone
