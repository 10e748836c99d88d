"""Proximal policy optimisation with the teacher's advice as one more term of the loss.

The loss itself is in `rl.ppo.loss`, its gradient in `rl.ppo.gradients`; here are the epochs, the
minibatches and the gradient steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tutelage.rl.advice.labels import Labels
from tutelage.rl.policy.policy import Policy, with_actions
from tutelage.rl.ppo.adam import Adam
from tutelage.rl.ppo.gae import advantages_of
from tutelage.rl.ppo.gradients import gradient_into, views_of
from tutelage.rl.ppo.loss import LOSS_METRICS
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.rollouts.buffer import Rollout
from tutelage.rl.tasks.arrays import BoolArray, FloatArray

_ADAM: Final = "adam."
"""What the names of the optimiser's tensors begin with."""


@dataclass(frozen=True)
class UpdateReport:
    """Means over the gradient steps of one update; explained_variance is the rollout's."""

    policy_loss: float
    value_loss: float
    entropy: float
    advice_loss: float
    approx_kl: float
    clip_fraction: float
    explained_variance: float


class PPO:
    """Updates a student from rollouts."""

    def __init__(self, student: Policy, settings: PPOSettings, rng: np.random.Generator) -> None:
        self._student, self._settings, self._rng = student, settings, rng
        weights = joined(student.network)
        self._gradient = torch.empty_like(weights)
        self._differentiate = gradient_into(self._gradient, student.network)
        self._adam = Adam(weights)

    def update(
        self, rollout: Rollout, labels: Labels | None, teacher_weight: float, progress: float
    ) -> UpdateReport:
        """Some epochs of minibatches over a rollout. Without labels, or at weight 0, plain PPO.

        progress: the share of the run that is done, 0..1 (`PPOSettings.at`).
        """
        settings = self._settings.at(progress)
        advised = labels is not None and teacher_weight > 0 and bool(labels.coverage.any())
        advantages = advantages_of(
            rollout.rewards,
            rollout.values,
            rollout.terminated,
            rollout.truncated,
            rollout.final_values,
            rollout.last_values,
            rollout.discounts(settings.gamma),
            settings.gae_lambda,
        )
        returns = advantages + rollout.values
        batch = self._batch(rollout, advantages, returns, labels if advised else None)
        with _denormals_as_zero():
            means = self._epochs(batch, rollout, settings, teacher_weight)
        return UpdateReport(*[*means, explained_variance(rollout.values, returns)])

    def snapshot(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The network's and the optimiser's tensors by name, and the rest as JSON has it."""
        tensors = {f"network.{k}": t for k, t in self._student.network.state_dict().items()}
        tensors |= {f"{_ADAM}{name}": t for name, t in self._adam.tensors().items()}
        return tensors, {"rng": self._rng.bit_generator.state}

    def restore(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """The inverse of `snapshot`. Raises KeyError, RuntimeError, TypeError or ValueError for
        another network's, or for none.
        """
        network = {
            name.removeprefix("network."): tensor
            for name, tensor in tensors.items()
            if name.startswith("network.")
        }
        self._student.network.load_state_dict(network)
        moments = {
            name.removeprefix(_ADAM): tensor
            for name, tensor in tensors.items()
            if name.startswith(_ADAM)
        }
        self._adam.restore(moments)
        self._rng.bit_generator.state = record["rng"]

    def _epochs(
        self,
        batch: dict[str, Tensor],
        rollout: Rollout,
        settings: PPOSettings,
        teacher_weight: float,
    ) -> list[float]:
        """The gradient steps; the means of their LOSS_METRICS."""
        advised = "coverage" in batch
        losses = []
        for _ in range(settings.advised_epochs if advised else settings.epochs):
            losses += [
                self._step(minibatch, settings, teacher_weight)
                for minibatch in self._minibatches(batch, rollout)
            ]
            if (
                not advised
                and float(losses[-1][LOSS_METRICS.index("approx_kl")]) > settings.target_kl
            ):
                break
        means: list[float] = torch.stack(losses).mean(dim=0).tolist()
        return means

    def _minibatches(
        self, batch: dict[str, Tensor], rollout: Rollout
    ) -> Iterator[dict[str, Tensor]]:
        """The batch once through, shuffled: single steps, or a GRU's whole sequences.

        Each has [B] rows, or [T, B] where the student remembers, and then hidden [B, memory_size].
        """
        num_steps, num_envs = rollout.actions.shape
        device = self._student.device
        if not self._student.network.memory_size:
            order = torch.from_numpy(self._rng.permutation(rollout.size)).to(device)
            # Shuffled as a whole: a few large moves in place of many small ones.
            split = {
                name: torch.split(column.index_select(0, order), self._settings.minibatch_size)
                for name, column in batch.items()
            }
            for columns in zip(*split.values(), strict=True):
                yield dict(zip(split, columns, strict=True))
            return
        shape = (num_steps, num_envs)
        sequences = {n: c.view(shape + c.shape[1:]) for n, c in batch.items() if n != "hidden"}
        size = max(1, self._settings.minibatch_size // num_steps)
        for envs in torch.split(torch.from_numpy(self._rng.permutation(num_envs)).to(device), size):
            part = {name: column[:, envs] for name, column in sequences.items()}
            yield {**part, "hidden": batch["hidden"][envs]}

    def _batch(
        self, rollout: Rollout, advantages: FloatArray, returns: FloatArray, labels: Labels | None
    ) -> dict[str, Tensor]:
        """What the loss needs of each step, rows t * N + i, on the student's device."""
        arrays: dict[str, NDArray[Any]] = {
            "codes": rollout.codes,
            "features": rollout.features,
            "actions": rollout.actions,
            "log_probs": rollout.log_probs,
            "advantages": advantages,
            "returns": returns,
        }
        if rollout.allowed is not None:
            arrays["allowed"] = rollout.allowed
        if self._student.network.memory_size:
            arrays["features"] = with_actions(
                rollout.features, rollout.previous, self._student.num_actions
            )
            arrays["starts"] = _starts(rollout)
        flat = {
            name: array.reshape(rollout.size, *array.shape[2:]) for name, array in arrays.items()
        }
        if labels is not None:
            flat |= {"targets": labels.targets, "coverage": labels.coverage}
        if self._student.network.memory_size:
            flat["hidden"] = rollout.hidden
        return {name: torch.from_numpy(a).to(self._student.device) for name, a in flat.items()}

    def _step(
        self, batch: dict[str, Tensor], settings: PPOSettings, teacher_weight: float
    ) -> Tensor:
        """One gradient step; returns `rl.ppo.loss.LOSS_METRICS`, float64 [6]."""
        gradient, figures = self._gradient, self._differentiate(batch, settings, teacher_weight)
        norm = torch.linalg.vector_norm(gradient)
        gradient.mul_((settings.max_grad_norm / (norm + 1e-6)).clamp(max=1.0))
        self._adam.step(gradient, settings.learning_rate)
        return figures


@contextmanager
def _denormals_as_zero() -> Iterator[None]:
    """Numbers below 1e-38 count as 0 here, as the processor takes a hundred times as long for them.

    Adam's mean of a weight whose gradient stays 0 shrinks by a tenth each step, and then stops at
    the smallest of them for ever: after some 800 gradient steps an update took half as long again.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def joined(network: nn.Module) -> Tensor:
    """All weights of a network as one vector, of which its own are views from now on.

    One vector is clipped and moved by Adam in a few operations, where a dozen tensors take a few
    each.
    """
    vector = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
    views = views_of(vector, network)
    for name, parameter in network.named_parameters():
        parameter.data = views[name]
    return vector


def _starts(rollout: Rollout) -> BoolArray:
    """bool [T, N], where a step is its episode's first; at t = 0 the memory tells already."""
    starts = np.zeros_like(rollout.terminated)
    starts[1:] = rollout.terminated[:-1] | rollout.truncated[:-1]
    return starts


def explained_variance(values: FloatArray, returns: FloatArray) -> float:
    """1 - Var(returns - values) / Var(returns); 0 where the returns do not vary."""
    variance = float(np.var(returns))
    return 1.0 - float(np.var(returns - values)) / variance if variance > 0 else 0.0
