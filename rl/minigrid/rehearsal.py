"""A task's kernels, each called once on a world of one agent, so that they are compiled and kept.

In two parts that have next to nothing in common, for two processes.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tutelage.rl.kernels import confirm
from tutelage.rl.minigrid.codes import NUM_COLORS
from tutelage.rl.minigrid.colors import recolored
from tutelage.rl.minigrid.engine.families import Family
from tutelage.rl.minigrid.engine.rules import play
from tutelage.rl.minigrid.engine.simulator import BatchedSimulator
from tutelage.rl.minigrid.memory_map import carried_in
from tutelage.rl.minigrid.simulator import Frames
from tutelage.rl.minigrid.vector import GridVectorEnv
from tutelage.rl.tasks.arrays import BoolArray, FloatArray, IntArray
from tutelage.rl.tasks.base import Task

_ONE: Final = 1


def rehearse_levels(family: Family) -> None:
    """Drawing levels, playing them, and what is seen of them."""
    simulator = BatchedSimulator(family, _ONE)
    rows = np.arange(_ONE)
    simulator.restart(rows, rows)
    simulator.step(np.zeros(_ONE, np.int64))
    confirm(play)


def rehearse_maps(task: Task, view_side: int, map_side: int, crop: int | None) -> None:
    """The remembered map, what the student sees of it, situations and options."""
    envs = GridVectorEnv(_Nowhere(view_side), map_side, crop, "train", 0)
    envs.reset()
    envs.observe()
    states = envs.states()
    task.situation_ids(states)
    task.act(np.zeros((_ONE, 1), np.int64), states)
    envs.step(np.zeros(_ONE, np.int64))
    recolored(carried_in(states.views[0]), np.arange(NUM_COLORS))  # as pictures of states do


class _Nowhere:
    """A world in which nothing is seen and nothing happens, without a kernel of its own."""

    def __init__(self, view_side: int) -> None:
        self.frames = Frames.allocate(_ONE, view_side)

    def restart(self, rows: IntArray, seeds: IntArray) -> None:
        """Nothing to draw."""

    def step(self, actions: IntArray) -> tuple[FloatArray, BoolArray, BoolArray]:
        nothing = np.zeros(len(actions), np.bool_)
        return np.zeros(len(actions), np.float32), nothing, nothing

    def close(self) -> None:
        """Nothing to release."""
