"""Mixed play: teacher and student share an episode, to compare them in each situation.

For every situation of an episode it is drawn whether teacher or student acts there, and the draw
holds until the episode's end. So over many episodes, those in which the teacher acted in a
situation can be compared with those in which the student did, all else being equally mixed: a
randomised experiment with one factor for each situation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tutelage.rl.advice.advice import Advice
from tutelage.rl.policy.policy import Policy
from tutelage.rl.rollouts.actors import PolicyActor, TeacherActor
from tutelage.rl.rollouts.evaluate import num_envs_for, play
from tutelage.rl.tasks.arrays import ActionArray, BoolArray, IntArray
from tutelage.rl.tasks.base import Task, VectorEnv
from tutelage.rl.tasks.lookups import TextHashes
from tutelage.rl.tasks.seeding import uniform

_NOWHERE = -1
"""No situation: the episode has just begun."""


@dataclass(frozen=True)
class MixedEpisode:
    """An episode of mixed play.

    taught: for each of its situations whether the teacher acted there; None where it had no advice
    that could be carried out, and the student acted in its place.
    """

    taught: Mapping[int, bool | None]
    success: bool
    return_: float


@dataclass(frozen=True)
class MixedPlay:
    """A batch of mixed episodes. env_steps: the environment steps of all of them."""

    episodes: list[MixedEpisode] = field(default_factory=list)
    env_steps: int = 0

    @property
    def successes(self) -> int:
        """How many of them reached the task's aim."""
        return sum(episode.success for episode in self.episodes)


class MixedActor:
    """Acts as the teacher in the situations drawn for it, as the student in all others.

    advice: the teacher's; where there is none that can be carried out, the student acts. share: the
    probability with which a situation is drawn for the teacher, once for each episode; at 1 the
    teacher acts wherever it has advice, at 0 the student acts alone. rng: draws everything. The
    draw is a function of the episode and of the situation's text, so that ids mean nothing.
    """

    def __init__(
        self,
        task: Task,
        student: Policy,
        num_envs: int,
        advice: Mapping[int, Advice],
        share: float,
        rng: np.random.Generator,
    ) -> None:
        self._teacher = TeacherActor(task, num_envs, lambda _: advice, rng)
        self._student = PolicyActor(student, num_envs, rng)
        self._share, self._rng = share, rng
        self._hashes = TextHashes(task)
        self._keys = rng.integers(2**63, size=num_envs).astype(np.uint64)
        self._last = np.full(num_envs, _NOWHERE, dtype=np.int64), np.zeros(num_envs, np.bool_)
        self._taught: list[dict[int, bool | None]] = [{} for _ in range(num_envs)]
        self.ended_episodes: list[dict[int, bool | None]] = []

    def act(self, envs: VectorEnv, playing: BoolArray) -> ActionArray:
        taught, own = self._teacher.act(envs, playing), self._student.act(envs, playing)
        situations, speaks = self._teacher.situations, ~self._teacher.silent
        drawn = uniform(self._keys, self._hashes.of(situations)) < self._share
        self._note(np.flatnonzero(playing), situations, speaks, drawn)
        by_teacher = speaks & drawn
        actions = np.where(by_teacher.reshape(-1, *[1] * (own.ndim - 1)), taught, own)
        self._student.did(actions)
        return actions

    def ended(self, rows: IntArray) -> None:
        self._teacher.ended(rows)
        self._student.ended(rows)
        self._keys[rows] = self._rng.integers(2**63, size=len(rows)).astype(np.uint64)
        self._last[0][rows] = _NOWHERE
        for i in rows:
            self.ended_episodes.append(self._taught[i])
            self._taught[i] = {}

    def _note(
        self, rows: IntArray, situations: IntArray, speaks: BoolArray, drawn: BoolArray
    ) -> None:
        """Note who acts, in those rows where the situation or the teacher's silence changed."""
        news = (situations != self._last[0]) | (speaks != self._last[1])
        for i in rows[news[rows]]:
            before = self._taught[i].get(int(situations[i]))
            self._taught[i][int(situations[i])] = bool(drawn[i]) if speaks[i] else before
        self._last = situations, speaks


def play_mixed(
    task: Task,
    student: Policy,
    advice: Mapping[int, Advice],
    share: float,
    episodes: int,
    levels: int,
    first_episode: int,
    rng: np.random.Generator,
    on_step: Callable[[], None] | None = None,
) -> MixedPlay:
    """Play episodes of the training split in mixed play. levels: the seed of their levels.

    advice, share, rng: as in `MixedActor`. first_episode: the number of each environment's first.
    on_step: called before each step; what it raises ends it.
    """
    actor = MixedActor(task, student, num_envs_for(episodes), advice, share, rng)
    played = play(task, actor, episodes, levels, None, on_step, "train", first_episode)
    pairs = zip(played.ended, actor.ended_episodes, strict=True)
    return MixedPlay(
        [MixedEpisode(taught, episode.success, episode.return_) for episode, taught in pairs],
        sum(episode.length for episode in played.ended),
    )
