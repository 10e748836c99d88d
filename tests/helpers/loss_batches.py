"""Made-up minibatches for PPO's loss."""

from __future__ import annotations

import torch

from tutelage.rl.policy.heads import FORBIDDEN


def loss_batch(
    random: torch.Generator,
    logits: torch.Tensor,
    advised: bool,
    restricted: bool,
    drift: float = 0.3,
) -> dict[str, torch.Tensor]:
    """What the loss takes of B steps of discrete actions (`rl.ppo.loss.loss_gradients`).

    logits: float32 [B, A], of the older policy that acted, from which log_probs are off by about
    `drift`. restricted: whether some actions are not allowed.
    """
    rows, actions = logits.shape

    def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return torch.randn(shape, generator=random) * scale

    done = torch.randint(0, actions, (rows,), generator=random)
    mask = torch.ones(rows, actions).bool()
    if restricted:
        mask = torch.rand((rows, actions), generator=random) < 0.6
        mask.scatter_(1, done[:, None], torch.ones(rows, 1).bool())
    log_pi = logits.masked_fill(~mask, FORBIDDEN).log_softmax(dim=1)
    batch = {
        "actions": done,
        "log_probs": log_pi.gather(1, done[:, None]).squeeze(1) + normal(rows, scale=drift),
        "advantages": normal(rows, scale=2.0) + 1,
        "returns": normal(rows),
    }
    if not mask.all():
        batch["mask"] = mask
    if advised:
        batch["targets"] = normal(rows, actions).masked_fill(~mask, FORBIDDEN).softmax(dim=1)
        batch["coverage"] = torch.rand(rows, generator=random).round(decimals=1)
    return batch
