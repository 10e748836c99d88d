"""Adam on one vector: PyTorch's own optimiser is the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.rl.ppo.adam import Adam


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 300),
    seed=st.integers(0, 2**31),
    rates=st.lists(st.floats(1e-5, 0.5), min_size=1, max_size=6),
    scale=st.sampled_from([0.0, 1e-12, 1.0, 1e6]),
)
def test_the_same_numbers_as_pytorchs(
    size: int, seed: int, rates: list[float], scale: float
) -> None:
    draws = torch.from_numpy(np.random.default_rng(seed).normal(size=(len(rates) + 1, size)))
    start, gradients = draws[0].float(), scale * draws[1:].float()
    expected = torch.nn.Parameter(start.clone())
    reference = torch.optim.Adam([expected], eps=1e-5, fused=True)
    weights = start.clone()
    adam = Adam(weights)
    for gradient, rate in zip(gradients, rates, strict=True):
        reference.param_groups[0]["lr"] = rate
        expected.grad = gradient.clone()
        reference.step()
        adam.step(gradient, rate)
    assert torch.equal(weights, expected.detach())
    moments = reference.state[expected]
    assert {name: t.tolist() for name, t in adam.tensors().items()} == {
        name: t.tolist() for name, t in moments.items()
    }


def test_it_goes_on_where_it_was() -> None:
    gradients = torch.randn(4, 7, generator=torch.Generator().manual_seed(0))
    weights = torch.zeros(7)
    adam = Adam(weights)
    for gradient in gradients[:2]:
        adam.step(gradient, 0.1)
    moments = {name: tensor.clone() for name, tensor in adam.tensors().items()}
    resumed_weights = weights.clone()
    resumed = Adam(resumed_weights)
    resumed.restore(moments)
    for gradient in gradients[2:]:
        adam.step(gradient, 0.1)
        resumed.step(gradient, 0.1)
    assert torch.equal(weights, resumed_weights)
    assert float(adam.tensors()["step"]) == 4


@pytest.mark.parametrize("name", ["step", "exp_avg", "exp_avg_sq", None])
def test_another_networks_moments_are_refused(name: str | None) -> None:
    adam = Adam(torch.zeros(7))
    moments = dict(adam.tensors())
    if name is None:
        moments = {}
    else:
        moments[name] = torch.zeros(8)
    with pytest.raises(ValueError, match="another network"):
        adam.restore(moments)
