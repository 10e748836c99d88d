"""Following episodes: their returns and lengths, how they ended, which situations they visited."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.rl.rollouts.results import Evaluation
from tutelage.rl.tasks.arrays import BoolArray, IntArray
from tutelage.rl.tasks.base import Episode, StepResult, Task


class EpisodeTracker:
    """The running episode of each of N environments.

    returns: float64 [N], the sum of its rewards so far; lengths: int64 [N], its steps so far.
    """

    def __init__(self, num_envs: int) -> None:
        self.returns: NDArray[np.float64] = np.zeros(num_envs)
        self.lengths: IntArray = np.zeros(num_envs, dtype=np.int64)

    def step(self, result: StepResult, played: BoolArray | None = None) -> dict[int, Episode]:
        """Count a step. Returns the episodes that ended with it, by environment, ascending.

        played: bool [N], which environments were not idle; None for all.
        """
        self.returns += result.rewards
        self.lengths += steps_of(result, played)
        ended = {
            int(i): Episode(
                float(self.returns[i]),
                int(self.lengths[i]),
                bool(result.terminated[i]),
                bool(result.truncated[i]),
                result.infos.get(int(i), {}),
            )
            for i in np.flatnonzero(result.terminated | result.truncated)
        }
        rows = list(ended)
        self.returns[rows], self.lengths[rows] = 0.0, 0
        return ended

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {"returns": self.returns.tolist(), "lengths": self.lengths.tolist()}

    def restore(self, record: dict[str, Any]) -> None:
        """The inverse of `snapshot`. Raises KeyError, TypeError or ValueError for anything else."""
        if {len(self.lengths)} != {len(record[name]) for name in ("returns", "lengths")}:
            raise ValueError("they are the episodes of another number of environments")
        self.returns[:], self.lengths[:] = record["returns"], record["lengths"]


def steps_of(result: StepResult, played: BoolArray | None = None) -> IntArray | BoolArray | int:
    """How many primitive steps each environment made, [N] or one number for all.

    played: as in `EpisodeTracker.step`.
    """
    if result.durations is not None:
        return result.durations
    return 1 if played is None else played


@dataclass(frozen=True)
class EndedEpisode:
    """An episode that has ended, and whether it reached the task's aim."""

    return_: float
    length: int
    success: bool


class FixedEpisodes:
    """A fixed number of episodes, shared among N environments; and those of them that ended.

    Every environment plays a fixed number, so that long episodes are not left out: one more than
    the others where the division leaves a rest.
    """

    def __init__(self, episodes: int, num_envs: int) -> None:
        self._left = episodes // num_envs + (np.arange(num_envs) < episodes % num_envs)
        self._running = EpisodeTracker(num_envs)
        self.ended: list[EndedEpisode] = []

    @property
    def playing(self) -> BoolArray:
        """bool [N], which environments still have episodes to play."""
        return self._left > 0

    def step(self, task: Task, result: StepResult) -> IntArray:
        """Count a step of those that were playing. Returns the environments whose episode ended."""
        ended = self._running.step(result, self.playing)
        for episode in ended.values():
            self.ended.append(EndedEpisode(episode.return_, episode.length, task.success(episode)))
        rows = np.fromiter(ended, dtype=np.int64)
        self._left[rows] -= 1
        return rows

    def outcome(self) -> Evaluation:
        """How the episodes that have ended went; there must be one."""
        return Evaluation(
            sum(episode.success for episode in self.ended),
            len(self.ended),
            float(np.mean([episode.return_ for episode in self.ended])),
            float(np.mean([episode.length for episode in self.ended])),
        )

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            "left": self._left.tolist(),
            "running": self._running.snapshot(),
            "ended": [[e.return_, e.length, e.success] for e in self.ended],
        }

    def restore(self, record: dict[str, Any]) -> None:
        """The inverse of `snapshot`. Raises KeyError, TypeError or ValueError for anything else."""
        if len(record["left"]) != len(self._left):
            raise ValueError("they are the episodes of another number of environments")
        self._running.restore(record["running"])
        self._left[:] = record["left"]
        self.ended = [
            EndedEpisode(float(return_), int(length), bool(success))
            for return_, length, success in record["ended"]
        ]


