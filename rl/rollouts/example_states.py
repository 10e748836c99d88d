"""States of a task to show or to ask about, met by an agent that acts at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.base import States, Task
from tutelage.rl.tasks.seeding import generator

_ENVS: Final = 8
_STEPS: Final = 64


@dataclass(frozen=True)
class ExampleState:
    """A situation's id, and one of its states drawn as text."""

    situation_id: int
    picture: str


def rich_state(task: Task, seed: int) -> ExampleState:
    """A state in which there is much to choose from: of those met, the most options on offer."""
    rng = generator(seed, "actions")
    targets = action_targets(task.action_space)
    envs = task.make_envs(_ENVS, "train", seed)
    try:
        envs.reset()
        met: list[States] = []
        for _ in range(_STEPS):
            met.append(envs.states()[:])
            envs.step(targets.draw(targets.uniform(envs.action_mask(), _ENVS), rng))
        states = met[0].concat(met)
        situation_ids, rows = np.unique(task.situation_ids(states), return_index=True)
        choices = [len(task.options(int(situation_id))) for situation_id in situation_ids]
        best = int(np.argmax(choices))
        return ExampleState(int(situation_ids[best]), task.picture(states, int(rows[best])))
    finally:
        envs.close()
