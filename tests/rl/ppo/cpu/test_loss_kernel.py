"""PPO's loss kernel against PyTorch's operations and autograd, which a GPU uses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from helpers.loss_batches import loss_batch
from tutelage.rl.policy.heads import CategoricalHead
from tutelage.rl.ppo.loss import by_autograd, by_kernel, loss_gradients
from tutelage.rl.ppo.settings import PPOSettings

pytestmark = pytest.mark.usefixtures("one_thread")


@st.composite
def minibatches(
    draw: st.DrawFn,
) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Logits, values and a minibatch, with and without advice and forbidden actions."""
    rows, actions = draw(st.integers(1, 9)), draw(st.integers(1, 5))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))

    scale, drift = draw(st.sampled_from((0.1, 3.0, 40.0))), draw(st.sampled_from((0.0, 0.3)))
    logits = torch.randn((rows, actions), generator=random) * scale
    batch = loss_batch(random, logits, draw(st.booleans()), draw(st.booleans()), drift)
    return logits, torch.randn(rows, generator=random), batch


@given(minibatches(), st.sampled_from((0.0, 0.7, 10.0)))
def test_the_kernel_gives_what_autograd_gives(
    made: tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]], teacher_weight: float
) -> None:
    logits, values, batch = made
    settings = PPOSettings(entropy_coef=0.02, value_coef=0.7)
    exact = {name: c.double() if c.is_floating_point() else c for name, c in batch.items()}
    head = CategoricalHead(1, logits.shape[1])

    def by_double(clip_range: float) -> tuple[torch.Tensor, ...]:
        near = settings.model_copy(update={"clip_range": clip_range})
        return by_autograd(head, logits.double(), values.double(), exact, near, teacher_weight)

    expected, *around = map(by_double, (clip := settings.clip_range, clip - 1e-4, clip + 1e-4))
    # On which side of the clip range a ratio is that lies on its edge, rounding decides.
    assume(torch.equal(around[0][0][5], around[1][0][5]))
    found = by_kernel(logits, values, batch, settings, teacher_weight)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-4)


def test_what_the_network_gave_stays_as_it_is() -> None:
    """The gradients go on into the network by way of its own graph."""
    weight = torch.ones((), requires_grad=True)
    logits, values = weight * torch.randn(4, 3), weight * torch.randn(4)
    batch = {
        "actions": torch.tensor([0, 1, 2, 0]),
        "log_probs": torch.full((4,), -1.0),
        "advantages": torch.randn(4),
        "returns": torch.zeros(4),
    }
    before = logits.detach().clone()
    _, by_logits, by_values = loss_gradients(
        CategoricalHead(1, 3), logits, values, batch, PPOSettings(), 0.0
    )
    assert torch.equal(logits, before)
    assert not by_logits.requires_grad
    torch.autograd.backward((logits, values), (by_logits, by_values))
    assert weight.grad is not None
