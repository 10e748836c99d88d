"""A vector of grid worlds with the agent's own map beside each: the `VectorEnv` of MiniGrid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.rl.minigrid.codes import IDLE
from tutelage.rl.minigrid.engine.streams import episode_seeds, run_words
from tutelage.rl.minigrid.memory_map import LAST_STEP_SIZE, begin, track, without_lava
from tutelage.rl.minigrid.observation import student_view
from tutelage.rl.minigrid.options import find_unexplored
from tutelage.rl.minigrid.simulator import Simulator
from tutelage.rl.tasks.arrays import ActionArray, BoolArray, CodeArray, IntArray
from tutelage.rl.tasks.base import Batch, Observation, Split, States, StepResult


@dataclass(frozen=True)
class GridStates(Batch):
    """What B agents know: the task's `States`.

    maps: uint8 [B, M, M], the remembered maps, the present view included; views: uint8 [B, v, v];
    poses: int64 [B, 3]; unexplored: bool [B], whether `explore` has somewhere to go; missions:
    int64 [B], the missions' numbers.
    """

    maps: CodeArray
    views: CodeArray
    poses: IntArray
    unexplored: BoolArray
    missions: IntArray


def grid_states(states: States) -> GridStates:
    """The states as those of a grid task. Raises TypeError for others."""
    if not isinstance(states, GridStates):
        raise TypeError(f"a grid task takes its own states, not {type(states)}")
    return states


class GridVectorEnv:
    """N grid worlds and their remembered maps.

    lava_known: False takes lava for floor when deciding what is left to explore. words: the words
    of a mission by its number, int32 [L], where the student sees them.
    """

    def __init__(
        self,
        simulator: Simulator,
        map_side: int,
        crop: int | None,
        split: Split,
        seed: int,
        lava_known: bool = True,
        words: Callable[[int], NDArray[np.int32]] | None = None,
    ) -> None:
        self._words = words
        self.num_envs = num_envs = len(simulator.frames.views)
        self._simulator, self._crop = simulator, crop
        self._run_words = run_words(seed, split)
        self._lava_known = lava_known
        self._episodes = np.full(num_envs, -1, dtype=np.int64)
        self._last_steps = np.zeros((num_envs, LAST_STEP_SIZE), dtype=np.int64)
        self._now = GridStates(
            maps=np.zeros((num_envs, map_side, map_side), dtype=np.uint8),
            views=np.zeros_like(simulator.frames.views),
            poses=np.zeros((num_envs, 3), dtype=np.int64),
            unexplored=np.zeros(num_envs, dtype=np.bool_),
            missions=np.zeros(num_envs, dtype=np.int64),
        )

    def reset(self, episodes: IntArray | None = None) -> None:
        if episodes is not None:
            self._episodes[:] = episodes - 1
        self._begin(np.arange(self.num_envs))

    def observe(self) -> Observation:
        return self._look(slice(None))

    def states(self) -> GridStates:
        return self._now

    def action_mask(self) -> None:
        """All can be picked, always."""

    def step(self, actions: ActionArray, active: BoolArray | None = None) -> StepResult:
        if active is not None:
            actions = np.where(active, actions, IDLE)
        rewards, terminated, truncated = self._simulator.step(actions)
        now, frames = self._now, self._simulator.frames
        changed = np.empty(self.num_envs, dtype=np.bool_)
        now.views[:] = frames.views
        now.missions[:] = frames.missions
        track(now.maps, now.poses, now.views, frames.headings, actions, self._last_steps, changed)
        final = self._look(truncated) if truncated.any() else None
        ended = terminated | truncated
        self._find_unexplored(changed & ~ended)
        if ended.any():
            self._begin(np.flatnonzero(ended))
        return StepResult(rewards, terminated, truncated, final)

    def close(self) -> None:
        self._simulator.close()

    def _begin(self, rows: IntArray) -> None:
        """Start the next episode in the given rows."""
        now, frames = self._now, self._simulator.frames
        self._episodes[rows] += 1
        seeds = np.empty(len(rows), dtype=np.int64)
        episode_seeds(self._run_words, rows, self._episodes[rows], seeds)
        self._simulator.restart(rows, seeds)
        now.missions[:] = frames.missions
        now.views[:] = frames.views
        begin(now.maps, now.poses, now.views, frames.headings, self._last_steps, rows)
        chosen = np.zeros(self.num_envs, dtype=np.bool_)
        chosen[rows] = True
        self._find_unexplored(chosen)

    def _find_unexplored(self, rows: BoolArray) -> None:
        now = self._now
        maps = now.maps if self._lava_known else without_lava(now.maps)
        find_unexplored(maps, now.poses, now.views.shape[1], rows, now.unexplored)

    def _look(self, rows: slice | BoolArray) -> Observation:
        now = self._now
        seen: dict[str, NDArray[Any]]
        seen = student_view(
            now.maps[rows], now.poses[rows], now.views[rows], self._last_steps[rows], self._crop
        )
        if self._words is not None:
            seen["mission"] = np.stack([self._words(m) for m in now.missions[rows].tolist()])
        return seen
