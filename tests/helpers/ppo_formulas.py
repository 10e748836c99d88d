"""PPO's formulas written out again, row by row in float64, and made-up rollouts to try them on."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tutelage.rl.advice.labels import Labels
from tutelage.rl.policy.policy import Policy, make_policy
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.ppo.gae import advantages_of
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.rollouts.buffer import Rollout
from tutelage.rl.tasks.base import Observation, ObservationSpec

NUM_STEPS, NUM_ENVS, NUM_ACTIONS = 6, 4, 3
SIZE = NUM_STEPS * NUM_ENVS

SMALL = StudentSettings(body="dense", hidden=16, embedding=3)
CONV = StudentSettings(body="conv", hidden=16, embedding=3)
STUDENTS = {
    "features": (ObservationSpec(0, 0, 0, 5), SMALL),
    "codes": (ObservationSpec(3, 4, 6, 0), SMALL),
    "dense": (ObservationSpec(3, 4, 6, 5), SMALL),
    "conv": (ObservationSpec(7, 6, 6, 5), CONV),
}


def student_with(kind: str = "dense", seed: int = 0) -> Policy:
    """A student whose policy is far from uniform."""
    spec, settings = STUDENTS[kind]
    student = make_policy("made up", spec, NUM_ACTIONS, settings, "cpu", seed)
    with torch.no_grad():
        student.network.policy_head.weight *= 100
    return student


def rollout_for(student: Policy, seed: int = 0, drift: float = 0.4) -> Rollout:
    """Random steps of an older policy, whose log-probabilities are off by about `drift`."""
    rng = np.random.default_rng(seed)
    spec, shape = student.spec, (NUM_STEPS, NUM_ENVS)
    rollout = Rollout.allocate(NUM_STEPS, NUM_ENVS, spec, NUM_ACTIONS, 0)
    rollout.codes[:] = rng.integers(0, max(spec.num_codes, 1), rollout.codes.shape)
    rollout.features[:] = rng.normal(size=rollout.features.shape)
    rollout.actions[:] = rng.integers(0, NUM_ACTIONS, shape)
    rollout.rewards[:], rollout.values[:] = rng.normal(size=shape), rng.normal(size=shape)
    rollout.terminated[:], rollout.truncated[:] = rng.random((2, *shape)) < 0.15
    rollout.final_values[:] = rng.normal(size=shape) * rollout.truncated
    rollout.last_values[:] = rng.normal(size=NUM_ENVS)
    for t in range(NUM_STEPS):
        logits, _ = student.policy_and_value(Observation(rollout.codes[t], rollout.features[t]))
        log_pi = torch.log_softmax(torch.from_numpy(logits), dim=1).numpy()
        rollout.log_probs[t] = log_pi[np.arange(NUM_ENVS), rollout.actions[t]]
    rollout.log_probs += drift * rng.normal(size=shape).astype(np.float32)
    return rollout


def labels_for(rows: int, seed: int = 0, unadvised: float = 0.4) -> Labels:
    """Soft targets with coverage between 0 and 1, and rows without advice among them."""
    rng = np.random.default_rng(seed + 1000)
    targets = rng.dirichlet(np.ones(NUM_ACTIONS), rows).astype(np.float32)
    coverage = rng.random(rows).astype(np.float32)
    coverage[rng.random(rows) < unadvised] = 0.0
    targets[coverage == 0.0] = 0.0
    return Labels(targets, coverage)


@dataclass
class Expected:
    """One gradient step's metrics, by their names in `UpdateReport`, and the loss's gradients."""

    metrics: dict[str, float]
    gradients: dict[str, Any]


def by_the_formulas(
    student: Policy, rollout: Rollout, labels: Labels | None, weight: float, settings: PPOSettings
) -> Expected:
    """Schulman et al. 2017 eq. 7 and 9 with the advice term: in float64, row by row."""
    network = copy.deepcopy(student.network).double()
    advantages, returns = _targets_of(rollout, settings)
    scaled = (advantages - advantages.mean()) / advantages.std(ddof=1)
    logits, values = network(
        torch.from_numpy(rollout.codes.reshape(SIZE, *rollout.codes.shape[2:])),
        torch.from_numpy(rollout.features.reshape(SIZE, -1)).double(),
    )
    log_pi = logits - logits.exp().sum(dim=1, keepdim=True).log()
    actions, old = rollout.actions.reshape(-1), _flat(rollout.log_probs)
    log_ratios = [log_pi[row, actions[row]] - old[row] for row in range(SIZE)]
    terms = {
        "policy_loss": [
            -_clipped_gain(log_ratios[row].exp(), float(scaled[row]), settings.clip_range)
            for row in range(SIZE)
        ],
        "value_loss": [(values[row] - returns[row]) ** 2 / 2 for row in range(SIZE)],
        "entropy": [-(log_pi[row].exp() @ log_pi[row]) for row in range(SIZE)],
        "advice_loss": [_advice_term(labels, row, log_pi[row]) for row in range(SIZE)],
        "approx_kl": [log_ratio.exp() - 1 - log_ratio for log_ratio in log_ratios],
        "clip_fraction": [
            (abs(log_ratio.exp() - 1) > settings.clip_range).double() for log_ratio in log_ratios
        ],
    }
    means = {name: torch.stack(rows).sum() / SIZE for name, rows in terms.items()}
    loss = (
        means["policy_loss"]
        + settings.value_coef * means["value_loss"]
        - settings.entropy_coef * means["entropy"]
        + weight * means["advice_loss"]
    )
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    metrics = {name: mean.item() for name, mean in means.items()}
    metrics["explained_variance"] = 1 - np.var(returns - _flat(rollout.values)) / np.var(returns)
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    return Expected(metrics, gradients)


def _clipped_gain(ratio: torch.Tensor, advantage: float, clip_range: float) -> torch.Tensor:
    """What a step gains: a good action counts up to 1 + clip, a bad one down to 1 - clip."""
    if advantage > 0 and ratio > 1 + clip_range:
        return torch.tensor((1 + clip_range) * advantage, dtype=torch.float64)
    if advantage < 0 and ratio < 1 - clip_range:
        return torch.tensor((1 - clip_range) * advantage, dtype=torch.float64)
    return ratio * advantage


def _advice_term(labels: Labels | None, row: int, log_pi: torch.Tensor) -> torch.Tensor:
    """m(s) times the cross-entropy of student and teacher."""
    if labels is None:
        return torch.zeros((), dtype=torch.float64)
    return -float(labels.coverage[row]) * (torch.from_numpy(labels.targets[row]).double() @ log_pi)


def _flat(array: Any) -> Any:
    return array.reshape(-1).astype(np.float64)


def _targets_of(rollout: Rollout, settings: PPOSettings) -> tuple[Any, Any]:
    """Advantages and returns, float64 [T * N]; `test_gae` holds the advantages to their sum."""
    advantages = advantages_of(
        rewards=rollout.rewards,
        values=rollout.values,
        terminated=rollout.terminated,
        truncated=rollout.truncated,
        final_values=rollout.final_values,
        last_values=rollout.last_values,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
    )
    return _flat(advantages), _flat(advantages + rollout.values)
