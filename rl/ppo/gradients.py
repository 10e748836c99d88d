"""The gradient of PPO's loss with respect to all weights of a network, as one flat vector.

One vector is clipped and moved by Adam in a few operations, where a dozen tensors take a few each.
`AutogradGradient` works for every network on every device; `rl.ppo.cpu.backprop` computes the same
gradient faster for the default network on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from tutelage.rl.policy.network import PolicyNetwork
from tutelage.rl.ppo.loss import loss_gradients
from tutelage.rl.ppo.settings import PPOSettings

OBSERVED: Final = "observed."
"""What the names of an observation's keys begin with in a minibatch."""


class Gradient(Protocol):
    """Computes gradients into the vector that it was created with."""

    def __call__(
        self, batch: Mapping[str, Tensor], settings: PPOSettings, teacher_weight: float
    ) -> Tensor:
        """Fill the vector with the gradient of a minibatch's loss.

        batch: the observations' keys behind the prefix OBSERVED, and what `loss_gradients` takes.
        For a recurrent network all of them are [T, B, ...], with previous float32 [T, B, E], starts
        bool [T, B] and hidden float32 [B, memory_size]. Returns the loss's `LOSS_METRICS`, float64
        [6].
        """
        ...


def flat_weights(network: nn.Module) -> Tensor:
    """All weights of a network as one vector, float32 [W]; its parameters become views of it."""
    vector = parameters_to_vector(network.parameters()).detach()
    vector_to_parameters(vector, network.parameters())
    return vector


def views_of(vector: Tensor, network: nn.Module) -> dict[str, Tensor]:
    """The slices of a vector, float32 [W], that belong to the network's parameters, by name."""
    named = dict(network.named_parameters())
    slices = torch.split(vector, [parameter.numel() for parameter in named.values()])
    return {
        name: piece.view_as(parameter)
        for (name, parameter), piece in zip(named.items(), slices, strict=True)
    }


class AutogradGradient:
    """PyTorch's autograd, for any network on any device."""

    def __init__(self, vector: Tensor, network: PolicyNetwork) -> None:
        self._vector, self._network = vector, network
        self._parameters = list(network.parameters())

    def __call__(
        self, batch: Mapping[str, Tensor], settings: PPOSettings, teacher_weight: float
    ) -> Tensor:
        params, values = self._policy_and_value(batch)
        if self._network.memory_size:
            batch = {name: c.flatten(0, 1) for name, c in batch.items() if name != "hidden"}
        metrics, by_params, by_values = loss_gradients(
            self._network.policy_head, params, values, batch, settings, teacher_weight
        )
        # A scalar with the loss's gradients: to take them of two tensors, PyTorch loads a library
        # for symbolic mathematics, which compares their shapes.
        surrogate = (params * by_params).sum() + (values * by_values).sum()
        gradients = torch.autograd.grad(surrogate, self._parameters)
        torch.cat([gradient.flatten() for gradient in gradients], out=self._vector)
        return metrics

    def _policy_and_value(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Parameters and values of a minibatch's rows; [T, B] is flattened, time-major."""
        network, observation = self._network, observed(batch)
        if network.memory_size:
            return network.unroll(observation, batch["previous"], batch["starts"], batch["hidden"])
        params, values = network(observation)
        return params, values


def observed(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The observations of a minibatch, by key."""
    return {n.removeprefix(OBSERVED): t for n, t in batch.items() if n.startswith(OBSERVED)}
