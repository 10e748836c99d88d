"""Evaluation: the student alone, or its teacher alone, on seeds of the evaluation split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rl.acting import Actor, AdviceLookup, StudentActor, TeacherActor
from rl.run_records import StudentResult, TeacherResult
from rl.seeding import generator
from rl.statistics import wilson_interval
from rl.student import Student
from rl.task import BoolArray, Episode, IntArray, Split, StepResult, Task, VectorEnv

MAX_ENVS = 100


@dataclass(frozen=True)
class Evaluation:
    """Outcomes of a number of episodes."""

    successes: int
    episodes: int
    mean_return: float
    mean_length: float

    @property
    def success_rate(self) -> float:
        """Share of the episodes that succeeded."""
        return self.successes / self.episodes

    @property
    def ci95(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the success rate."""
        return wilson_interval(self.successes, self.episodes)

    def of_teacher(self) -> TeacherResult:
        """The same as a summary has it, of a teacher that acted alone."""
        return TeacherResult(
            success_rate=self.success_rate,
            ci95=self.ci95,
            episodes=self.episodes,
            mean_return=self.mean_return,
            mean_length=self.mean_length,
        )


def evaluate(
    task: Task,
    student: Student,
    episodes: int,
    seed: int,
    greedy: bool = False,
    on_progress: Callable[[int], None] | None = None,
    on_step: Callable[[], None] | None = None,
) -> Evaluation:
    """Play episodes 0 .. episodes - 1 of the evaluation split with the student.

    Actions are drawn from the policy, or its likeliest ones where `greedy`. Every environment
    plays a fixed number of episodes, so that long ones are not left out. The same seed and
    student give the same result. on_progress: told how many episodes have ended. on_step:
    called before each step; what it raises ends the evaluation.
    """
    rng = None if greedy else generator(seed, "evaluation")

    def make(num_envs: int) -> Actor:
        return StudentActor(student, num_envs, rng)

    return play(task, make, episodes, seed, on_progress, on_step).outcome(task)


def evaluate_teacher(
    task: Task,
    advise: AdviceLookup,
    episodes: int,
    seed: int,
    on_progress: Callable[[int], None] | None = None,
    on_step: Callable[[], None] | None = None,
) -> tuple[Evaluation, int]:
    """The teacher alone, on the episodes that `evaluate` plays with the student.

    Also how many steps it had no advice for (`TeacherActor`). advise: may be called at every step.
    """
    actors: list[TeacherActor] = []

    def make(num_envs: int) -> Actor:
        actors.append(TeacherActor(task, num_envs, advise, generator(seed, "teacher")))
        return actors[0]

    tally = play(task, make, episodes, seed, on_progress, on_step)
    return tally.outcome(task), actors[0].unadvised


def play(
    task: Task,
    make_actor: Callable[[int], Actor],
    episodes: int,
    seed: int,
    on_progress: Callable[[int], None] | None = None,
    on_step: Callable[[], None] | None = None,
    split: Split = "evaluation",
    first_episode: int = 0,
) -> Tally:
    """Some of a split's episodes, in the order in which they ended.

    make_actor: for so many environments. first_episode: the number of each environment's first.
    on_progress, on_step: as in `evaluate`.
    """
    num_envs = min(episodes, MAX_ENVS)
    envs = task.make_envs(num_envs, split, seed)
    envs.reset(np.full(num_envs, first_episode, dtype=np.int64))
    tally, actor = Tally(episodes, num_envs), make_actor(num_envs)
    try:
        while tally.playing.any():
            if on_step is not None:
                on_step()
            before = len(tally.ended)
            play_step(envs, actor, tally)
            if on_progress and len(tally.ended) > before:
                on_progress(len(tally.ended))
    finally:
        envs.close()
    return tally


def evaluate_both_ways(
    task: Task,
    student: Student,
    episodes: int,
    seed: int,
    on_progress: Callable[[int], None] | None = None,
    on_step: Callable[[], None] | None = None,
) -> StudentResult:
    """The student's result: with sampled actions, and its argmax success beside that.

    Arguments as in `evaluate`, which is called twice.
    """
    sampled = evaluate(task, student, episodes, seed, False, on_progress, on_step)
    greedy = evaluate(task, student, episodes, seed, True, on_progress, on_step)
    return StudentResult(
        success_rate=sampled.success_rate,
        ci95=sampled.ci95,
        episodes=sampled.episodes,
        mean_return=sampled.mean_return,
        mean_length=sampled.mean_length,
        argmax_success_rate=greedy.success_rate,
    )


class Tally:
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


def play_step(envs: VectorEnv, actor: Actor, tally: Tally) -> tuple[IntArray, StepResult]:
    """One step of the environments that still have episodes to play: actions and what came."""
    actions = actor.act(envs, tally.playing)
    result = envs.step(actions)
    tally.rewards += result.rewards
    tally.lengths += tally.playing if result.durations is None else result.durations
    actor.ended(tally.close(result.terminated, result.truncated))
    return actions, result
