"""The teacher check: episodes that measure whether the teacher's advice helps, and where.

They are played in environments of their own, with the advice that is already known: no LLM is asked
for them, and their steps are counted apart. How good advice is depends on the advice only, so it is
checked when there is new advice, from the first update on. A bounded number of steps is played
before that one (`WeaningSettings.check_share`); where they decide nothing, the check goes on beside
the training:

- *The team*: the teacher acts wherever it has advice, the student everywhere else. Its success rate
  is the one that a student can reach by imitation.
- *Mixed play* (`rl.teaching.mixed_play`), where the team often fails: for each situation of an
  episode it is drawn which of the two acts. Advice that does clearly worse in a situation than the
  student does is rejected there, and no longer followed. So one wrong answer does not spoil all the
  right ones.
- *The student alone*: a teacher whose team does no better is disabled, and none of its advice is
  followed. Where both fail nearly always, it takes some hundred episodes of each to tell.

A team may visit situations that the teacher has not been asked about. It is asked about those first
(`TeacherCheck.ahead`). Where there are always more of them, the team's failures say nothing of the
advice, and it is followed until something does. Where the episodes count, it is followed while
mixed play is within its bound only if it clearly helps, and then as soon as they lean towards it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from tutelage.rl.advice.advice import Advice
from tutelage.rl.policy.policy import Policy
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.lookups import full_text
from tutelage.rl.tasks.seeding import generator
from tutelage.rl.teaching.mixed_play import MixedEpisode, MixedPlay, play_mixed
from tutelage.rl.teaching.weight_schedule import GOOD

FOLLOWED, MIXED, ALONE = 1.0, 0.5, 0.0
"""The probability with which the teacher acts in a situation."""

_BATCH: Final = 16
"""Episodes of the team, or of the student, at once."""
_ENOUGH: Final = 96
"""Episodes of the team since the advice last changed: a standard error of at most 0.05."""
_FEWEST: Final = 4
"""Fewer at once are not worth the trouble."""
_MIXED_BATCH: Final = 32
_FIRST_MIXED, _MIXED_EACH = 128, 16
"""Episodes of mixed play with the same advice: in a batch, in all, and more for each situation with
advice."""
_PAIRED_BATCH: Final = 32
_PAIRS: Final = 448
"""Episodes of team and student each, at most, to tell apart two that nearly always fail: 5 % and
1.5 % are then 3 standard errors apart. Besides, `_MIXED_EACH` for each situation with advice."""
_WITHHELD, _DOUBTED, _TRUSTED = 8.0, 1.0, 0.25
"""Steps that the check may take for each one of the run: while advice is not followed until more is
known, as learning waits for that; while it is, but often fails; and else."""
_OFTEN: Final = 0.5
"""The share of a team's episodes that visited situations without an answer, from which on the
team's failures say too little."""
_LEANING: Final = 1.0
_WORSE: Final = -2.0
_BETTER: Final = 1.64
_CLEARLY: Final = 3.0
"""Standard errors from which on a difference of success rates counts; `_CLEARLY` before all the
episodes were played (Haybittle 1971, Peto et al. 1976)."""
_ROUNDING: Final = 1e-6


Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number of things, as it may be read from a file: no arithmetic on it overflows."""


class SuccessCount(BaseModel):
    """Successes among episodes; fractions, as old episodes may count in part.

    returns, squares: the sums of the episodes' returns and of their squares, for tasks in which the
    return tells more than the success does (`rl.tasks.base.Task.scored`); else 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    successes: float = 0.0
    episodes: float = 0.0
    returns: float = 0.0
    squares: float = 0.0

    @property
    def mean_return(self) -> float | None:
        """The mean return, None without episodes."""
        return self.returns / self.episodes if self.episodes else None

    @property
    def rate(self) -> float | None:
        """The success rate, None without episodes."""
        return self.successes / self.episodes if self.episodes else None

    def plus(
        self, successes: float, episodes: float, returns: Sequence[float] = ()
    ) -> SuccessCount:
        return SuccessCount(
            successes=self.successes + successes,
            episodes=self.episodes + episodes,
            returns=self.returns + math.fsum(returns),
            squares=self.squares + math.fsum(r * r for r in returns),
        )

    def summary(self) -> str:
        """Both in words, for the trace."""
        return f"{self.successes:.0f} of {self.episodes:.0f} episodes succeeded"

    def halved(self) -> SuccessCount:
        return SuccessCount(
            successes=self.successes / 2,
            episodes=self.episodes / 2,
            returns=self.returns / 2,
            squares=self.squares / 2,
        )

    def above(self, other: SuccessCount) -> float:
        """How many standard errors its rate is above another's; 0 where either is unknown.

        The pooled two-proportion statistic, one success and one failure added to the pool.
        """
        if not (self.episodes and other.episodes):
            return 0.0
        pool = (self.successes + other.successes + 1) / (self.episodes + other.episodes + 2)
        error = math.sqrt(pool * (1 - pool) * (1 / self.episodes + 1 / other.episodes))
        return (self.successes / self.episodes - other.successes / other.episodes) / error

    def above_in_return(self, other: SuccessCount) -> float:
        """How many standard errors its mean return is above another's (Welch); 0 where unknown.

        Returns that never vary have an error too, a millionth of them: else two such could not be
        told apart, or would be by a rounding error.
        """
        if min(self.episodes, other.episodes) < 2:
            return 0.0
        mean, other_mean = self.returns / self.episodes, other.returns / other.episodes
        variance = self._return_variance / self.episodes + other._return_variance / other.episodes
        error = max(math.sqrt(variance), _ROUNDING * max(abs(mean), abs(other_mean)))
        return (mean - other_mean) / error if error > 0 else 0.0

    def strongest(self, other: SuccessCount) -> float:
        """How many standard errors it is above another, by success or by return: what tells more.

        By success where both tell as much, and where the task is not scored.
        """
        by_success, by_return = self.above(other), self.above_in_return(other)
        return by_success if abs(by_success) >= abs(by_return) else by_return

    @property
    def _return_variance(self) -> float:
        mean = self.returns / self.episodes
        return max(self.squares / self.episodes - mean * mean, 0.0)


