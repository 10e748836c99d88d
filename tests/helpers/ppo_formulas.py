"""PPO's formulas written out again, row by row in float64, and made-up rollouts to try them on."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Categorical, Distribution, Normal, kl_divergence

from helpers.small_students import ACTIONS, decided, observations_for, student_of
from tutelage.rl.advice.labels import Labels
from tutelage.rl.policy.policy import Policy
from tutelage.rl.ppo.gae import advantages_of
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.rollouts.buffer import Rollout, flat
from tutelage.rl.tasks.spaces import ActionSpace

NUM_STEPS, NUM_ENVS, NUM_ACTIONS = 6, 4, 3
SIZE = NUM_STEPS * NUM_ENVS

STUDENTS: Final = ("features", "codes", "dense", "conv")


def student_with(kind: str = "dense", seed: int = 0, actions: str = "Discrete") -> Policy:
    """A student whose policy is far from uniform. kind, actions: of `small_students`."""
    return decided(student_of(kind, seed, action_space=ACTIONS[actions]))


def rollout_for(student: Policy, seed: int = 0, drift: float = 0.4) -> Rollout:
    """Random steps of an older policy, whose log-probabilities are off by about `drift`."""
    rng = np.random.default_rng(seed)
    shape = (NUM_STEPS, NUM_ENVS)
    rollout = Rollout.allocate(NUM_STEPS, NUM_ENVS, student)
    for t in range(NUM_STEPS):
        seen = observations_for(student.spec.observation_space, NUM_ENVS, seed + 100 * t)
        for key, array in seen.items():
            rollout.observations[key][t] = array
        rollout.params[t], _ = student.policy_and_value(seen)
        rollout.actions[t] = _any_actions(student, rollout.params[t], rng)
        log_pi = student.head.log_prob(
            *map(torch.from_numpy, (rollout.params[t], rollout.actions[t]))
        )
        rollout.log_probs[t] = log_pi.numpy()
    rollout.rewards[:], rollout.values[:] = rng.normal(size=shape), rng.normal(size=shape)
    rollout.terminated[:], rollout.truncated[:] = rng.random((2, *shape)) < 0.15
    rollout.final_values[:] = rng.normal(size=shape) * rollout.truncated
    rollout.last_values[:] = rng.normal(size=NUM_ENVS)
    rollout.log_probs += drift * rng.normal(size=shape).astype(np.float32)
    return rollout


def _any_actions(student: Policy, params: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Discrete ones whatever the policy; in a Box the policy's, or the ratios were all 0."""
    space = student.spec.action_space
    if isinstance(space, spaces.Box):
        return student.head.sample(params, rng)[0]
    sizes = space.n if isinstance(space, spaces.Discrete) else space.nvec
    return rng.integers(0, sizes, (len(params), *(space.shape or ())))


def labels_for(
    rows: int, seed: int = 0, unadvised: float = 0.4, actions: str = "Discrete"
) -> Labels:
    """Soft targets with coverage between 0 and 1, and rows without advice among them."""
    rng = np.random.default_rng(seed + 1000)
    space = ACTIONS[actions]
    if isinstance(space, spaces.Box):
        mean, deviation = rng.normal(size=(rows, 3)), rng.uniform(0.1, 1, (rows, 3))
        targets = np.concatenate((mean, deviation**2), axis=1).astype(np.float32)
    else:
        sizes = [space.n] if isinstance(space, spaces.Discrete) else space.nvec
        parts = [rng.dirichlet(np.ones(n), rows) for n in sizes]
        targets = np.concatenate(parts, axis=1).astype(np.float32)
    coverage = rng.random(rows).astype(np.float32)
    coverage[rng.random(rows) < unadvised] = 0.0
    targets[coverage == 0.0] = 0.0
    return Labels(targets, coverage)


