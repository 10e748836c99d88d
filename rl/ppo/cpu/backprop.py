"""Back-propagation through the default network, written out by hand.

Without autograd's graph and its memory a gradient step takes three quarters of the time. The
operations are autograd's own, in the same order; `rl.ppo.gradients.AutogradGradient` gives the same
gradient but for rounding, which differs with the processor.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from tutelage.rl.policy.category_embedding import CategoryEmbeddingSum
from tutelage.rl.policy.encoders import VectorEncoder
from tutelage.rl.policy.heads import CategoricalHead
from tutelage.rl.policy.network import PolicyNetwork
from tutelage.rl.policy.policy import Policy
from tutelage.rl.ppo.gradients import OBSERVED, views_of
from tutelage.rl.ppo.loss import loss_gradients
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.tasks.spaces import is_vector


def supports(policy: Policy) -> bool:
    """Whether `BackpropGradient` can differentiate the policy's network.

    It must be on the CPU, read a grid by a `CategoryEmbeddingSum` and a float32 vector as it is,
    pick Discrete actions, and have no GRU.
    """
    network = policy.network
    return (
        policy.device.type == "cpu"
        and _grid_and_vector(network) is not None
        and isinstance(network.policy_head, CategoricalHead)
        and network.memory is None
        and all(
            s.dtype == np.float32 for s in policy.spec.observation_space.values() if is_vector(s)
        )
    )


def _grid_and_vector(network: PolicyNetwork) -> tuple[int, int] | None:
    """The places of the two encoders, where they are all that there is."""
    grids = [i for i, e in enumerate(network.encoders) if isinstance(e, CategoryEmbeddingSum)]
    vectors = [
        i
        for i, e in enumerate(network.encoders)
        if isinstance(e, VectorEncoder) and e.normaliser is None
    ]
    if len(network.encoders) != 2 or not grids or not vectors:
        return None
    return grids[0], vectors[0]


class BackpropGradient:
    """A `rl.ppo.gradients.Gradient` for the networks that `supports` names."""

    def __init__(self, vector: Tensor, network: PolicyNetwork) -> None:
        places = _grid_and_vector(network)
        assert places is not None
        grid = network.encoders[places[0]]
        assert isinstance(grid, CategoryEmbeddingSum)
        self._head, self._embedding = network.policy_head, grid
        self._grid, self._vector = (f"encoders.{place}" for place in places)
        self._keys = [OBSERVED + network.keys[place] for place in places]
        self._weights = {name: p.detach() for name, p in network.named_parameters()}
        self._gradients = views_of(vector, network)

    @torch.no_grad()
    def __call__(
        self, batch: Mapping[str, Tensor], settings: PPOSettings, teacher_weight: float
    ) -> Tensor:
        codes, vectors = batch[self._keys[0]].flatten(1), batch[self._keys[1]]
        first = self._linear(self._vector, vectors)
        first += self._weights[f"{self._grid}.bias"]
        self._embedding.add_rows(codes, first)
        first.relu_()
        second = self._linear("trunk", first).relu_()
        logits, values = self._linear("policy_head", second), self._linear("value_head", second)
        metrics, by_logits, by_values = loss_gradients(
            self._head, logits, values.squeeze(1), batch, settings, teacher_weight
        )
        by_second = self._linear_backward("policy_head", by_logits, second)
        by_second += self._linear_backward("value_head", by_values[:, None], second)
        _relu_backward(by_second, second)
        by_first = self._linear_backward("trunk", by_second, first)
        _relu_backward(by_first, first)
        self._weight_gradients(self._vector, by_first, vectors)
        by_bias, by_table = (self._gradients[f"{self._grid}.{n}"] for n in ("bias", "table"))
        by_bias.copy_(self._gradients[f"{self._vector}.bias"])
        self._embedding.scatter_rows(codes, by_first, by_table.zero_())
        return metrics

    def _linear(self, layer: str, inputs: Tensor) -> Tensor:
        """The layer's outputs."""
        weight, bias = self._weights[f"{layer}.weight"], self._weights[f"{layer}.bias"]
        return torch.addmm(bias, inputs, weight.t())

    def _linear_backward(self, layer: str, by_outputs: Tensor, inputs: Tensor) -> Tensor:
        """Fill in the gradients of the layer's weights; returns that of its inputs."""
        self._weight_gradients(layer, by_outputs, inputs)
        return by_outputs.mm(self._weights[f"{layer}.weight"])

    def _weight_gradients(self, layer: str, by_outputs: Tensor, inputs: Tensor) -> None:
        """Fill in the gradients of the layer's weights."""
        torch.mm(by_outputs.t(), inputs, out=self._gradients[f"{layer}.weight"])
        torch.sum(by_outputs, 0, out=self._gradients[f"{layer}.bias"])


def _relu_backward(by_outputs: Tensor, outputs: Tensor) -> None:
    """Turn the gradient of a ReLU's outputs into that of its inputs, in place.

    The outputs, which are never negative, are overwritten by their sign: 1 where the gradient
    passes. PyTorch's public operations have nothing as quick that leaves them alone.
    """
    by_outputs.mul_(outputs.sign_())
