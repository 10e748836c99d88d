"""The corridor of `toy_task` played slowly: one episode at a time, in plain Python."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from helpers.toy_task import EXIT, LEFT, MAX_STEPS, PULL, RIGHT, Corridor, first_state
from tutelage.rl.policy.policy import Policy, make_policy
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.tasks.arrays import FloatArray
from tutelage.rl.tasks.base import Split
from tutelage.rl.tasks.seeding import episode_seed

TASK = Corridor()


def lively_student(seed: int = 0, scale: float = 60.0) -> Policy:
    """A student with a policy far from uniform, so that a wrong probability shows."""
    student = make_policy(TASK, StudentSettings(hidden=16), "cpu", seed)
    with torch.no_grad():
        student.network.policy_head.weight *= scale
    return student


@dataclass
class SlowEpisode:
    """One episode by the rules in `toy_task`'s docstring, in plain Python."""

    run_seed: int
    split: Split
    env: int
    number: int
    steps: int = 0
    down: bool = False
    return_: float = 0.0

    def __post_init__(self) -> None:
        seed = episode_seed(self.run_seed, self.split, self.env, self.number)
        self.position, self.lever = first_state(seed)

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Reward, terminated, truncated."""
        if action == LEFT:
            self.position -= 1
        if action == RIGHT and (self.position + 1 < EXIT or self.down):
            self.position += 1
        if action == PULL and self.position == self.lever:
            self.down = True
        self.steps += 1
        reward = -0.01
        if self.position == EXIT:
            reward += 1.0
        if self.position == 0:
            reward -= 0.5
        terminated = self.position in (0, EXIT)
        self.return_ += reward
        return reward, terminated, not terminated and self.steps == MAX_STEPS

    @property
    def situation_id(self) -> int:
        return int(self.down) + 2 * int(self.position == self.lever)

    @property
    def features(self) -> list[float]:
        left, right = self.lever < self.position, self.lever > self.position
        return [self.position / 4 - 1, left, not (left or right), right, self.down]

    def next(self) -> SlowEpisode:
        return SlowEpisode(self.run_seed, self.split, self.env, self.number + 1)


def policy_and_value(student: Policy, features: list[float]) -> tuple[FloatArray, float]:
    """log pi float32 [A] and the value of one observation."""
    row = torch.tensor([features], dtype=torch.float32)
    with torch.no_grad():
        logits, value = student.network({"features": row})
    return torch.log_softmax(logits, dim=1)[0].numpy(), value.item()
