"""Heads: the last layer of a policy, and the distribution over actions that its outputs describe.

For each state a head gives P numbers, the distribution's parameters:

    Discrete        P = n, logits
    MultiDiscrete   P = sum of nvec, the parts' logits side by side
    Box             P = 2 * dimensions: means, then logarithms of standard deviations

What teachers say of actions has another form (`rl.tasks.action_targets`); `cross_entropy` compares
the two, and `as_targets` gives a policy the form of targets.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tutelage.rl.policy.sampling import draw
from tutelage.rl.tasks.action_targets import center_and_half
from tutelage.rl.tasks.arrays import ActionArray, FloatArray
from tutelage.rl.tasks.spaces import ACTION_SPACES, ActionSpace, is_vector

FORBIDDEN: Final = -1e8
"""The logit of an action that is not allowed: its probability and its gradient are 0 (Huang &
Ontañón 2022, "A Closer Look at Invalid Action Masking in Policy Gradient Algorithms")."""
_FIRST_LOG_STD: Final = -0.5
"""Of half the width of the box."""


class Head(nn.Linear, ABC):
    """The last layer of a policy, from float32 [B, width] to parameters, float32 [B, num_params].

    num_params: P. action_size: how many numbers `encode` makes of an action. counts: whether the
    actions can be counted, so that the entropy is never below 0.
    """

    num_params: int
    action_size: int
    counts = True

    @abstractmethod
    def log_prob(self, params: Tensor, actions: Tensor) -> Tensor:
        """The log-probability, or log-density, of each action, [B, ...]. Returns [B]."""

    @abstractmethod
    def entropy(self, params: Tensor) -> Tensor:
        """The entropy of each distribution, [B]."""

    @abstractmethod
    def cross_entropy(self, params: Tensor, targets: Tensor) -> Tensor:
        """-E log pi(a) over the targets' actions, [B]. targets: float32 [B, D]."""

    @abstractmethod
    def sample(
        self, params: FloatArray, rng: np.random.Generator
    ) -> tuple[ActionArray, FloatArray, ActionArray]:
        """Actions, their log-probabilities float32 [B], and the likeliest actions."""

    @abstractmethod
    def likeliest(self, params: FloatArray) -> ActionArray:
        """The likeliest action of each distribution; the first of equals."""

    @abstractmethod
    def as_targets(self, params: FloatArray) -> FloatArray:
        """The policy as a teacher would say it, float32 [B, D]."""

    @abstractmethod
    def encode(self, actions: ActionArray) -> FloatArray:
        """Actions as inputs of a network, float32 [B, action_size]."""


class CategoricalHead(Head):
    """Of a Discrete space."""

    def __init__(self, width: int, n: int) -> None:
        super().__init__(width, n)
        self.num_params = self.action_size = n

    def log_prob(self, params: Tensor, actions: Tensor) -> Tensor:
        return functional.log_softmax(params, dim=1).gather(1, actions[:, None]).squeeze(1)

    def entropy(self, params: Tensor) -> Tensor:
        log_pi = functional.log_softmax(params, dim=1)
        return -(log_pi.exp() * log_pi).sum(dim=1)

    def cross_entropy(self, params: Tensor, targets: Tensor) -> Tensor:
        return -(targets * functional.log_softmax(params, dim=1)).sum(dim=1)

    def sample(
        self, params: FloatArray, rng: np.random.Generator
    ) -> tuple[ActionArray, FloatArray, ActionArray]:
        return draw(params, rng)

    def likeliest(self, params: FloatArray) -> ActionArray:
        best: ActionArray = params.argmax(axis=1)
        return best

    def as_targets(self, params: FloatArray) -> FloatArray:
        return softmax(params)

    def encode(self, actions: ActionArray) -> FloatArray:
        return np.asarray(actions[:, None] == np.arange(self.action_size), dtype=np.float32)


class MultiCategoricalHead(Head):
    """Of a MultiDiscrete space: independent parts."""

    def __init__(self, width: int, nvec: Sequence[int]) -> None:
        super().__init__(width, sum(nvec))
        self.num_params = self.action_size = sum(nvec)
        self._nvec = list(nvec)
        self._ends = np.cumsum(nvec)[:-1]

    def log_prob(self, params: Tensor, actions: Tensor) -> Tensor:
        chosen = [
            log_pi.gather(1, actions[:, i : i + 1]) for i, log_pi in enumerate(self._logs(params))
        ]
        return torch.cat(chosen, dim=1).sum(dim=1)

    def entropy(self, params: Tensor) -> Tensor:
        log_pi = torch.cat(self._logs(params), dim=1)
        return -(log_pi.exp() * log_pi).sum(dim=1)

    def cross_entropy(self, params: Tensor, targets: Tensor) -> Tensor:
        return -(targets * torch.cat(self._logs(params), dim=1)).sum(dim=1)

    def sample(
        self, params: FloatArray, rng: np.random.Generator
    ) -> tuple[ActionArray, FloatArray, ActionArray]:
        parts = [draw(np.ascontiguousarray(logits), rng) for logits in self._split(params)]
        actions, log_probs, likeliest = zip(*parts, strict=True)
        return (
            np.stack(actions, axis=1),
            np.sum(log_probs, axis=0, dtype=np.float32),
            np.stack(likeliest, axis=1),
        )

    def likeliest(self, params: FloatArray) -> ActionArray:
        return np.stack([logits.argmax(axis=1) for logits in self._split(params)], axis=1)

    def as_targets(self, params: FloatArray) -> FloatArray:
        return np.concatenate([softmax(logits) for logits in self._split(params)], axis=1)

    def encode(self, actions: ActionArray) -> FloatArray:
        parts = [a[:, None] == np.arange(n) for a, n in zip(actions.T, self._nvec, strict=True)]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _logs(self, params: Tensor) -> list[Tensor]:
        """The log-probabilities of each part, [B, n]."""
        return [functional.log_softmax(p, dim=1) for p in torch.split(params, self._nvec, dim=1)]

    def _split(self, params: FloatArray) -> list[FloatArray]:
        return np.split(params, self._ends, axis=1)


