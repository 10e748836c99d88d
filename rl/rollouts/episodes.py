"""Following episodes: running ones, ended ones, and what came of those that passed through a
situation."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tutelage.rl.rollouts.results import Evaluation
from tutelage.rl.tasks.arrays import BoolArray, FloatArray, IntArray
from tutelage.rl.tasks.base import Episode, Task


class EpisodeTracker:
    """The running sums of each of N environments, and the episodes that ended.

    Every environment plays a fixed number of episodes, so that long ones are not left out: one more
    than the others where the division leaves a rest.
    """

    def __init__(self, episodes: int, num_envs: int) -> None:
        self._left = episodes // num_envs + (np.arange(num_envs) < episodes % num_envs)
        self.rewards = np.zeros(num_envs)
        self.lengths = np.zeros(num_envs, dtype=np.int64)
        self.ended: list[Episode] = []

    @property
    def playing(self) -> BoolArray:
        """bool [N], which environments still have episodes to play."""
        return self._left > 0

    def close(self, terminated: BoolArray, truncated: BoolArray) -> IntArray:
        """File the episodes that ended with this step; the environments in which they did."""
        rows = np.flatnonzero(terminated | truncated)
        for i in rows:
            self.ended.append(
                Episode(
                    float(self.rewards[i]),
                    int(self.lengths[i]),
                    bool(terminated[i]),
                    bool(truncated[i]),
                )
            )
        self.rewards[rows], self.lengths[rows] = 0.0, 0
        self._left[rows] -= 1
        return rows

    def outcome(self, task: Task) -> Evaluation:
        """How the episodes that have ended went; there must be one."""
        return Evaluation(
            sum(bool(task.success(episode)) for episode in self.ended),
            len(self.ended),
            float(np.mean([episode.return_ for episode in self.ended])),
            float(np.mean([episode.length for episode in self.ended])),
        )

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            "left": self._left.tolist(),
            "rewards": self.rewards.tolist(),
            "lengths": self.lengths.tolist(),
            "ended": [[e.return_, e.length, e.terminated, e.truncated] for e in self.ended],
        }

    def restore(self, record: dict[str, Any]) -> None:
        """The inverse of `snapshot`. Raises KeyError, TypeError or ValueError for anything else."""
        if {len(self._left)} != {len(record[name]) for name in ("left", "rewards", "lengths")}:
            raise ValueError("it is the tally of another number of environments")
        self._left[:], self.rewards[:] = record["left"], record["rewards"]
        self.lengths[:] = record["lengths"]
        self.ended = [
            Episode(float(return_), int(length), bool(terminated), bool(truncated))
            for return_, length, terminated, truncated in record["ended"]
        ]


@dataclass
class EpisodeOutcomes:
    """What came of the episodes that passed through a situation and ended in this rollout."""

    episodes: int = 0
    successes: int = 0


@dataclass
class EpisodeLog:
    """Follows the running episodes of a vector environment and remembers the last ended ones.

    longest: the most steps of an episode. settled: whether as many were done everywhere: before
    that, those that have ended are the short ones, and successes are short.
    """

    num_envs: int
    longest: int
    window: int = 100
    recent: deque[tuple[bool, float]] = field(init=False)
    """(success, return) of the latest ended episodes."""
    ended: int = 0
    outcomes: dict[int, EpisodeOutcomes] = field(
        default_factory=lambda: defaultdict(EpisodeOutcomes)
    )

    def __post_init__(self) -> None:
        self.recent = deque(maxlen=self.window)
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, dtype=np.int64)
        self._ages = np.zeros(self.num_envs, dtype=np.int64)
        self._seen: list[set[int]] = [set() for _ in range(self.num_envs)]
        self._last = np.zeros(self.num_envs, dtype=np.int64)

    def visit(self, situation_ids: IntArray) -> None:
        """Note the situations that the episodes are in, before the step."""
        for i in np.flatnonzero((situation_ids != self._last) | (self._lengths == 0)):
            self._seen[i].add(int(situation_ids[i]))
        self._last = situation_ids.copy()

    def step(
        self,
        task: Task,
        rewards: FloatArray,
        terminated: BoolArray,
        truncated: BoolArray,
        durations: IntArray | None = None,
    ) -> None:
        """Count a step, and close the episodes that ended with it. Arrays as in `StepResult`."""
        self._returns += rewards
        self._lengths += 1 if durations is None else durations
        self._ages += 1 if durations is None else durations
        for i in np.flatnonzero(terminated | truncated):
            episode = Episode(
                float(self._returns[i]),
                int(self._lengths[i]),
                bool(terminated[i]),
                bool(truncated[i]),
            )
            success = bool(task.success(episode))
            self.recent.append((success, episode.return_))
            self.ended += 1
            for situation_id in self._seen[i]:
                self.outcomes[situation_id].episodes += 1
                self.outcomes[situation_id].successes += success
            self._seen[i] = set()
            self._returns[i], self._lengths[i] = 0.0, 0

    def take_outcomes(self) -> dict[int, EpisodeOutcomes]:
        """The passages since the last call."""
        taken, self.outcomes = self.outcomes, defaultdict(EpisodeOutcomes)
        return dict(taken)

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON has it, between two rollouts whose passages were taken."""
        return {
            "recent": [[success, return_] for success, return_ in self.recent],
            "ended": self.ended,
            "returns": self._returns.tolist(),
            "lengths": self._lengths.tolist(),
            "ages": self._ages.tolist(),
            "seen": [sorted(seen) for seen in self._seen],
            "last": self._last.tolist(),
        }

    def restore(self, record: dict[str, Any]) -> None:
        """The inverse of `snapshot`. Raises KeyError, TypeError or ValueError for anything else."""
        self.recent.clear()
        self.recent.extend((bool(success), float(value)) for success, value in record["recent"])
        self.ended = int(record["ended"])
        self._seen = [{int(situation_id) for situation_id in seen} for seen in record["seen"]]
        if {self.num_envs} != {
            len(record[name]) for name in ("returns", "lengths", "ages", "last", "seen")
        }:
            raise ValueError("it is the log of another number of environments")
        self._returns[:], self._lengths[:] = record["returns"], record["lengths"]
        self._ages[:], self._last[:] = record["ages"], record["last"]

    @property
    def warmed_up(self) -> bool:
        return bool(self.recent) and int(self._ages.min()) >= self.longest

    @property
    def success(self) -> float | None:
        """Share of successes among the recent episodes; None before the log has settled."""
        return sum(s for s, _ in self.recent) / len(self.recent) if self.warmed_up else None

    @property
    def mean_return(self) -> float | None:
        """Mean return of the recent episodes; None before the log has settled."""
        return sum(r for _, r in self.recent) / len(self.recent) if self.warmed_up else None
