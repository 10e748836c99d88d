"""PPO's loss and its gradient in one compiled loop over the steps of a minibatch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tutelage.rl.kernels import njit
from tutelage.rl.tasks.arrays import FloatArray, IntArray

Doubles = NDArray[np.float64]


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
    metrics: Doubles,
    by_logits: FloatArray,
    by_values: FloatArray,
) -> None:
    """Fill in the metrics and the gradients; arguments as in `rl.ppo.loss.loss_gradients`.

    logits are masked and advantages normalised already; metrics must be zeros. Row by row, with p
    the policy and l its logarithm:

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
        entropy, cross_entropy, target_sum = 0.0, 0.0, 0.0
        for k in range(num_actions):
            entropy -= pi[k] * log_pi[k]
            cross_entropy -= targets[b, k] * log_pi[k]
            target_sum += targets[b, k]
        weight = teacher_weight * coverage[b]
        for k in range(num_actions):
            gradient = entropy_coef * pi[k] * (log_pi[k] + entropy) - by_action * pi[k]
            gradient += weight * (pi[k] * target_sum - targets[b, k])
            if k == action:
                gradient += by_action
            by_logits[b, k] = gradient / rows
        by_values[b] = value_coef * error / rows
        metrics[0] -= gain / rows
        metrics[1] += 0.5 * error * error / rows
        metrics[2] += entropy / rows
        metrics[3] += coverage[b] * cross_entropy / rows
        metrics[4] += (ratio - 1 - log_ratio) / rows
        metrics[5] += (abs(ratio - 1) > clip_range) / rows


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


def rehearse() -> None:
    """Call it once, with one row and one action, so that it is compiled and kept."""
    row, table = np.zeros(1, np.float32), np.zeros((1, 1), np.float32)
    actions, metrics = np.zeros(1, np.int64), np.zeros(6)
    given = table, row, actions, row, row, row, table, row
    loss_kernel(*given, 0.0, 0.0, 0.0, 0.0, metrics, table.copy(), row.copy())
