"""The gradient that is written out by hand: autograd's is the reference, to the last bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.loss_batches import loss_batch
from tutelage.rl.policy.category_embedding import CategoryEmbeddingSum
from tutelage.rl.policy.network import PolicyNetwork
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.ppo.gradients import ByAutograd, ByHand, gradient_into
from tutelage.rl.ppo.ppo import joined
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.tasks.base import ObservationSpec

pytestmark = pytest.mark.usefixtures("one_thread")

NUM_ACTIONS = 5


def network_of(side: int, features: int, **options: object) -> PolicyNetwork:
    torch.manual_seed(side + features)
    parts = ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2))
    spec = ObservationSpec(side, side, len(parts), features, parts)
    return PolicyNetwork(spec, NUM_ACTIONS, StudentSettings.model_validate(options))


def batch_of(rows: int, side: int, features: int, seed: int, *more: str) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    near_uniform = torch.zeros(rows, NUM_ACTIONS)
    return {
        "codes": torch.randint(6, (rows, side, side), generator=random, dtype=torch.uint8),
        "features": torch.randn((rows, features), generator=random),
        **loss_batch(random, near_uniform, "advice" in more, "allowed" in more),
    }


@settings(max_examples=60, deadline=None)
@given(
    rows=st.sampled_from([1, 2, 7, 64, 512]),
    side=st.sampled_from([1, 3, 7]),
    features=st.sampled_from([1, 4, 73]),
    hidden=st.sampled_from([8, 32, 128]),
    more=st.sets(st.sampled_from(["advice", "allowed"])),
    seed=st.integers(0, 2**31),
)
def test_the_same_bits_as_autograds(
    rows: int, side: int, features: int, hidden: int, more: set[str], seed: int
) -> None:
    network = network_of(side, features, hidden=hidden)
    vector = torch.full_like(joined(network), torch.nan)
    other = vector.clone()
    batch = batch_of(rows, side, features, seed, *more)
    by_hand = ByHand(vector, network)(batch, PPOSettings(), 0.7)
    by_autograd = ByAutograd(other, network)(batch, PPOSettings(), 0.7)
    assert torch.isfinite(vector).all()
    assert torch.equal(vector, other)
    assert torch.equal(by_hand, by_autograd)


def test_it_follows_the_weights() -> None:
    """They are views of a vector that Adam moves: what is kept of them must be no copy."""
    network = network_of(7, 4)
    weights = joined(network)
    vector = torch.empty_like(weights)
    differentiate = gradient_into(vector, network)
    batch = batch_of(64, 7, 4, seed=0)
    differentiate(batch, PPOSettings(), 0.0)
    before = vector.clone()
    weights.mul_(0.5)
    differentiate(batch, PPOSettings(), 0.0)
    other = torch.empty_like(vector)
    ByAutograd(other, network)(batch, PPOSettings(), 0.0)
    assert torch.equal(vector, other)
    assert not torch.equal(vector, before)


def test_a_code_that_is_none_is_refused() -> None:
    network = network_of(3, 4)
    batch = batch_of(2, 3, 4, seed=0)
    batch["codes"][1, 2, 2] = 6
    vector = torch.empty_like(joined(network))
    with pytest.raises(IndexError, match="num_codes"):
        ByHand(vector, network)(batch, PPOSettings(), 0.0)


@pytest.mark.parametrize(
    ("options", "features", "by_hand"),
    [
        ({}, 4, True),
        ({}, 0, False),
        ({"body": "conv"}, 4, False),
        ({"memory": "gru"}, 4, False),
    ],
)
def test_which_networks_it_is_written_for(
    options: dict[str, object], features: int, by_hand: bool
) -> None:
    network = network_of(7, features, **options)
    vector = torch.empty_like(joined(network))
    assert isinstance(gradient_into(vector, network), ByHand) == by_hand
    assert isinstance(network.picture, CategoryEmbeddingSum) == ("body" not in options)
