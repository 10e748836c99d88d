"""The corridor of `toy_task`, whose first step is over only once the teacher has been asked."""

from __future__ import annotations

import threading
from typing import Final

from helpers.toy_task import Corridor, CorridorEnvs
from tutelage.rl.tasks.arrays import ActionArray, BoolArray
from tutelage.rl.tasks.base import Split, StepResult

ASKED: Final = threading.Event()
"""To be set by the server that is asked; a step that comes before that waits, for a while."""

PATIENCE_S: Final = 30.0


class _AttentiveEnvs(CorridorEnvs):
    def step(self, actions: ActionArray, active: BoolArray | None = None) -> StepResult:
        ASKED.wait(PATIENCE_S)
        return super().step(actions, active)


class Attentive(Corridor):
    """Training waits for the first question; evaluation does not."""

    def make_envs(self, num_envs: int, split: Split, seed: int) -> CorridorEnvs:
        kind = _AttentiveEnvs if split == "train" else CorridorEnvs
        return kind(num_envs, split, seed)
