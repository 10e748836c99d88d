"""Generalised advantage estimation that bootstraps at time-outs."""

from __future__ import annotations

import numpy as np

from tutelage.rl.tasks.arrays import BoolArray, FloatArray


def advantages_of(
    rewards: FloatArray,
    values: FloatArray,
    terminated: BoolArray,
    truncated: BoolArray,
    final_values: FloatArray,
    last_values: FloatArray,
    gamma: float | FloatArray,
    gae_lambda: float,
) -> FloatArray:
    """GAE (Schulman et al. 2016, eq. 16), float32 [T, N]; returns are these plus the values.

    rewards, values: float32 [T, N]; terminated, truncated: bool [T, N].
    final_values: float32 [T, N], the value of the last observation of an episode truncated at that
    step: a time-out is not an end, so what would have followed is bootstrapped (Pardo et al. 2018,
    "Time Limits in Reinforcement Learning"). last_values: float32 [N], after the last step.
    gamma: the discount of a step, or float32 [T, N] where steps differ in length: gamma^k for one
    of k primitive steps (Sutton, Precup & Singh 1999), whose rewards are discounted already.
    """
    num_steps = len(rewards)
    discounts = gamma if isinstance(gamma, np.ndarray) else [gamma] * num_steps
    advantages = np.zeros_like(rewards)
    advantage = np.zeros_like(last_values)
    for t in reversed(range(num_steps)):
        next_values = values[t + 1] if t + 1 < num_steps else last_values
        next_values = np.where(truncated[t], final_values[t], next_values)
        next_values = np.where(terminated[t], 0.0, next_values)
        delta = rewards[t] + discounts[t] * next_values - values[t]
        goes_on = ~(terminated[t] | truncated[t])
        advantage = delta + discounts[t] * gae_lambda * goes_on * advantage
        advantages[t] = advantage
    return advantages
