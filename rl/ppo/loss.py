"""PPO's loss with the teacher's advice, and its gradient by what the network gave.

    L = L_clip + value_coef * L_value - entropy_coef * H
        + teacher_weight * mean over steps of m(s) * CrossEntropy(pi_T(.|s), pi(.|s))

L_clip: Schulman et al. 2017, eq. 7. The advice term: kickstarting (Schmitt et al. 2018) as in
LLM4Teach (Zhou et al. 2024), with m(s) the coverage of the plans that can be carried out.

On the CPU a loop over the steps computes both: PyTorch takes some sixty small operations for it,
longer than the network itself. Elsewhere PyTorch's own operations and autograd do. Both give the
same numbers but for rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tutelage.rl.policy.policy import FORBIDDEN
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.tasks.arrays import FloatArray, IntArray

LOSS_METRICS: Final = (
    "policy_loss",
    "value_loss",
    "entropy",
    "advice_loss",
    "approx_kl",
    "clip_fraction",
)
"""What a minibatch's loss is made of, means over its steps, and how far the policy has moved."""

Doubles = NDArray[np.float64]


def loss_of(
    logits: Tensor,
    values: Tensor,
    batch: Mapping[str, Tensor],
    settings: PPOSettings,
    teacher_weight: float,
) -> tuple[Tensor, Tensor]:
    """The LOSS_METRICS, float64 [6], and what to differentiate by the network's weights, a scalar.

    Its value is always 0: only its gradients count. Arguments as in `loss_gradients`.
    """
    figures, *gradients = loss_gradients(logits, values, batch, settings, teacher_weight)
    loss: Tensor = _Loss.apply(logits, values, *gradients)  # type: ignore[no-untyped-call]  # PyTorch's
    return figures, loss


class _Loss(torch.autograd.Function):
    """A scalar whose gradients are given. PyTorch takes gradients of logits and values as well, but
    loads a library for symbolic mathematics to compare their shapes.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        values: Tensor,  # noqa: ARG004 - an input all the same: gradients go to inputs
        by_logits: Tensor,
        by_values: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(by_logits, by_values)
        return torch.zeros((), device=logits.device)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        by_logits, by_values = ctx.saved_tensors
        return grads[0] * by_logits, grads[0] * by_values, None, None


def loss_gradients(
    logits: Tensor,
    values: Tensor,
    batch: Mapping[str, Tensor],
    settings: PPOSettings,
    teacher_weight: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The LOSS_METRICS, float64 [6], and the loss's gradients by logits [B, A] and values [B].

    logits: float32 [B, A]; values: float32 [B]; batch: actions int64 [B]; log_probs, advantages,
    returns: float32 [B]; allowed: bool [B, A], where not all actions are; and with advice targets:
    float32 [B, A] and coverage: float32 [B], each step's weight in the advice term.
    """
    judge = by_kernel if logits.device.type == "cpu" else by_autograd
    return judge(logits.detach(), values.detach(), batch, settings, teacher_weight)