def distributions(space: ActionSpace, params: Tensor) -> list[Distribution]:
    """PyTorch's own distributions of one row's independent parts. params: [P]."""
    if isinstance(space, spaces.Box):
        mean, log_std = params.chunk(2)
        return [Normal(m, s) for m, s in zip(mean, log_std.exp(), strict=True)]
    sizes = [int(space.n)] if isinstance(space, spaces.Discrete) else space.nvec.tolist()
    return [Categorical(logits=logits) for logits in params.split(sizes)]


def taught_distributions(space: ActionSpace, targets: Tensor) -> list[Distribution]:
    """What one row's targets describe. targets: [D]."""
    if isinstance(space, spaces.Box):
        mean, variance = targets.chunk(2)
        return [Normal(m, v.sqrt()) for m, v in zip(mean, variance, strict=True)]
    sizes = [int(space.n)] if isinstance(space, spaces.Discrete) else space.nvec.tolist()
    return [Categorical(probs=probs) for probs in targets.split(sizes)]


def parts_of(action: NDArray[Any]) -> list[Tensor]:
    """One row's action, a number for each part."""
    return [torch.tensor(number) for number in np.atleast_1d(action).tolist()]


def log_prob(space: ActionSpace, params: Tensor, action: NDArray[Any]) -> Tensor:
    """The log-probability of one row's action: of independent parts, the sum."""
    pairs = zip(distributions(space, params), parts_of(action), strict=True)
    return torch.stack([part.log_prob(chosen) for part, chosen in pairs]).sum()


def cross_entropy(space: ActionSpace, params: Tensor, targets: Tensor) -> Tensor:
    """H(p) + KL(p, q) of the independent parts of one row's targets p and policy q."""
    pairs = zip(taught_distributions(space, targets), distributions(space, params), strict=True)
    return torch.stack([p.entropy() + kl_divergence(p, q) for p, q in pairs]).sum()


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
    space = student.spec.action_space
    params, values = network(
        {key: _in_double(array) for key, array in rollout.observations.items()}
    )
    actions, old = flat(rollout.actions), _flat(rollout.log_probs)
    log_ratios = [log_prob(space, params[row], actions[row]) - old[row] for row in range(SIZE)]
    terms = {
        "policy_loss": [
            -_clipped_gain(log_ratios[row].exp(), float(scaled[row]), settings.clip_range)
            for row in range(SIZE)
        ],
        "value_loss": [(values[row] - returns[row]) ** 2 / 2 for row in range(SIZE)],
        "entropy": [
            torch.stack([part.entropy() for part in distributions(space, row)]).sum()
            for row in params
        ],
        "advice_loss": [_advice_term(labels, row, space, params[row]) for row in range(SIZE)],
        "approx_kl": [log_ratio.exp() - 1 - log_ratio for log_ratio in log_ratios],
        "clip_fraction": [
            (abs(log_ratio.exp() - 1) > settings.clip_range).double() for log_ratio in log_ratios
        ],
    }
    means = {name: torch.stack(rows).sum() / SIZE for name, rows in terms.items()}
    loss = (
        means["policy_loss"]
        + settings.value_coef * means["value_loss"] / np.var(returns)
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


def _advice_term(
    labels: Labels | None, row: int, space: ActionSpace, params: torch.Tensor
) -> torch.Tensor:
    """m(s) times the cross-entropy of student and teacher."""
    if labels is None or labels.coverage[row] == 0:
        return torch.zeros((), dtype=torch.float64)
    targets = torch.from_numpy(labels.targets[row]).double()
    return float(labels.coverage[row]) * cross_entropy(space, params, targets)


def _in_double(array: NDArray[Any]) -> Tensor:
    """Rows t * N + i, floats with twice the digits."""
    tensor = torch.from_numpy(flat(array))
    return tensor.double() if tensor.is_floating_point() else tensor


def _flat(array: Any) -> Any:
    return array.reshape(-1).astype(np.float64)


def _targets_of(rollout: Rollout, settings: PPOSettings) -> tuple[Any, Any]:
    """Advantages and returns, float64 [T * N]; `test_gae` holds the advantages to their sum."""
    assert settings.gamma is not None
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
