"""Adam (Kingma & Ba 2015, algorithm 1) on one vector of weights, by PyTorch's fused kernel.

`torch.optim.Adam` calls the same kernel, but loads PyTorch's compiler first, which takes a tenth of
a short run's time. A test holds the two to the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

_BETAS: Final = (0.9, 0.999)
_EPSILON: Final = 1e-5
"""Larger than Adam's own: as PPO takes it (Huang et al. 2022, "The 37 Implementation Details of
PPO", detail 3)."""


class Adam:
    """Moves a vector of weights, float32 [W], in place. Its moments are kept beside it."""

    def __init__(self, weights: Tensor) -> None:
        self._weights = weights
        self._moments = {
            "step": torch.zeros((), device=weights.device),
            "exp_avg": torch.zeros_like(weights),
            "exp_avg_sq": torch.zeros_like(weights),
        }

    def step(self, gradient: Tensor, learning_rate: float) -> None:
        """One step against a gradient, float32 [W]."""
        count, mean, square = self._moments.values()
        count += 1
        beta1, beta2 = _BETAS
        torch.ops.aten._fused_adam_(
            [self._weights],
            [gradient],
            [mean],
            [square],
            [],
            [count],
            lr=learning_rate,
            beta1=beta1,
            beta2=beta2,
            weight_decay=0.0,
            eps=_EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def tensors(self) -> dict[str, Tensor]:
        """How many steps there were, and the two moments, by name; not copies."""
        return dict(self._moments)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`. Raises ValueError for another network's, or for none."""
        if _shapes(tensors) != _shapes(self._moments):
            raise ValueError("the optimiser's tensors are those of another network")
        for name, tensor in tensors.items():
            self._moments[name].copy_(tensor)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
