"""PPO's loss with the teacher's advice, and its gradients by the policy's parameters and values.

    L = L_clip + value_coef * L_value - entropy_coef * H
        + teacher_weight * mean over steps of m(s) * CrossEntropy(pi_T(.|s), pi(.|s))

L_clip: Schulman et al. 2017, eq. 7. value_coef: here the setting of that name, divided by the
returns' variance (`rl.ppo.return_variance`). The advice term: kickstarting (Schmitt et al. 2018) as
in LLM4Teach (Zhou et al. 2024), with m(s) the coverage of the plans that can be carried out.

For Discrete actions on the CPU a compiled kernel computes both: PyTorch takes some sixty small
operations for it, longer than the network itself. Elsewhere PyTorch's own operations and autograd
do. Both give the same numbers but for rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor

from tutelage.rl.policy.heads import FORBIDDEN, CategoricalHead, Head
from tutelage.rl.ppo.cpu.loss_kernel import loss_kernel
from tutelage.rl.ppo.settings import PPOSettings

LOSS_METRICS: Final = (
    "policy_loss",
    "value_loss",
    "entropy",
    "advice_loss",
    "approx_kl",
    "clip_fraction",
)
"""The terms of a minibatch's loss, and how far the policy has moved; means over its steps."""


def loss_gradients(
    head: Head,
    params: Tensor,
    values: Tensor,
    batch: Mapping[str, Tensor],
    settings: PPOSettings,
    teacher_weight: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The LOSS_METRICS, float64 [6], and the loss's gradients by params [B, P] and values [B].

    head: what params: float32 [B, P] are the parameters for; values: float32 [B]; batch: actions
    [B, ...]; log_probs, advantages, returns: float32 [B]; mask: bool [B, P], where some discrete
    actions are not allowed; and with advice targets: float32 [B, D] and coverage: float32 [B], each
    step's weight in the advice term.
    """
    params, values = params.detach(), values.detach()
    if params.device.type == "cpu" and isinstance(head, CategoricalHead):
        return by_kernel(params, values, batch, settings, teacher_weight)
    return by_autograd(head, params, values, batch, settings, teacher_weight)


def by_autograd(
    head: Head,
    params: Tensor,
    values: Tensor,
    batch: Mapping[str, Tensor],
    settings: PPOSettings,
    teacher_weight: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`loss_gradients` for every head on any device."""
    params, values = params.requires_grad_(), values.requires_grad_()
    allowed = _masked(params, batch)
    log_ratio = head.log_prob(allowed, batch["actions"]) - batch["log_probs"]
    ratio = log_ratio.exp()
    advantages = normalised(batch["advantages"])
    clipped = ratio.clamp(1 - settings.clip_range, 1 + settings.clip_range)
    policy_loss = -torch.minimum(ratio * advantages, clipped * advantages).mean()
    value_loss = 0.5 * (values - batch["returns"]).square().mean()
    entropy = head.entropy(allowed).mean()
    loss = policy_loss + settings.value_coef * value_loss - settings.entropy_coef * entropy
    advice_loss = torch.zeros((), device=loss.device)
    if "coverage" in batch:
        # The mean is over all steps: where there is no advice, the coverage m(s) is 0.
        cross_entropy = head.cross_entropy(allowed, batch["targets"])
        advice_loss = (batch["coverage"] * cross_entropy).mean()
        loss = loss + teacher_weight * advice_loss
    by_params, by_values = torch.autograd.grad(loss, (params, values))
    with torch.no_grad():
        # Schulman's low-variance estimator of KL(old, new): mean of r - 1 - log r.
        approx_kl = (ratio - 1 - log_ratio).mean()
        clip_fraction = ((ratio - 1).abs() > settings.clip_range).float().mean()
        metrics = (policy_loss, value_loss, entropy, advice_loss, approx_kl, clip_fraction)
        return torch.stack([metric.detach() for metric in metrics]).double(), by_params, by_values


def by_kernel(
    logits: Tensor,
    values: Tensor,
    batch: Mapping[str, Tensor],
    settings: PPOSettings,
    teacher_weight: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`loss_gradients` for Discrete actions on the CPU."""
    rows, num_actions = logits.shape
    metrics = torch.zeros(len(LOSS_METRICS), dtype=torch.float64)
    by_logits, by_values = torch.empty_like(logits), torch.empty_like(values)
    advised = "coverage" in batch
    loss_kernel(
        _masked(logits, batch).numpy(),
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
        metrics.numpy(),
        by_logits.numpy(),
        by_values.numpy(),
    )
    if "mask" in batch:
        by_logits.masked_fill_(~batch["mask"], 0.0)
    return metrics, by_logits, by_values


def _masked(logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """The logits, with those of actions that are not allowed at FORBIDDEN."""
    return logits.masked_fill(~batch["mask"], FORBIDDEN) if "mask" in batch else logits


def normalised(advantages: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over a minibatch; a single one is only centred."""
    centred = advantages - advantages.mean()
    return centred if len(centred) < 2 else centred / (centred.std() + 1e-8)