class GaussianHead(Head):
    """Of a Box: independent dimensions, with standard deviations that do not depend on the state.

    The network works in units of half the box around its middle, so that it need not learn how wide
    the box is; parameters, actions and targets are the environment's own units. Actions are not
    clipped here: the log-density is that of what was drawn.
    """

    counts = False

    def __init__(self, width: int, low: NDArray[Any], high: NDArray[Any]) -> None:
        super().__init__(width, len(low))
        self.num_params, self.action_size = 2 * len(low), len(low)
        self._low, self._high = low.astype(np.float32), high.astype(np.float32)
        center, half = center_and_half(low, high)
        self._center: Tensor
        self._half: Tensor
        self.register_buffer("_center", torch.from_numpy(center), persistent=False)
        self.register_buffer("_half", torch.from_numpy(half), persistent=False)
        self.log_std = nn.Parameter(torch.full((len(low),), _FIRST_LOG_STD))

    def forward(self, hidden: Tensor) -> Tensor:
        """Means and log standard deviations, float32 [B, 2 * dimensions]."""
        mean = self._center + self._half * super().forward(hidden)
        log_std = (self.log_std + self._half.log()).expand_as(mean)
        return torch.cat((mean, log_std), dim=1)

    def log_prob(self, params: Tensor, actions: Tensor) -> Tensor:
        mean, log_std = params.chunk(2, dim=1)
        squared = ((actions - mean) * torch.exp(-log_std)).square()
        return -(0.5 * squared + log_std + 0.5 * math.log(2 * math.pi)).sum(dim=1)

    def entropy(self, params: Tensor) -> Tensor:
        return (params.chunk(2, dim=1)[1] + 0.5 * math.log(2 * math.pi * math.e)).sum(dim=1)

    def cross_entropy(self, params: Tensor, targets: Tensor) -> Tensor:
        """It depends on two moments of the targets alone, mean m and variance v:

        sum over dimensions of  log s + (v + (m - mean)^2) / (2 s^2) + log(2 pi) / 2
        """
        mean, log_std = params.chunk(2, dim=1)
        target_mean, variance = targets.chunk(2, dim=1)
        spread = variance + (target_mean - mean).square()
        terms = log_std + 0.5 * spread * torch.exp(-2 * log_std) + 0.5 * math.log(2 * math.pi)
        return terms.sum(dim=1)

    def sample(
        self, params: FloatArray, rng: np.random.Generator
    ) -> tuple[ActionArray, FloatArray, ActionArray]:
        mean, log_std = np.split(params, 2, axis=1)
        noise = rng.standard_normal(mean.shape, dtype=np.float32)
        actions = mean + np.exp(log_std) * noise
        # Not the noise's own: rounded, an action may have become a little more or less likely.
        squared = ((actions - mean) * np.exp(-log_std)) ** 2
        log_probs = -(0.5 * squared + log_std + 0.5 * math.log(2 * math.pi)).sum(axis=1)
        return actions, log_probs.astype(np.float32), self.likeliest(params)

    def likeliest(self, params: FloatArray) -> ActionArray:
        return np.clip(np.split(params, 2, axis=1)[0], self._low, self._high)

    def as_targets(self, params: FloatArray) -> FloatArray:
        mean, log_std = np.split(params, 2, axis=1)
        return np.concatenate((mean, np.exp(2 * log_std)), axis=1)

    def encode(self, actions: ActionArray) -> FloatArray:
        clipped = np.clip(actions, self._low, self._high)
        center, half = self._center.cpu().numpy(), self._half.cpu().numpy()
        return np.asarray((clipped - center) / half, dtype=np.float32)


def num_outputs(space: ActionSpace) -> int:
    """How many outputs the head of an action space has. Raises ValueError as `make_head` does."""
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return int(space.nvec.sum())
    if is_vector(space):
        return int(space.shape[0])
    raise ValueError(f"actions must be {ACTION_SPACES}: {space}")


def make_head(space: ActionSpace, width: int) -> Head:
    """The head of an action space. Raises ValueError for a space of another kind."""
    outputs = num_outputs(space)
    if isinstance(space, spaces.Discrete):
        return CategoricalHead(width, outputs)
    if isinstance(space, spaces.MultiDiscrete):
        return MultiCategoricalHead(width, [int(n) for n in space.nvec])
    return GaussianHead(width, space.low, space.high)


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities of each row of logits [B, A]."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32)
