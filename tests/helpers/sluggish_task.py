"""The corridor of `toy_task` with steps that take long, to be interrupted in the midst of them."""

from __future__ import annotations

import time

from helpers.toy_task import Corridor, CorridorEnvs
from tutelage.rl.tasks.arrays import ActionArray, BoolArray
from tutelage.rl.tasks.base import Split, StepResult

STEP_S = 0.5
STUCK = "stuck in a step"
"""What a step says before it does not come back."""


class _SlowEnvs(CorridorEnvs):
    def step(self, actions: ActionArray, active: BoolArray | None = None) -> StepResult:
        time.sleep(STEP_S)
        return super().step(actions, active)


class _StuckEnvs(CorridorEnvs):
    def step(self, actions: ActionArray, active: BoolArray | None = None) -> StepResult:
        print(STUCK, flush=True)
        time.sleep(1000)
        return super().step(actions, active)


class SlowTraining(Corridor):
    """Every training step takes half a second."""

    def make_envs(self, num_envs: int, split: Split, seed: int) -> CorridorEnvs:
        kind = _SlowEnvs if split == "train" else CorridorEnvs
        return kind(num_envs, split, seed)


class SlowEvaluation(Corridor):
    """Every step of an evaluation takes half a second."""

    def make_envs(self, num_envs: int, split: Split, seed: int) -> CorridorEnvs:
        kind = _SlowEnvs if split == "evaluation" else CorridorEnvs
        return kind(num_envs, split, seed)


class Stuck(Corridor):
    """The first training step takes as good as for ever."""

    def make_envs(self, num_envs: int, split: Split, seed: int) -> CorridorEnvs:
        return _StuckEnvs(num_envs, split, seed)
