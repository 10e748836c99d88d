"""Drawing actions from a policy's logits."""

from __future__ import annotations

import numpy as np

from tutelage.rl.kernels import njit
from tutelage.rl.tasks.arrays import FloatArray, IntArray


def draw(logits: FloatArray, rng: np.random.Generator) -> tuple[IntArray, FloatArray, IntArray]:
    """Sample one action for each row of logits, float32 [B, A].

    Inverts each row's cumulative distribution. Returns the actions int64 [B], their
    log-probabilities float32 [B], and the likeliest actions int64 [B], the first of equals.
    """
    rows = len(logits)
    actions, greedy = np.empty(rows, np.int64), np.empty(rows, np.int64)
    log_probs = np.empty(rows, np.float32)
    _draw(logits, rng.random(rows, dtype=np.float32), actions, log_probs, greedy)
    return actions, log_probs, greedy


@njit(cache=True, nogil=True)
def _draw(
    logits: FloatArray,
    uniform: FloatArray,
    actions: IntArray,
    log_probs: FloatArray,
    greedy: IntArray,
) -> None:
    """Fill in the last three. uniform: float32 [B], in [0, 1), a draw for each row."""
    num_actions = logits.shape[1]
    sums = np.empty(num_actions)
    for b in range(logits.shape[0]):
        row = logits[b]
        best = row.argmax()
        total = 0.0
        for k in range(num_actions):
            total += np.exp(row[k] - row[best])
            sums[k] = total
        action = 0
        # The draw is below 1 and so below the last sum: an action of no weight is never drawn.
        while sums[action] <= uniform[b] * total:
            action += 1
        actions[b], greedy[b] = action, best
        log_probs[b] = np.float64(row[action]) - row[best] - np.log(total)


def rehearse() -> None:
    """Draw once, so that the loop is compiled and kept."""
    draw(np.zeros((1, 1), np.float32), np.random.default_rng(0))