def by_autograd(
    logits: Tensor,
    values: Tensor,
    batch: Mapping[str, Tensor],
    settings: PPOSettings,
    teacher_weight: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`loss_gradients` on any device."""
    logits, values = logits.requires_grad_(), values.requires_grad_()
    judged = logits.masked_fill(~batch["allowed"], FORBIDDEN) if "allowed" in batch else logits
    log_pi = functional.log_softmax(judged, dim=1)
    log_ratio = log_pi.gather(1, batch["actions"][:, None]).squeeze(1) - batch["log_probs"]
    ratio = log_ratio.exp()
    advantages = normalised(batch["advantages"])
    clipped = ratio.clamp(1 - settings.clip_range, 1 + settings.clip_range)
    policy_loss = -torch.minimum(ratio * advantages, clipped * advantages).mean()
    value_loss = 0.5 * (values - batch["returns"]).square().mean()
    entropy = -(log_pi.exp() * log_pi).sum(dim=1).mean()
    loss = policy_loss + settings.value_coef * value_loss - settings.entropy_coef * entropy
    advice = torch.zeros((), device=loss.device)
    if "coverage" in batch:
        # The mean is over all steps: where there is no advice, m is 0 (DESIGN "Words").
        advice = -(batch["coverage"] * (batch["targets"] * log_pi).sum(dim=1)).mean()
        loss = loss + teacher_weight * advice
    by_logits, by_values = torch.autograd.grad(loss, (logits, values))
    with torch.no_grad():
        # Schulman's low-variance estimator of KL(old, new): mean of r - 1 - log r.
        approx_kl = (ratio - 1 - log_ratio).mean()
        clip_fraction = ((ratio - 1).abs() > settings.clip_range).float().mean()
        figures = (policy_loss, value_loss, entropy, advice, approx_kl, clip_fraction)
        return torch.stack([figure.detach() for figure in figures]).double(), by_logits, by_values


def normalised(advantages: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over a minibatch; a single one is only centred."""
    centred = advantages - advantages.mean()
    return centred if len(centred) < 2 else centred / (centred.std() + 1e-8)


def by_kernel(
    logits: Tensor,
    values: Tensor,
    batch: Mapping[str, Tensor],
    settings: PPOSettings,
    teacher_weight: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`loss_gradients` on the CPU."""
    rows, num_actions = logits.shape
    figures = torch.zeros(len(LOSS_METRICS), dtype=torch.float64)
    by_logits, by_values = torch.empty_like(logits), torch.empty_like(values)
    judged = logits.masked_fill(~batch["allowed"], FORBIDDEN) if "allowed" in batch else logits
    advised = "coverage" in batch
    loss_kernel(
        judged.numpy(),
        values.numpy(),
        batch["actions"].numpy(),
        batch["log_probs"].numpy(),
        normalised(batch["advantages"]).numpy(),
        batch["returns"].numpy(),
        batch["targets"].numpy() if advised else np.zeros((rows, num_actions), np.float32),
        batch["coverage"].numpy() if advised else np.zeros(rows, np.float32),
        settings.clip_range,
        settings.value_coef,
        settings.entropy_coef,
        teacher_weight,
        figures.numpy(),
        by_logits.numpy(),
        by_values.numpy(),
    )
    if "allowed" in batch:
        by_logits.masked_fill_(~batch["allowed"], 0.0)
    return figures, by_logits, by_values


@njit(cache=True, nogil=True)
def loss_kernel(
    logits: FloatArray,
    values: FloatArray,
    actions: IntArray,
    log_probs: FloatArray,
    advantages: FloatArray,
    returns: FloatArray,
    targets: FloatArray,
    coverage: FloatArray,
    clip_range: float,
    value_coef: float,
    entropy_coef: float,
    teacher_weight: float,
    figures: Doubles,
    by_logits: FloatArray,
    by_values: FloatArray,
) -> None:
    """Row by row, with p the policy and l its logarithm:

    d l[a] / d logits[k] = (a == k) - p[k]
    d -H   / d logits[k] = p[k] * (l[k] + H)
    d CE   / d logits[k] = p[k] * sum(targets) - targets[k]
    """
    rows, num_actions = logits.shape
    log_pi, pi = np.empty(num_actions), np.empty(num_actions)
    for b in range(rows):
        _log_softmax(logits[b], log_pi, pi)
        action, advantage = actions[b], np.float64(advantages[b])
        log_ratio = log_pi[action] - log_probs[b]
        ratio = np.exp(log_ratio)
        clipped = min(max(ratio, 1 - clip_range), 1 + clip_range)
        gain = min(ratio * advantage, clipped * advantage)
        # Where the clipped gain is the smaller one, it does not depend on the policy any more.
        by_action = -ratio * advantage if ratio * advantage <= clipped * advantage else 0.0
        error = np.float64(values[b]) - returns[b]
        entropy, advice, told = 0.0, 0.0, 0.0
        for k in range(num_actions):
            entropy -= pi[k] * log_pi[k]
            advice -= targets[b, k] * log_pi[k]
            told += targets[b, k]
        weight = teacher_weight * coverage[b]
        for k in range(num_actions):
            gradient = entropy_coef * pi[k] * (log_pi[k] + entropy) - by_action * pi[k]
            gradient += weight * (pi[k] * told - targets[b, k])
            if k == action:
                gradient += by_action
            by_logits[b, k] = gradient / rows
        by_values[b] = value_coef * error / rows
        figures[0] -= gain / rows
        figures[1] += 0.5 * error * error / rows
        figures[2] += entropy / rows
        figures[3] += coverage[b] * advice / rows
        figures[4] += (ratio - 1 - log_ratio) / rows
        figures[5] += (abs(ratio - 1) > clip_range) / rows


@njit(cache=True, nogil=True, inline="always")
def _log_softmax(logits: FloatArray, log_pi: Doubles, pi: Doubles) -> None:
    """Fill in log pi and pi of one row."""
    top = logits.max()
    total = 0.0
    for k in range(len(logits)):
        pi[k] = np.exp(np.float64(logits[k] - top))
        total += pi[k]
    log_total = np.log(total)
    for k in range(len(logits)):
        pi[k] /= total
        log_pi[k] = np.float64(logits[k] - top) - log_total
