"""Plays the episodes of the teacher check (`rl.teaching.teacher_check`), within a room of steps.

They are played in environments of their own, with the advice that is already known: no LLM is asked
for them, and their steps are counted apart. A bounded number is played before the first update
(`WeaningSettings.check_share`); where they decide nothing, the check goes on beside the training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from tutelage.rl.advice.advice import Advice
from tutelage.rl.policy.policy import Policy
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.lookups import full_text
from tutelage.rl.tasks.seeding import generator
from tutelage.rl.teaching.mixed_play import MixedEpisode, MixedPlay, play_mixed
from tutelage.rl.teaching.success_counts import MixedPlayOutcome
from tutelage.rl.teaching.teacher_check import (
    BATCH,
    CLEARLY,
    FEWEST,
    MIXED_BATCH,
    PAIRED_BATCH,
    WORSE,
    TeacherCheck,
)

FOLLOWED, MIXED, ALONE = 1.0, 0.5, 0.0
"""The probability with which the teacher acts in a situation."""

_WITHHELD, _DOUBTED, _TRUSTED = 8.0, 1.0, 0.25
"""Steps that the check may take for each one of the run: while advice is not followed until more is
known, as learning waits for that; while it is, but often fails; and else."""


class TeacherChecker:
    """Plays the episodes of teacher checks, on training levels of their own.

    student: as it is now. first_steps: how many steps may be played before the first update, and
    saved up later. on_step: called before each step; what it raises ends the check.
    """

    def __init__(
        self,
        task: Task,
        student: Policy,
        seed: int,
        first_steps: int,
        on_step: Callable[[], None] | None = None,
    ) -> None:
        self._task, self._student, self._seed, self._on_step = task, student, seed, on_step
        self._first_steps = first_steps
        self._levels = int(generator(seed, "teacher_check").integers(2**31))

    def after(
        self,
        check: TeacherCheck,
        advice: Mapping[int, Advice],
        situations: Iterable[int],
        env_steps: int,
    ) -> TeacherCheck:
        """The check after some more episodes, where there is something to find out.

        situations: those that the teacher was asked about lately, as the student has met them or as
        they were `ahead`; not those that it is still to answer. env_steps: those of the run so far.
        """
        was_asked = bool(check.ahead)
        check = self._with_room(check, env_steps).renewed(advice, situations)
        check = check.model_copy(update={"ahead": []})
        if not advice or check.is_over:
            return check
        if check.is_rejected:
            return self._tried_again(check, advice)
        if check.success is None or not check.fresh or check.decided or check.says_little:
            # What the team comes to is asked about first: half of the room is left for then.
            most = BATCH if was_asked else max(self._fitting(check, 2 * BATCH) // 2, FEWEST)
            if episodes := self._fitting(check, most):
                check = self._play_team(check, advice, episodes)
        if check.ahead and not was_asked:
            return check
        if check.is_good and not self._task.scored:
            return check.concluded(True)
        if self._fitting(check, BATCH) and check.alone.episodes < BATCH:
            check = self._play_alone(check, self._fitting(check, BATCH))
        if check.says_little or check.is_good or check.scores:
            return check.judged()
        doubted = check.is_doubted and not check.is_undecided
        if doubted and (episodes := self._fitting(check, MIXED_BATCH)):
            # What has helped so far may do better without some of its advice. Where it may be no
            # help at all, that comes first: else this would take all the room for ever.
            check = self._play_doubted(check.aged(), advice, episodes)
        while (episodes := self._fitting(check, MIXED_BATCH)) and check.is_questionable:
            check = self._play_doubted(check, advice, episodes)
        while (both := self._fitting(check, 2 * PAIRED_BATCH)) and check.is_undecided:
            check = self._play_team(check, advice, both // 2)
            check = self._play_alone(check, both // 2)
            check = check.model_copy(update={"paired": check.paired + both // 2})
        return check.judged()

    def _tried_again(self, check: TeacherCheck, advice: Mapping[int, Advice]) -> TeacherCheck:
        """The check of a rejected teacher: with another student it may help after all."""
        both = self._fitting(check, 2 * PAIRED_BATCH)
        if not both:
            return check
        check = self._play_team(check.aged(), advice, both // 2)
        check = self._play_alone(check, both // 2)
        helps = check.together.strongest(check.alone) >= CLEARLY
        return check.concluded(helps, decided=not helps)

    def _with_room(self, check: TeacherCheck, env_steps: int) -> TeacherCheck:
        """The check with the steps that it may take by now."""
        if check.run_steps is None:
            # Nothing is followed before it was tried.
            check, room = check.model_copy(update={"enabled": False}), self._first_steps
        else:
            trusted = check.decided or check.says_little
            rate = _TRUSTED if trusted else _DOUBTED if check.enabled else _WITHHELD
            more = int(rate * (env_steps - check.run_steps))
            # No more is saved up than before the first update, or for one batch.
            most = max(self._first_steps, more, MIXED_BATCH * self._task.max_episode_steps)
            room = min(check.room + more, most)
        return check.model_copy(update={"room": room, "run_steps": env_steps})

    def _fitting(self, check: TeacherCheck, episodes: int) -> int:
        """How many of so many episodes surely fit into what is left; 0 where too few do."""
        fitting = min(episodes, check.room // self._task.max_episode_steps)
        return fitting if fitting >= FEWEST else 0

    def _text(self, situation: int) -> str:
        """A situation's text, which orders situations where nothing else does: ids mean nothing."""
        return full_text(self._task, situation)

    def _play_team(
        self, check: TeacherCheck, advice: Mapping[int, Advice], episodes: int
    ) -> TeacherCheck:
        done = self._play(check, advice, FOLLOWED, episodes)
        # Where the teacher was not asked yet, the outcome says nothing of its advice.
        counted = [e for e in done.episodes if not _is_unmet(check, e)]
        return _counted(
            check,
            done,
            team=check.team.plus(
                sum(e.success for e in counted), len(counted), self._returns(counted)
            ),
            together=check.together.plus(done.successes, episodes, self._returns(done.episodes)),
            team_unmet=check.team_unmet.plus(episodes - len(counted), episodes),
            fresh=check.fresh + episodes,
            ahead=self._unmet(check, done.episodes),
        )

    def _play_doubted(
        self, check: TeacherCheck, advice: Mapping[int, Advice], episodes: int
    ) -> TeacherCheck:
        """Mixed play, and the team after it where that has rejected something or is long ago."""
        check = self._play_mixed(check, advice, episodes)
        worst = self._worst(check)
        if worst is not None:
            check = check.rejecting(worst)
        team = self._fitting(check, BATCH)
        if team and (not check.fresh or check.is_doubted):
            check = self._play_team(check, advice, team)
        return check

    def _play_alone(self, check: TeacherCheck, episodes: int) -> TeacherCheck:
        done = self._play(check, {}, ALONE, episodes)
        unmet = sum(_is_unmet(check, episode) for episode in done.episodes)
        return _counted(
            check,
            done,
            alone=check.alone.plus(done.successes, episodes, self._returns(done.episodes)),
            alone_unmet=check.alone_unmet.plus(unmet, episodes),
        )

    def _play_mixed(
        self, check: TeacherCheck, advice: Mapping[int, Advice], episodes: int
    ) -> TeacherCheck:
        done = self._play(check, advice, MIXED, episodes)
        mixed = dict(check.mixed)
        for episode in done.episodes:
            for situation, taught in episode.taught.items():
                if taught is not None:
                    before = mixed.get(str(situation), MixedPlayOutcome())
                    mixed[str(situation)] = before.plus(
                        taught, episode.success, self._returns([episode])
                    )
        return _counted(check, done, mixed=mixed, mixed_episodes=check.mixed_episodes + episodes)

    def _returns(self, episodes: Sequence[MixedEpisode]) -> list[float]:
        """The episodes' returns, where they tell something."""
        return [episode.return_ for episode in episodes] if self._task.scored else []

    def _unmet(self, check: TeacherCheck, episodes: Sequence[MixedEpisode]) -> list[int]:
        """The situations that the student has not met in its rollouts, the most frequent first."""
        counts = Counter(s for e in episodes for s in e.taught if str(s) not in check.met)
        return sorted(counts, key=lambda s: (-counts[s], self._text(s)))

    def _worst(self, check: TeacherCheck) -> int | None:
        """The situation in which the teacher does worst beside the student, if clearly worse."""
        rated = {int(s): c.taught.strongest(c.own) for s, c in check.mixed.items()}
        candidates = [s for s in rated if s not in check.rejected and rated[s] <= WORSE]
        return min(candidates, key=lambda s: (rated[s], self._text(s)), default=None)

    def _play(
        self, check: TeacherCheck, advice: Mapping[int, Advice], share: float, episodes: int
    ) -> MixedPlay:
        return play_mixed(
            self._task,
            self._student,
            check.not_rejected(advice),
            share,
            episodes,
            self._levels,
            check.batches,
            generator(self._seed, "teacher_check", check.batches),
            self._on_step,
        )


def _counted(check: TeacherCheck, done: MixedPlay, **changes: object) -> TeacherCheck:
    cost = {
        "batches": check.batches + 1,
        "env_steps": check.env_steps + done.env_steps,
        "room": max(check.room - done.env_steps, 0),
    }
    return check.model_copy(update={**cost, **changes})


def _is_unmet(check: TeacherCheck, episode: MixedEpisode) -> bool:
    """Whether an episode visited a situation that the student has not met in its rollouts."""
    return any(str(situation) not in check.met for situation in episode.taught)
