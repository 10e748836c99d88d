"""N environments of a user's task, stepped together: the `VectorEnv` of Gymnasium."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tutelage.rl.gymnasium.actions import Actions
from tutelage.rl.gymnasium.calls import State, TaskCalls
from tutelage.rl.gymnasium.copies import kept
from tutelage.rl.gymnasium.environments import Environments
from tutelage.rl.gymnasium.spares import SpareEnvironments
from tutelage.rl.tasks.arrays import ActionArray, BoolArray, IntArray
from tutelage.rl.tasks.base import Batch, Observation, Split, StepResult, select_rows
from tutelage.rl.tasks.observations import ObservationEncoder
from tutelage.rl.tasks.seeding import episode_seed

_SEED_BITS: Final = 30
"""Environments that seed a C++ engine keep 31 bits: one for the split, the others for the seed."""


@dataclass(frozen=True)
class GymStates(Batch):
    """B states: the task's `States`. Arrays of objects, [B]: see `rl.gymnasium.calls.State`."""

    observations: NDArray[np.object_]
    memories: NDArray[np.object_]
    infos: NDArray[np.object_]

    def row(self, row: int) -> State:
        """One of the states."""
        return State(self.observations[row], self.memories[row], self.infos[row])

    def rows(self) -> list[State]:
        """All of the states, one by one."""
        columns = (self.observations, self.memories, self.infos)
        return list(map(State, *(column.tolist() for column in columns)))


class GymVectorEnv:
    """N environments; an episode that has ended is followed by the next one at once.

    calls, actions, encoder: of the task. spares: where the N environments come from, and go to in
    the end; they are closed where a method raises. All methods raise TaskCodeError.
    """

    def __init__(
        self,
        calls: TaskCalls,
        actions: Actions,
        encoder: ObservationEncoder,
        spares: SpareEnvironments,
        num_envs: int,
        split: Split,
        seed: int,
    ) -> None:
        self.num_envs = num_envs
        self._calls, self._actions, self._encoder = calls, actions, encoder
        self._spares = spares
        self._envs: Environments | None = spares.take(num_envs)
        self._split, self._seed = split, seed
        self._episodes = np.full(num_envs, -1, dtype=np.int64)
        self._now = GymStates(*(np.full(num_envs, None, dtype=np.object_) for _ in range(3)))
        self._seen = encoder.empty(num_envs)
        self._masks = np.ones((num_envs, actions.size), dtype=np.bool_) if calls.masks else None

    def reset(self, episodes: IntArray | None = None) -> None:
        if episodes is not None:
            self._episodes[:] = episodes - 1
        with self._closed_by_errors():
            self._begin(range(self.num_envs))

    def observe(self) -> Observation:
        return select_rows(self._seen, slice(None))

    def states(self) -> GymStates:
        return self._now

    def action_mask(self) -> BoolArray | None:
        return None if self._masks is None else self._masks.copy()

    def step(self, actions: ActionArray, active: BoolArray | None = None) -> StepResult:
        with self._closed_by_errors():
            return self._step(actions, active)

    def close(self) -> None:
        if self._envs is not None:
            self._spares.give_back(self.num_envs, self._envs)
            self._envs = None

    def _open(self) -> Environments:
        if self._envs is None:
            raise RuntimeError("these environments are closed")
        return self._envs

    @contextmanager
    def _closed_by_errors(self) -> Iterator[None]:
        """No process is left behind by who made these environments and could not use them."""
        try:
            yield
        except BaseException:
            if self._envs is not None:
                self._envs.close()
                self._envs = None
            raise

    def _step(self, actions: ActionArray, active: BoolArray | None) -> StepResult:
        rows = list(range(self.num_envs)) if active is None else np.flatnonzero(active).tolist()
        rewards = np.zeros(self.num_envs, dtype=np.float32)
        terminated, truncated = np.zeros((2, self.num_envs), dtype=np.bool_)
        stepped = self._open().step(rows, self._actions.for_envs(actions[rows]))
        for row, (observation, reward, is_over, is_cut, info) in zip(rows, stepped, strict=True):
            rewards[row], terminated[row], truncated[row] = reward, is_over, is_cut and not is_over
            self._take(row, observation, info, self._now.memories[row])
        ended = np.flatnonzero(terminated | truncated).tolist()
        infos = {row: self._now.row(row).handed_on()[1] for row in ended}
        self._look([row for row in rows if not terminated[row]])
        final = select_rows(self._seen, truncated) if truncated.any() else None
        self._begin(ended)
        going_on = set(rows).difference(ended)
        self._find_masks(going_on)
        return StepResult(rewards, terminated, truncated, final, infos=infos)

    def _begin(self, rows: Sequence[int]) -> None:
        """Start the next episode in the given rows."""
        if not rows:
            return
        self._episodes[rows] += 1
        seeds = [self._reset_seed(row) for row in rows]
        for row, (observation, info) in zip(rows, self._open().reset(rows, seeds), strict=True):
            self._take(row, observation, info, None)
        self._look(rows)
        self._find_masks(rows)

    def _reset_seed(self, row: int) -> int:
        seed = episode_seed(self._seed, self._split, row, int(self._episodes[row]))
        split_bit = int(self._split == "evaluation") << _SEED_BITS
        return seed & ((1 << _SEED_BITS) - 1) | split_bit

    def _take(self, row: int, observation: Any, info: dict[str, Any], memory: Any) -> None:
        """Keep what an environment gave, safe from what it does later."""
        observation, info = kept(observation), kept(info)
        now = self._now
        if self._calls.remembers:
            now.memories[row] = self._calls.remember(memory, observation, info)
        now.observations[row], now.infos[row] = observation, info

    def _look(self, rows: Sequence[int]) -> None:
        """Encode the states of the given rows for the student."""
        for row in rows:
            self._calls.encode(self._now.row(row), self._seen, row)
        unusable = self._encoder.unusable_row(self._seen)
        if unusable is not None:
            raise self._calls.not_finite(self._now.row(unusable))

    def _find_masks(self, rows: Sequence[int] | set[int]) -> None:
        if self._masks is not None:
            for row in rows:
                self._masks[row] = self._calls.mask(self._now.row(row))
