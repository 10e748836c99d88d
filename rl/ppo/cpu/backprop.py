"""Back-propagation through the default network, written out by hand.

Without autograd's graph and its memory a gradient step takes three quarters of the time. The
operations are autograd's own, in the same order; `rl.ppo.gradients.AutogradGradient` gives the same
gradient but for rounding, which differs with the processor.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.rl.policy.category_embedding import CategoryEmbeddingSum
from tutelage.rl.policy.network import PolicyNetwork
from tutelage.rl.policy.policy import Policy
from tutelage.rl.ppo.gradients import views_of
from tutelage.rl.ppo.loss import loss_gradients
from tutelage.rl.ppo.settings import PPOSettings


def supports(policy: Policy) -> bool:
    """Whether `BackpropGradient` can differentiate the policy's network.

    It must be on the CPU, read its picture by a `CategoryEmbeddingSum`, have features beside the
    picture, and no GRU.
    """
    network = policy.network
    return (
        policy.device.type == "cpu"
        and isinstance(network.picture, CategoryEmbeddingSum)
        and network.features is not None
        and network.memory is None
    )


class BackpropGradient:
    """A `rl.ppo.gradients.Gradient` for the networks that `supports` names."""

    def __init__(self, vector: Tensor, network: PolicyNetwork) -> None:
        assert isinstance(network.picture, CategoryEmbeddingSum)
        self._picture = network.picture
        self._weights = {name: p.detach() for name, p in network.named_parameters()}
        self._gradients = views_of(vector, network)

    @torch.no_grad()
    def __call__(
        self, batch: Mapping[str, Tensor], settings: PPOSettings, teacher_weight: float
    ) -> Tensor:
        features, codes = batch["features"], batch["codes"].flatten(1)
        first = self._linear("features", features)
        first += self._weights["picture.bias"]
        self._picture.add_rows(codes, first)
        first.relu_()
        second = self._linear("trunk", first).relu_()
        logits, values = self._linear("policy_head", second), self._linear("value_head", second)
        metrics, by_logits, by_values = loss_gradients(
            logits, values.squeeze(1), batch, settings, teacher_weight
        )
        by_second = self._linear_backward("policy_head", by_logits, second)
        by_second += self._linear_backward("value_head", by_values[:, None], second)
        _relu_backward(by_second, second)
        by_first = self._linear_backward("trunk", by_second, first)
        _relu_backward(by_first, first)
        self._weight_gradients("features", by_first, features)
        self._gradients["picture.bias"].copy_(self._gradients["features.bias"])
        self._picture.scatter_rows(codes, by_first, self._gradients["picture.table"].zero_())
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