class MixedPlayOutcome(BaseModel):
    """Outcomes of mixed play in one situation.

    taught: of the episodes in which the teacher acted there; own: in which the student did.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    taught: SuccessCount = SuccessCount()
    own: SuccessCount = SuccessCount()

    def plus(self, taught: bool, success: bool, returns: Sequence[float] = ()) -> MixedPlayOutcome:
        name = "taught" if taught else "own"
        return self.model_copy(update={name: getattr(self, name).plus(success, 1, returns)})

    def summary(self) -> str:
        """In words, for the trace."""
        return f"{self.taught.summary()} with it, {self.own.summary()} without"

    def halved(self) -> MixedPlayOutcome:
        return MixedPlayOutcome(taught=self.taught.halved(), own=self.own.halved())


class TeacherCheck(BaseModel):
    """What is known of the teacher so far.

    met: the situations that it was or could have been asked about, by situation id, with a digest
    of its advice, empty for none. team: the team's outcomes in episodes that visited no other
    situations; together: in all its episodes; alone: the student's; team_unmet, alone_unmet: the
    shares of their episodes that visited others. mixed: the outcomes of mixed play, by situation
    id. fresh: episodes of the team since its advice changed; mixed_episodes: of mixed play since
    there was new advice; paired: of team and student each, ever, to compare them. rejected:
    situations whose advice is not followed. enabled: whether any advice is; decided: whether the
    episodes say so, or it is only until they do. ahead: situations that the team visits and that
    the teacher was not asked about yet, the most frequent first; empty once something was
    concluded. batches, env_steps: what the checks took. room: how many steps they may still take;
    run_steps: the run's steps up to which that was reckoned, None before the first check.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    met: dict[str, str] = {}
    team: SuccessCount = SuccessCount()
    together: SuccessCount = SuccessCount()
    alone: SuccessCount = SuccessCount()
    team_unmet: SuccessCount = SuccessCount()
    alone_unmet: SuccessCount = SuccessCount()
    mixed: dict[str, MixedPlayOutcome] = {}
    fresh: Count = 0
    mixed_episodes: Count = 0
    paired: Count = 0
    rejected: list[int] = []
    enabled: bool = True
    decided: bool = False
    ahead: list[int] = []
    batches: Count = 0
    env_steps: Count = 0
    room: Count = 0
    run_steps: Count | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be played before there is new advice."""
        return self.decided and self.enabled and self.fresh >= _ENOUGH

    @property
    def is_rejected(self) -> bool:
        """Whether episodes have shown that the teacher is no help."""
        return self.decided and not self.enabled

    @property
    def verdict(self) -> Literal["helps", "no help", "undecided"]:
        """What the episodes say of the teacher, in words."""
        if self.decided:
            return "helps" if self.enabled else "no help"
        return "undecided"

    @property
    def success(self) -> float | None:
        """The team's success rate; None while too few episodes were played."""
        return self.team.rate if self.team.episodes >= _BATCH else None

    @property
    def falls_short(self) -> bool:
        """Whether the team is known to fail often."""
        return self.success is not None and self.success < GOOD

    def summary(self) -> str:
        """What team and student did, in words, for the trace."""
        return (
            f"with the student to stand in for it, {self.together.summary()}; "
            f"of the student's own, {self.alone.summary()}"
        )

    def followed(self, advice: Mapping[int, Advice]) -> dict[int, Advice]:
        """The advice that is followed: what is not rejected, none where the teacher is disabled."""
        return self.not_rejected(advice) if self.enabled else {}

    def not_rejected(self, advice: Mapping[int, Advice]) -> dict[int, Advice]:
        """The advice that is checked further: all that is not rejected."""
        return {s: given for s, given in advice.items() if s not in self.rejected}


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
        check = _renewed(self._with_room(check, env_steps), advice, situations)
        check = check.model_copy(update={"ahead": []})
        if not advice or check.is_over:
            return check
        if check.is_rejected:
            return self._tried_again(check, advice)
        if not check.fresh or check.decided or _says_little(check):
            # What the team comes to is asked about first: half of the room is left for then.
            most = _BATCH if was_asked else max(self._fitting(check, 2 * _BATCH) // 2, _FEWEST)
            if episodes := self._fitting(check, most):
                check = self._play_team(check, advice, episodes)
        if check.ahead and not was_asked:
            return check
        if _good(check) and not self._task.scored:
            return _concluded(check, True)
        if self._fitting(check, _BATCH) and check.alone.episodes < _BATCH:
            check = self._play_alone(check, self._fitting(check, _BATCH))
        if _says_little(check) or _good(check) or _scores(check):
            return _judged(check)
        doubted = _falls_short(check) and not _undecided(check)
        if doubted and (episodes := self._fitting(check, _MIXED_BATCH)):
            # What has helped so far may do better without some of its advice. Where it may be no
            # help at all, that comes first: else this would take all the room for ever.
            check = self._play_doubted(_aged(check), advice, episodes)
        while (episodes := self._fitting(check, _MIXED_BATCH)) and _questionable(check):
            check = self._play_doubted(check, advice, episodes)
        while (both := self._fitting(check, 2 * _PAIRED_BATCH)) and _undecided(check):
            check = self._play_team(check, advice, both // 2)
            check = self._play_alone(check, both // 2)
            check = check.model_copy(update={"paired": check.paired + both // 2})
        return _judged(check)

    def _tried_again(self, check: TeacherCheck, advice: Mapping[int, Advice]) -> TeacherCheck:
        """The check of a rejected teacher: with another student it may help after all."""
        both = self._fitting(check, 2 * _PAIRED_BATCH)
        if not both:
            return check
        check = self._play_team(_aged(check), advice, both // 2)
        check = self._play_alone(check, both // 2)
        helps = check.together.strongest(check.alone) >= _CLEARLY
        return _concluded(check, helps, decided=not helps)

    def _with_room(self, check: TeacherCheck, env_steps: int) -> TeacherCheck:
        """The check with the steps that it may take by now."""
        if check.run_steps is None:
            # Nothing is followed before it was tried.
            check, room = check.model_copy(update={"enabled": False}), self._first_steps
        else:
            trusted = check.decided or _says_little(check)
            rate = _TRUSTED if trusted else _DOUBTED if check.enabled else _WITHHELD
            more = int(rate * (env_steps - check.run_steps))
            # No more is saved up than before the first update, or for one batch.
            most = max(self._first_steps, more, _MIXED_BATCH * self._task.max_episode_steps)
            room = min(check.room + more, most)
        return check.model_copy(update={"room": room, "run_steps": env_steps})

    def _fitting(self, check: TeacherCheck, episodes: int) -> int:
        """How many of so many episodes surely fit into what is left; 0 where too few do."""
        fitting = min(episodes, check.room // self._task.max_episode_steps)
        return fitting if fitting >= _FEWEST else 0

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
            check = _rejecting(check, worst)
        team = self._fitting(check, _BATCH)
        if team and (not check.fresh or _falls_short(check)):
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
        candidates = [s for s in rated if s not in check.rejected and rated[s] <= _WORSE]
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


def _renewed(
    check: TeacherCheck, advice: Mapping[int, Advice], situations: Iterable[int]
) -> TeacherCheck:
    """The check with this advice: where some of it is new, what was played before counts half."""
    met = check.met | {str(s): "" for s in situations if str(s) not in check.met}
    met |= {str(s): _digest(given) for s, given in advice.items()}
    still_ahead = any(str(s) not in met for s in check.ahead)
    changed = {s for s, digest in met.items() if digest and check.met.get(s) != digest}
    if not changed:
        return check.model_copy(update={"met": met})
    return check.model_copy(
        update={
            "met": met,
            "team": check.team.halved(),
            "together": check.together.halved(),
            "team_unmet": check.team_unmet.halved() if still_ahead else SuccessCount(),
            "alone": check.alone.halved(),
            "alone_unmet": SuccessCount(),
            "mixed": {s: c.halved() for s, c in check.mixed.items() if s not in changed},
            "rejected": [s for s in check.rejected if str(s) not in changed],
            "fresh": 0,
            "mixed_episodes": 0,
            "decided": False,
        }
    )


def _judged(check: TeacherCheck) -> TeacherCheck:
    """What the episodes say so far; what nothing speaks against is followed until it does."""
    if _good(check) or _scores(check):
        return _concluded(check, True)
    if _says_little(check):
        return _concluded(check, True, decided=False)
    if not check.fresh:
        return _concluded(check, check.enabled, decided=False)
    if _questionable(check):
        return _concluded(check, _helps(check, _CLEARLY), decided=False)
    if _undecided(check):
        return _concluded(check, _helps(check, _LEANING), decided=False)
    helps = _helps(check) or _leads_on(check)
    return _concluded(check, helps, decided=not helps)


def _concluded(check: TeacherCheck, enabled: bool, decided: bool = True) -> TeacherCheck:
    return check.model_copy(update={"enabled": enabled, "decided": decided, "ahead": []})


def _falls_short(check: TeacherCheck) -> bool:
    """Whether the advice is followed, though the team is not good and mixed play has no bound."""
    return check.enabled and bool(check.fresh) and not (_good(check) or _questionable(check))


def _aged(check: TeacherCheck) -> TeacherCheck:
    """The check in which old episodes count half, once there are many: the student has changed."""
    if check.fresh < 2 * _ENOUGH:
        return check
    return check.model_copy(
        update={
            "team": check.team.halved(),
            "together": check.together.halved(),
            "team_unmet": check.team_unmet.halved(),
            "alone": check.alone.halved(),
            "alone_unmet": check.alone_unmet.halved(),
            "mixed": {s: c.halved() for s, c in check.mixed.items()},
            "fresh": check.fresh // 2,
        }
    )


def _says_little(check: TeacherCheck) -> bool:
    """Whether the team's failures say nothing of the advice: it was lacking when it was needed."""
    return (check.team_unmet.rate or 0.0) > _OFTEN


def _is_unmet(check: TeacherCheck, episode: MixedEpisode) -> bool:
    """Whether an episode visited a situation that the student has not met in its rollouts."""
    return any(str(situation) not in check.met for situation in episode.taught)


def _good(check: TeacherCheck) -> bool:
    rate = check.team.rate
    worse = check.together.above_in_return(check.alone) <= -_CLEARLY
    return rate is not None and rate >= GOOD and not worse


def _leads_on(check: TeacherCheck) -> bool:
    """Whether the team gets to situations without an answer more often than the student alone does.

    Then its failures say nothing of the advice: there was none when it was needed.
    """
    return check.team_unmet.above(check.alone_unmet) >= _BETTER


def _helps(check: TeacherCheck, errors: float = _BETTER) -> bool:
    """Whether the team does better than the student alone, or the teacher does in mixed play."""
    return max(check.together.strongest(check.alone), _on_the_whole(check)) >= errors


def _scores(check: TeacherCheck) -> bool:
    """Whether the team's return is clearly above the student's, and its success not below."""
    return (
        check.together.above_in_return(check.alone) >= _CLEARLY
        and check.together.above(check.alone) > _WORSE
    )


def _questionable(check: TeacherCheck) -> bool:
    """Whether the team is not good, and more mixed play is within its bound."""
    return not _good(check) and check.mixed_episodes + _MIXED_BATCH <= _FIRST_MIXED + _more(check)


def _undecided(check: TeacherCheck) -> bool:
    """Whether team and student cannot be told apart yet, and more episodes are within the bound."""
    clear = (
        _good(check)
        or _helps(check, _CLEARLY)
        or check.together.strongest(check.alone) <= -_CLEARLY
    )
    return not clear and check.paired + _PAIRED_BATCH <= _PAIRS + _more(check)


def _more(check: TeacherCheck) -> int:
    """How many more episodes the situations with advice allow."""
    return _MIXED_EACH * sum(bool(digest) for digest in check.met.values())


def _on_the_whole(check: TeacherCheck) -> float:
    """How many standard errors the teacher does better than the student in mixed play.

    Over all situations where it is followed: Stouffer's sum of independent statistics.
    """
    rated = [
        c.taught.strongest(c.own) for s, c in check.mixed.items() if int(s) not in check.rejected
    ]
    # Exactly added up: the order in which the situations were met must not matter.
    return math.fsum(rated) / math.sqrt(len(rated)) if rated else 0.0


def _rejecting(check: TeacherCheck, situation: int) -> TeacherCheck:
    """The check without the advice on a situation.

    It has affected the outcomes of the other situations, which count half.
    """
    rejected = sorted([*check.rejected, situation])
    return check.model_copy(
        update={
            "rejected": rejected,
            "team": SuccessCount(),
            "together": SuccessCount(),
            "team_unmet": SuccessCount(),
            "mixed": {s: c if int(s) in rejected else c.halved() for s, c in check.mixed.items()},
            "fresh": 0,
        }
    )


def _digest(advice: Advice) -> str:
    text = json.dumps(advice.to_json())
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
