"""The batched engine behind the `Simulator` seam."""

from __future__ import annotations

import numpy as np

from tutelage.rl.minigrid.engine.families import Family
from tutelage.rl.minigrid.engine.rules import perceive, play, play_dodging
from tutelage.rl.minigrid.engine.world import DODGE, World, clear, copy_world, make_world
from tutelage.rl.minigrid.simulator import Frames
from tutelage.rl.tasks.arrays import BoolArray, FloatArray, IntArray


class BatchedSimulator:
    """N worlds of one family in arrays, each step and each batch of restarts one compiled pass."""

    def __init__(self, family: Family, num_envs: int) -> None:
        self._family = family
        self._world = make_world(num_envs, family.rules)
        self.frames = Frames.allocate(num_envs, family.rules.view_side)
        self._all_rows = np.arange(num_envs)

    def restart(self, rows: IntArray, seeds: IntArray) -> None:
        world, frames = self._world, self.frames
        clear(world, rows, seeds)
        self._family.draw_levels(world, rows)
        frames.missions[rows] = world.missions[rows]
        perceive(world, self._family.rules, rows, frames.views, frames.headings)

    def step(self, actions: IntArray) -> tuple[FloatArray, BoolArray, BoolArray]:
        num_envs = len(actions)
        rewards = np.empty(num_envs, dtype=np.float32)
        terminated = np.empty(num_envs, dtype=np.bool_)
        truncated = np.empty(num_envs, dtype=np.bool_)
        rules, frames = self._family.rules, self.frames
        played = play_dodging if rules.ending == DODGE else play
        played(self._world, rules, actions, rewards, terminated, truncated)
        perceive(self._world, rules, self._all_rows, frames.views, frames.headings)
        return rewards, terminated, truncated

    def close(self) -> None:
        """There is nothing to release."""

    def snapshot(self) -> World:
        """A copy of the worlds' whole state."""
        saved = make_world(len(self._all_rows), self._family.rules)
        copy_world(self._world, saved)
        return saved

    def restore(self, world: World) -> None:
        """Put all worlds into a state that was saved or made; what is seen follows from it.

        Raises ValueError where it is the state of other worlds than these.
        """
        copy_world(world, self._world)
        frames = self.frames
        frames.missions[:] = world.missions
        perceive(self._world, self._family.rules, self._all_rows, frames.views, frames.headings)
