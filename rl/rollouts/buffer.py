"""The buffers of a rollout: T steps of N environments, as PPO learns from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import Space
from numpy.typing import NDArray

from tutelage.rl.policy.policy import Policy
from tutelage.rl.tasks.arrays import ActionArray, BoolArray, FloatArray, IntArray


@dataclass
class Rollout:
    """T steps of N environments, time-major, in buffers that are used again for each rollout.

    observations: an array [T, N, ...] for each key; actions, greedy: [T, N, ...] (done, likeliest);
    log_probs, values, rewards, final_values: float32 [T, N]; params: float32 [T, N, P], the
    student's policy (`rl.policy.heads`); terminated, truncated: bool [T, N]; situation_ids,
    episodes: int64 [T, N], the episode's number in its environment; last_values: float32 [N];
    previous: float32 [T, N, E] and hidden: float32 [N, memory_size], the student's memory at each
    and at the first step. mask: bool [T, N, P], where environments say which actions are allowed;
    durations: int64 [T, N], the primitive steps of each. None where all are allowed, and each is
    one.
    """

    observations: dict[str, NDArray[Any]]
    actions: ActionArray
    greedy: ActionArray
    log_probs: FloatArray
    params: FloatArray
    values: FloatArray
    rewards: FloatArray
    final_values: FloatArray
    terminated: BoolArray
    truncated: BoolArray
    situation_ids: IntArray
    episodes: IntArray
    last_values: FloatArray
    previous: FloatArray
    hidden: FloatArray
    mask: BoolArray | None = None
    durations: IntArray | None = None

    @classmethod
    def allocate(cls, num_steps: int, num_envs: int, student: Policy) -> Rollout:
        """Buffers for a rollout of this student."""
        shape = (num_steps, num_envs)
        spec, head = student.spec, student.head
        memory = student.initial_state(num_envs)

        def floats(*more: int) -> FloatArray:
            return np.zeros((*shape, *more), dtype=np.float32)

        def zeros_in(space: Space[Any]) -> NDArray[Any]:
            return np.zeros((*shape, *(space.shape or ())), dtype=space.dtype)

        return cls(
            observations={key: zeros_in(each) for key, each in spec.observation_space.items()},
            actions=zeros_in(spec.action_space),
            greedy=zeros_in(spec.action_space),
            log_probs=floats(),
            params=floats(head.num_params),
            values=floats(),
            rewards=floats(),
            final_values=floats(),
            terminated=np.zeros(shape, dtype=np.bool_),
            truncated=np.zeros(shape, dtype=np.bool_),
            situation_ids=np.zeros(shape, dtype=np.int64),
            episodes=np.zeros(shape, dtype=np.int64),
            last_values=np.zeros(num_envs, dtype=np.float32),
            previous=floats(memory.previous.shape[1]),
            hidden=np.zeros_like(memory.hidden),
            mask=np.zeros((*shape, head.num_params), np.bool_) if spec.masks_actions else None,
        )

    @property
    def size(self) -> int:
        """How many steps it holds, T * N."""
        return self.rewards.size

    @property
    def env_steps(self) -> int:
        """How many primitive steps of the environments it holds."""
        return self.size if self.durations is None else int(self.durations.sum())

    def discounts(self, gamma: float) -> float | FloatArray:
        """The discount of each step, for `advantages_of`. gamma: that of a primitive step."""
        if self.durations is None:
            return gamma
        return np.asarray(gamma**self.durations, dtype=np.float32)


def flat(array: NDArray[Any]) -> NDArray[Any]:
    """Steps [T, N, ...] in rows t * N + i, [T * N, ...]."""
    return array.reshape(-1, *array.shape[2:])
