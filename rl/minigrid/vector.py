"""A vector of grid worlds with the agent's own map beside each: the `VectorEnv` of MiniGrid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tutelage.rl.minigrid.codes import NUM_HEADINGS
from tutelage.rl.minigrid.engine.streams import episode_seeds, run_words
from tutelage.rl.minigrid.memory_map import begin, track, without_lava
from tutelage.rl.minigrid.observation import NUM_FEATURES, look
from tutelage.rl.minigrid.options import find_unexplored
from tutelage.rl.minigrid.simulator import Simulator
from tutelage.rl.tasks.arrays import BoolArray, CodeArray, IntArray
from tutelage.rl.tasks.base import Observation, Split, StepResult


@dataclass(frozen=True)
class GridStates:
    """T steps of N environments, enough to rebuild every map: the task's `States`.

    maps: uint8 [N, M, M], as they were at the first step; views: uint8 [T, N, v, v];
    poses: int64 [T, N, 3]; starts: bool [T, N], where an episode begins with that state;
    unexplored: bool [T, N]; missions: int64 [T, N], the missions' numbers.
    """

    maps: CodeArray
    views: CodeArray
    poses: IntArray
    starts: BoolArray
    unexplored: BoolArray
    missions: IntArray

    def __len__(self) -> int:
        return self.starts.size


class GridVectorEnv:
    """N grid worlds, their remembered maps, and the record of a rollout.

    lava_known: whether what there is left to explore is judged with lava, or with floor in its
    place.
    """

    def __init__(
        self,
        simulator: Simulator,
        map_side: int,
        crop: int | None,
        split: Split,
        seed: int,
        lava_known: bool = True,
    ) -> None:
        self.num_envs, self._view_side = simulator.frames.views.shape[:2]
        self._simulator, self._crop = simulator, crop
        self._run_words = run_words(seed, split)
        self._lava_known = lava_known
        self._episodes = np.full(self.num_envs, -1, dtype=np.int64)
        self._now = self._empty_states(1, map_side)
        self._record: GridStates | None = None
        self._cursor = 0

    def reset(self, episodes: IntArray | None = None) -> None:
        if episodes is not None:
            self._episodes[:] = episodes - 1
        self._begin(np.arange(self.num_envs))

    def observe(self) -> Observation:
        return self._look(slice(None))

    def states(self) -> GridStates:
        return self._now

    def step(self, actions: IntArray) -> StepResult:
        self._write_record()
        rewards, terminated, truncated = self._simulator.step(actions)
        now, frames = self._now, self._simulator.frames
        changed = np.empty(self.num_envs, dtype=np.bool_)
        now.views[0] = frames.views
        track(now.maps, now.poses[0], now.views[0], frames.headings, actions, changed)
        now.starts[0] = False
        final = self._look(truncated) if truncated.any() else None
        ended = terminated | truncated
        self._find_unexplored(changed & ~ended)
        if ended.any():
            self._begin(np.flatnonzero(ended))
        return StepResult(rewards, terminated, truncated, final)

    def begin_rollout(self, num_steps: int) -> None:
        record = self._empty_states(num_steps, self._now.maps.shape[1])
        record.maps[:] = self._now.maps
        self._record, self._cursor = record, 0

    def rollout(self) -> GridStates:
        """Raises RuntimeError where the recorded steps have not all been made."""
        if self._record is None or self._cursor < len(self._record.starts):
            raise RuntimeError("no complete rollout was recorded")
        return self._record

    def close(self) -> None:
        self._simulator.close()

    def _begin(self, rows: IntArray) -> None:
        """Start the next episode in the given rows."""
        now, frames = self._now, self._simulator.frames
        self._episodes[rows] += 1
        seeds = np.empty(len(rows), dtype=np.int64)
        episode_seeds(self._run_words, rows, self._episodes[rows], seeds)
        self._simulator.restart(rows, seeds)
        now.missions[0] = frames.missions
        now.views[0] = frames.views
        begin(now.maps, now.poses[0], now.views[0], frames.headings, rows)
        now.starts[0, rows] = True
        chosen = np.zeros(self.num_envs, dtype=np.bool_)
        chosen[rows] = True
        self._find_unexplored(chosen)

    def _find_unexplored(self, rows: BoolArray) -> None:
        now = self._now
        maps = now.maps if self._lava_known else without_lava(now.maps)
        find_unexplored(maps, now.poses[0], self._view_side, rows, now.unexplored[0])

    def _look(self, rows: slice | BoolArray) -> Observation:
        now = self._now
        maps, poses, views = now.maps[rows], now.poses[0][rows], now.views[0][rows]
        if self._crop is None:
            headings = np.eye(NUM_HEADINGS, dtype=np.float32)[poses[:, 2]]
            return Observation(views.copy(), headings)
        codes = np.empty((len(maps), self._crop, self._crop), dtype=np.uint8)
        features = np.empty((len(maps), NUM_FEATURES), dtype=np.float32)
        look(maps, poses, views, codes, features)
        return Observation(codes, features)

    def _write_record(self) -> None:
        if self._record is None or self._cursor >= len(self._record.starts):
            return
        record, now, t = self._record, self._now, self._cursor
        record.views[t], record.poses[t] = now.views[0], now.poses[0]
        record.starts[t], record.unexplored[t] = now.starts[0], now.unexplored[0]
        record.missions[t] = now.missions[0]
        self._cursor += 1

    def _empty_states(self, num_steps: int, map_side: int) -> GridStates:
        shape, side = (num_steps, self.num_envs), self._view_side
        return GridStates(
            maps=np.zeros((self.num_envs, map_side, map_side), dtype=np.uint8),
            views=np.zeros((*shape, side, side), dtype=np.uint8),
            poses=np.zeros((*shape, 3), dtype=np.int64),
            starts=np.zeros(shape, dtype=np.bool_),
            unexplored=np.zeros(shape, dtype=np.bool_),
            missions=np.zeros(shape, dtype=np.int64),
        )
