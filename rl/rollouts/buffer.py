"""The buffers of a rollout: T steps of N environments, as PPO learns from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tutelage.rl.tasks.arrays import BoolArray, CodeArray, FloatArray, IntArray
from tutelage.rl.tasks.base import ObservationSpec


@dataclass
class Rollout:
    """T steps of N environments, time-major, in buffers that are used again for each rollout.

    codes: uint8 [T, N, H, W]; features: float32 [T, N, F]; actions, greedy: int64 [T, N] (done,
    likeliest); log_probs, values, rewards, final_values: float32 [T, N]; logits: float32 [T, N, A],
    the student's policy; terminated, truncated: bool [T, N]; situation_ids: int64 [T, N];
    last_values: float32 [N]; previous: int64 [T, N] and hidden: float32 [N, memory_size], the
    student's memory at each and at the first step. allowed: bool [T, N, A], where observations say
    which actions are; durations: int64 [T, N], the primitive steps of each. None where all are
    allowed, and each is one.
    """

    codes: CodeArray
    features: FloatArray
    actions: IntArray
    greedy: IntArray
    log_probs: FloatArray
    logits: FloatArray
    values: FloatArray
    rewards: FloatArray
    final_values: FloatArray
    terminated: BoolArray
    truncated: BoolArray
    situation_ids: IntArray
    last_values: FloatArray
    previous: IntArray
    hidden: FloatArray
    allowed: BoolArray | None = None
    durations: IntArray | None = None

    @classmethod
    def allocate(
        cls,
        num_steps: int,
        num_envs: int,
        spec: ObservationSpec,
        num_actions: int,
        memory_size: int,
    ) -> Rollout:
        """Buffers for one rollout."""
        shape = (num_steps, num_envs)

        def floats(*more: int) -> FloatArray:
            return np.zeros((*shape, *more), dtype=np.float32)

        return cls(
            codes=np.zeros((*shape, spec.height, spec.width), dtype=np.uint8),
            features=floats(spec.features),
            actions=np.zeros(shape, dtype=np.int64),
            greedy=np.zeros(shape, dtype=np.int64),
            log_probs=floats(),
            logits=floats(num_actions),
            values=floats(),
            rewards=floats(),
            final_values=floats(),
            terminated=np.zeros(shape, dtype=np.bool_),
            truncated=np.zeros(shape, dtype=np.bool_),
            situation_ids=np.zeros(shape, dtype=np.int64),
            last_values=np.zeros(num_envs, dtype=np.float32),
            previous=np.zeros(shape, dtype=np.int64),
            hidden=np.zeros((num_envs, memory_size), dtype=np.float32),
            allowed=np.zeros((*shape, spec.slots), dtype=np.bool_) if spec.slots else None,
            durations=np.zeros(shape, dtype=np.int64) if spec.slots else None,
        )

    @property
    def size(self) -> int:
        """How many steps it holds, T * N."""
        return self.actions.size

    @property
    def env_steps(self) -> int:
        """How many primitive steps of the environments it holds."""
        return self.size if self.durations is None else int(self.durations.sum())

    def discounts(self, gamma: float) -> float | FloatArray:
        """The discount of each step, for `advantages_of`. gamma: that of a primitive step."""
        if self.durations is None:
            return gamma
        return np.asarray(gamma**self.durations, dtype=np.float32)
