"""Proximal policy optimisation (Schulman et al. 2017) with the teacher's advice in the loss.

`PPO.update` is the algorithm: advantages (`rl.ppo.gae`), epochs of minibatches, and for each one
the clipped gradient (`rl.ppo.gradients`) of the loss (`rl.ppo.loss`) and a step of Adam.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.adam import adam

from tutelage.rl.advice.labels import Labels
from tutelage.rl.policy.policy import Policy
from tutelage.rl.ppo.cpu.backprop import BackpropGradient, supports
from tutelage.rl.ppo.gae import advantages_of
from tutelage.rl.ppo.gradients import (
    OBSERVED,
    AutogradGradient,
    Gradient,
    flat_weights,
    observed,
)
from tutelage.rl.ppo.loss import LOSS_METRICS
from tutelage.rl.ppo.return_variance import ReturnVariance
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.rollouts.buffer import Rollout
from tutelage.rl.tasks.arrays import BoolArray, FloatArray

ADAM_EPSILON: Final = 1e-5
"""Larger than Adam's default, as in the reference implementations of PPO (Huang et al. 2022, "The
37 Implementation Details of PPO", detail 3)."""
_APPROX_KL: Final = LOSS_METRICS.index("approx_kl")
_NETWORK: Final = "network."
_ADAM: Final = "adam."
"""Prefixes of the names of a snapshot's tensors."""


@dataclass(frozen=True)
class UpdateReport:
    """The `LOSS_METRICS`, means over the gradient steps of one update, and how much of the returns'
    variance the rollout's values explain.
    """

    policy_loss: float
    value_loss: float
    entropy: float
    advice_loss: float
    approx_kl: float
    clip_fraction: float
    explained_variance: float