@dataclass
class EpisodeOutcomes:
    """Of the episodes that visited a situation and have ended: how many, and how many succeeded."""

    episodes: int = 0
    successes: int = 0


@dataclass
class EpisodeLog:
    """The running episodes of N training environments, and the last ones that ended.

    longest: the most steps of an episode. recent: (success, return) of the latest `window` ended
    episodes. ended: how many have ended in all. outcomes: by the situations that they visited.
    """

    num_envs: int
    longest: int
    window: int = 100
    recent: deque[tuple[bool, float]] = field(init=False)
    ended: int = 0
    outcomes: dict[int, EpisodeOutcomes] = field(
        default_factory=lambda: defaultdict(EpisodeOutcomes)
    )

    def __post_init__(self) -> None:
        self.recent = deque(maxlen=self.window)
        self._running = EpisodeTracker(self.num_envs)
        self._ages = np.zeros(self.num_envs, dtype=np.int64)
        self._visited: list[set[int]] = [set() for _ in range(self.num_envs)]
        self._last = np.zeros(self.num_envs, dtype=np.int64)

    def visit(self, situation_ids: IntArray) -> None:
        """Note the situations that the episodes are in, int64 [N], before the step."""
        for i in np.flatnonzero((situation_ids != self._last) | (self._running.lengths == 0)):
            self._visited[i].add(int(situation_ids[i]))
        self._last = situation_ids.copy()

    def step(self, task: Task, result: StepResult) -> None:
        """Count a step, and the episodes that ended with it."""
        self._ages += steps_of(result)
        for i, episode in self._running.step(result).items():
            success = bool(task.success(episode))
            self.recent.append((success, episode.return_))
            self.ended += 1
            for situation_id in self._visited[i]:
                self.outcomes[situation_id].episodes += 1
                self.outcomes[situation_id].successes += success
            self._visited[i] = set()

    def take_outcomes(self) -> dict[int, EpisodeOutcomes]:
        """The outcomes since the last call, by situation id."""
        taken, self.outcomes = self.outcomes, defaultdict(EpisodeOutcomes)
        return dict(taken)

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON has it, between two rollouts whose outcomes were taken."""
        return {
            "recent": [[success, return_] for success, return_ in self.recent],
            "ended": self.ended,
            "running": self._running.snapshot(),
            "ages": self._ages.tolist(),
            "visited": [sorted(visited) for visited in self._visited],
            "last": self._last.tolist(),
        }

    def restore(self, record: dict[str, Any]) -> None:
        """The inverse of `snapshot`. Raises KeyError, TypeError or ValueError for anything else."""
        if {self.num_envs} != {len(record[name]) for name in ("ages", "last", "visited")}:
            raise ValueError("it is the log of another number of environments")
        self._running.restore(record["running"])
        self.recent.clear()
        self.recent.extend((bool(success), float(value)) for success, value in record["recent"])
        self.ended = int(record["ended"])
        self._visited = [{int(situation_id) for situation_id in v} for v in record["visited"]]
        self._ages[:], self._last[:] = record["ages"], record["last"]

    @property
    def warmed_up(self) -> bool:
        """Whether every environment has made as many steps as the longest episode has.

        Before that, the episodes that have ended are the short ones, and successes are short.
        """
        return bool(self.recent) and int(self._ages.min()) >= self.longest

    @property
    def success(self) -> float | None:
        """Share of successes among the recent episodes; None before the log has warmed up."""
        return sum(s for s, _ in self.recent) / len(self.recent) if self.warmed_up else None

    @property
    def mean_return(self) -> float | None:
        """Mean return of the recent episodes; None before the log has warmed up."""
        return sum(r for _, r in self.recent) / len(self.recent) if self.warmed_up else None
