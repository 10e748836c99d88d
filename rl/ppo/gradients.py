"""The gradient of PPO's loss by all of a network's weights, as one vector.

Autograd gives it for every network on every device. The default network's, on the CPU, is written
out by hand: the same operations in the same order give the same numbers to the last bit, and
without autograd's graph and its memory a gradient step takes three quarters of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from tutelage.rl.policy.category_embedding import CategoryEmbeddingSum
from tutelage.rl.policy.network import PolicyNetwork
from tutelage.rl.ppo.loss import loss_gradients, loss_of
from tutelage.rl.ppo.settings import PPOSettings


class Gradient(Protocol):
    """Fills the vector that it was made for."""

    def __call__(
        self, batch: Mapping[str, Tensor], settings: PPOSettings, teacher_weight: float
    ) -> Tensor:
        """The gradient of a minibatch's loss; returns `rl.ppo.loss.LOSS_METRICS`, float64 [6].

        batch: codes uint8 [B, H, W], features float32 [B, F], and what the loss takes; where the
        network remembers, all of them as [T, B, ...], with starts bool [T, B] and hidden
        float32 [B, memory_size].
        """
        ...


def gradient_into(vector: Tensor, network: PolicyNetwork) -> Gradient:
    """What fills `vector`, float32 [W], with gradients, in the order of the parameters."""
    on_cpu = vector.device.type == "cpu"
    if (
        on_cpu
        and isinstance(network.picture, CategoryEmbeddingSum)
        and network.features
        and not network.memory
    ):
        return ByHand(vector, network)
    return ByAutograd(vector, network)


def views_of(vector: Tensor, network: nn.Module) -> dict[str, Tensor]:
    """The parts of a vector, float32 [W], that stand for the network's parameters, by name."""
    named = dict(network.named_parameters())
    parts = torch.split(vector, [parameter.numel() for parameter in named.values()])
    return {
        name: part.view_as(parameter)
        for (name, parameter), part in zip(named.items(), parts, strict=True)
    }


class ByAutograd:
    """For any network."""

    def __init__(self, vector: Tensor, network: PolicyNetwork) -> None:
        self._vector, self._network = vector, network
        self._parameters = list(network.parameters())

    def __call__(
        self, batch: Mapping[str, Tensor], settings: PPOSettings, teacher_weight: float
    ) -> Tensor:
        logits, values = self._logits_and_values(batch)
        if self._network.memory_size:
            batch = {name: c.flatten(0, 1) for name, c in batch.items() if name != "hidden"}
        figures, loss = loss_of(logits, values, batch, settings, teacher_weight)
        parts = torch.autograd.grad(loss, self._parameters)
        torch.cat([part.flatten() for part in parts], out=self._vector)
        return figures

    def _logits_and_values(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Logits and values of a minibatch, in the order of its rows, [T, B] flattened."""
        network = self._network
        if not network.memory_size:
            judged: tuple[Tensor, Tensor] = network(batch["codes"], batch["features"])
            return judged
        return network.unroll(batch["codes"], batch["features"], batch["starts"], batch["hidden"])


class ByHand:
    """For a picture read by `CategoryEmbeddingSum`, features beside it, and no memory; on the
    CPU."""

    def __init__(self, vector: Tensor, network: PolicyNetwork) -> None:
        self._weights = {name: p.detach() for name, p in network.named_parameters()}
        self._gradients = views_of(vector, network)
        assert isinstance(network.picture, CategoryEmbeddingSum)
        self._picture = network.picture

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
        figures, by_logits, by_values = loss_gradients(
            logits, values.squeeze(1), batch, settings, teacher_weight
        )
        by_second = self._back("policy_head", by_logits, second)
        by_second += self._back("value_head", by_values[:, None], second)
        by_first = self._back("trunk", _through_relu(by_second, second), first)
        by_sums = _through_relu(by_first, first)
        self._weigh("features", by_sums, features)
        self._gradients["picture.bias"].copy_(self._gradients["features.bias"])
        self._picture.scatter_rows(codes, by_sums, self._gradients["picture.table"].zero_())
        return figures

    def _linear(self, layer: str, inputs: Tensor) -> Tensor:
        """The layer's outputs."""
        weight, bias = self._weights[f"{layer}.weight"], self._weights[f"{layer}.bias"]
        return torch.addmm(bias, inputs, weight.t())

    def _back(self, layer: str, by_outputs: Tensor, inputs: Tensor) -> Tensor:
        """The gradients by the layer's weights, and by its inputs, which are returned."""
        self._weigh(layer, by_outputs, inputs)
        return by_outputs.mm(self._weights[f"{layer}.weight"])

    def _weigh(self, layer: str, by_outputs: Tensor, inputs: Tensor) -> None:
        """The gradients by the layer's weights."""
        torch.mm(by_outputs.t(), inputs, out=self._gradients[f"{layer}.weight"])
        torch.sum(by_outputs, 0, out=self._gradients[f"{layer}.bias"])


def _through_relu(by_outputs: Tensor, outputs: Tensor) -> Tensor:
    """The gradient by a ReLU's inputs: 0 where its outputs are."""
    by_inputs: Tensor = torch.ops.aten.threshold_backward(by_outputs, outputs, 0)
    return by_inputs