class PPO:
    """Updates a policy from rollouts."""

    def __init__(self, policy: Policy, settings: PPOSettings, rng: np.random.Generator) -> None:
        """settings: with a gamma. rng: shuffles the minibatches.

        The network's parameters become views of one vector. Raises ValueError without a gamma.
        """
        if settings.gamma is None:
            raise ValueError("the settings have no gamma: it is the task's (PPOSettings.gamma_for)")
        self._gamma = settings.gamma
        self._policy, self._settings, self._rng = policy, settings, rng
        self._weights = flat_weights(policy.network)
        self._gradient = torch.empty_like(self._weights)
        self._differentiate: Gradient = (
            BackpropGradient(self._gradient, policy.network)
            if supports(policy)
            else AutogradGradient(self._gradient, policy.network)
        )
        self._moments = new_moments(self._weights)
        self._return_variance = ReturnVariance()

    def update(
        self,
        rollout: Rollout,
        labels: Labels | None,
        teacher_weight: float,
        progress: float,
        success: float = 0.0,
    ) -> UpdateReport:
        """Learn from a rollout of T steps in N environments: some epochs of minibatches.

        labels: the teacher's advice for the rollout's T * N steps; without them, or
        at teacher_weight 0, this is plain PPO. progress: the share of the run that is done;
        success: the student's success rate, both 0..1 (`PPOSettings.at`).
        """
        # The entropy of a density has no lower bound: its chance is left to the policy gradient.
        settings = self._settings.at(progress, success if self._policy.head.counts else 0.0)
        advised = labels is not None and teacher_weight > 0 and bool(labels.coverage.any())
        advantages = advantages_of(
            rollout.rewards,
            rollout.values,
            rollout.terminated,
            rollout.truncated,
            rollout.final_values,
            rollout.last_values,
            rollout.discounts(self._gamma),
            settings.gae_lambda,
        )
        returns = advantages + rollout.values
        self._return_variance = self._return_variance.after(returns)
        settings = settings.in_units_of(self._return_variance.mean)
        batch = self._batch(rollout, advantages, returns, labels if advised else None)
        with _denormals_as_zero():
            means = self._epochs(batch, rollout, settings, teacher_weight)
        # Not before: the rollout's policy was that of the means and variances then.
        self._policy.network.count_observations(observed(batch))
        return UpdateReport(*[*means, explained_variance(rollout.values, returns)])

    def snapshot(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The network's and the optimiser's tensors by name, and the rest as JSON has it."""
        tensors = {f"{_NETWORK}{k}": t for k, t in self._policy.network.state_dict().items()}
        tensors |= {f"{_ADAM}{name}": tensor for name, tensor in self._moments.items()}
        record = {
            "rng": self._rng.bit_generator.state,
            "return_variance": self._return_variance.model_dump(),
        }
        return tensors, record

    def restore(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """The inverse of `snapshot`.

        Raises KeyError, RuntimeError, TypeError or ValueError where tensors are missing or belong
        to another network.
        """
        moments = _with_prefix(_ADAM, tensors)
        if _shapes(moments) != _shapes(self._moments):
            raise ValueError("the optimiser's tensors are those of another network")
        self._policy.network.load_state_dict(_with_prefix(_NETWORK, tensors))
        for name, tensor in moments.items():
            self._moments[name].copy_(tensor)
        self._return_variance = ReturnVariance.model_validate(record["return_variance"])
        self._rng.bit_generator.state = record["rng"]

    def _batch(
        self, rollout: Rollout, advantages: FloatArray, returns: FloatArray, labels: Labels | None
    ) -> dict[str, Tensor]:
        """What the loss needs of each step, in rows t * N + i, on the policy's device."""
        arrays: dict[str, NDArray[Any]] = {
            **{OBSERVED + key: array for key, array in rollout.observations.items()},
            "actions": rollout.actions,
            "log_probs": rollout.log_probs,
            "advantages": advantages,
            "returns": returns,
        }
        if rollout.mask is not None:
            arrays["mask"] = rollout.mask
        if self._policy.network.memory_size:
            arrays |= {"previous": rollout.previous, "starts": _starts(rollout)}
        flat = {
            name: array.reshape(rollout.size, *array.shape[2:]) for name, array in arrays.items()
        }
        if labels is not None:
            flat |= {"targets": labels.targets, "coverage": labels.coverage}
        if self._policy.network.memory_size:
            flat["hidden"] = rollout.hidden
        return {name: torch.from_numpy(a).to(self._policy.device) for name, a in flat.items()}

    def _epochs(
        self,
        batch: dict[str, Tensor],
        rollout: Rollout,
        settings: PPOSettings,
        teacher_weight: float,
    ) -> list[float]:
        """All gradient steps; returns the means of their LOSS_METRICS."""
        advised = "coverage" in batch
        steps = []
        for _ in range(settings.advised_epochs if advised else settings.epochs):
            steps += [
                self._step(minibatch, settings, teacher_weight)
                for minibatch in self._minibatches(batch, rollout)
            ]
            if not advised and steps[-1][_APPROX_KL] > settings.target_kl:
                break
        means: list[float] = torch.stack(steps).mean(dim=0).tolist()
        return means

    def _minibatches(
        self, batch: dict[str, Tensor], rollout: Rollout
    ) -> Iterator[dict[str, Tensor]]:
        """One pass over the shuffled batch: of single steps, or of a GRU's whole sequences.

        Each minibatch has [B] rows, or [T, B] for a recurrent policy, and then hidden
        [B, memory_size].
        """
        num_steps, num_envs = rollout.rewards.shape
        device = self._policy.device
        if not self._policy.network.memory_size:
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

    def _step(
        self, batch: dict[str, Tensor], settings: PPOSettings, teacher_weight: float
    ) -> Tensor:
        """One gradient step; returns `rl.ppo.loss.LOSS_METRICS`, float64 [6]."""
        gradient, metrics = self._gradient, self._differentiate(batch, settings, teacher_weight)
        norm = torch.linalg.vector_norm(gradient)
        gradient.mul_((settings.max_grad_norm / (norm + 1e-6)).clamp(max=1.0))
        adam_step(self._weights, gradient, self._moments, settings.learning_rate)
        return metrics


def new_moments(weights: Tensor) -> dict[str, Tensor]:
    """Adam's number of steps and its moments of a vector of weights, before the first step."""
    return {
        "step": torch.zeros((), device=weights.device),
        "exp_avg": torch.zeros_like(weights),
        "exp_avg_sq": torch.zeros_like(weights),
    }


def adam_step(
    weights: Tensor, gradient: Tensor, moments: Mapping[str, Tensor], learning_rate: float
) -> None:
    """A step of Adam (Kingma & Ba 2015, algorithm 1) against a gradient; all float32 [W].

    Moves weights and moments in place. In its functional form: the first step of
    `torch.optim.Adam`, which gives the same numbers, loads PyTorch's compiler for a second.
    """
    adam(
        [weights],
        [gradient],
        [moments["exp_avg"]],
        [moments["exp_avg_sq"]],
        [],
        [moments["step"]],
        fused=True,
        amsgrad=False,
        beta1=0.9,
        beta2=0.999,
        lr=learning_rate,
        weight_decay=0.0,
        eps=ADAM_EPSILON,
        maximize=False,
    )


def _with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


@contextmanager
def _denormals_as_zero() -> Iterator[None]:
    """Numbers below 1e-38 count as 0 here: the processor takes a hundred times as long for them.

    Adam's mean of a weight whose gradient stays 0 shrinks by a tenth each step, and then stops at
    the smallest of them for ever: after some 800 gradient steps an update took half as long again.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _starts(rollout: Rollout) -> BoolArray:
    """bool [T, N], where a step is its episode's first. At t = 0 the recurrent state tells."""
    starts = np.zeros_like(rollout.terminated)
    starts[1:] = rollout.terminated[:-1] | rollout.truncated[:-1]
    return starts


def explained_variance(values: FloatArray, returns: FloatArray) -> float:
    """1 - Var(returns - values) / Var(returns); 0 where the returns do not vary."""
    variance = float(np.var(returns))
    return 1.0 - float(np.var(returns - values)) / variance if variance > 0 else 0.0
