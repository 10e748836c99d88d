"""The teacher's trial: episodes that it plays itself, to know what its advice is worth, and where.

They are played in a side environment with the advice in hand: no LLM is asked for them, and their
steps are counted apart. What that advice is worth changes with the advice only, so a trial is held
where there is new advice, before anything is learned from it:

- *The team*: the teacher acts wherever it has something to say, the student in all other places.
  That is the success rate that a student can reach by imitation.
- *By turns* (`rl.teaching.mixed_play`), where the team often fails: in each situation of an episode
  either of them is drawn to act. Advice that does worse there than the student does is doubted, and
  not followed any more. So one wrong answer does not spoil all the right ones.
- *The student alone*: a team that does no better is not followed at all. Where both fail nearly
  always, it takes some hundred episodes of each to tell.

A team may come through situations that nobody has been asked about. Those are asked about before
anything is concluded (`Trial.ahead`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from tutelage.rl.advice.advice import Advice
from tutelage.rl.policy.policy import Student
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.lookups import full_text
from tutelage.rl.tasks.seeding import generator
from tutelage.rl.teaching.mixed_play import PlayedTurns, Turns, play_turns

FOLLOWED, BY_TURNS, ALONE = 1.0, 0.5, 0.0
"""The probability with which the teacher acts in a situation."""

_FIRST: Final = 32
_MORE: Final = 16
"""Episodes of the team at once: where advice is new, and later."""
_ENOUGH: Final = 96
"""Episodes of the team since the advice last changed: a standard error of at most 0.05."""
_TURNS: Final = 64
_FIRST_TURNS, _TURNS_EACH = 128, 16
"""Episodes by turns with the same advice: at once, in all, and more for each situation with it."""
_PAIRS: Final = 448
"""Episodes of team and student each, at most, to tell apart two that nearly always fail: 5 % and
1.5 % are then 3 standard errors apart. Besides, `_TURNS_EACH` for each situation with advice."""
_ALLOWANCE: Final = 300_000
"""Steps that it may take besides one for each of the run: some seconds; most need far fewer."""
_GOOD: Final = 0.9
"""A team that succeeds as often as that needs no closer look."""
_OFTEN: Final = 0.1
"""The share of a team's episodes through unknown places from which on they count for too little."""
_WORSE: Final = -2.0
_BETTER: Final = 1.64
_CLEARLY: Final = 3.0
"""Standard errors of a difference of success rates from which on it counts; and from which on it
counts before all the episodes were played (Haybittle 1971, Peto et al. 1976)."""


class Tally(BaseModel):
    """Successes among episodes. Numbers and not counts: what is old may count in part."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    successes: float = 0.0
    episodes: float = 0.0

    @property
    def rate(self) -> float | None:
        """The success rate, None without episodes."""
        return self.successes / self.episodes if self.episodes else None

    def plus(self, successes: float, episodes: float) -> Tally:
        return Tally(successes=self.successes + successes, episodes=self.episodes + episodes)

    def told(self) -> str:
        """In words, for the trace."""
        return f"{self.successes:.0f} of {self.episodes:.0f} episodes succeeded"

    def halved(self) -> Tally:
        return Tally(successes=self.successes / 2, episodes=self.episodes / 2)

    def above(self, other: Tally) -> float:
        """How many standard errors its rate is above another's; 0 where either is unknown.

        The pooled two-proportion statistic, one success and one failure added to the pool.
        """
        if not (self.episodes and other.episodes):
            return 0.0
        pool = (self.successes + other.successes + 1) / (self.episodes + other.episodes + 2)
        error = math.sqrt(pool * (1 - pool) * (1 / self.episodes + 1 / other.episodes))
        return (self.successes / self.episodes - other.successes / other.episodes) / error


class Contrast(BaseModel):
    """Outcomes of the episodes in which the teacher acted in a situation, and the student in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    taught: Tally = Tally()
    own: Tally = Tally()

    def plus(self, taught: bool, success: bool) -> Contrast:
        name = "taught" if taught else "own"
        return self.model_copy(update={name: getattr(self, name).plus(success, 1)})

    def told(self) -> str:
        """Both in words, for the trace."""
        return f"{self.taught.told()} with it, {self.own.told()} without"

    def halved(self) -> Contrast:
        return Contrast(taught=self.taught.halved(), own=self.own.halved())


class Trial(BaseModel):
    """What is known of the teacher so far.

    met: the situations that it was or could have been asked about, by signature, with a digest of
    its advice, empty for none. team: the team's outcomes in episodes that came through those alone;
    together: in all its episodes; alone: the student's; team_unmet, alone_unmet: their episodes
    that came through others. turns: the outcomes by turns, by situation. fresh: episodes of the
    team since its advice changed; turned: by turns since there was new advice; paired: of team and
    student each, ever, to tell them apart.
    doubted: situations whose advice is not followed. trusted: whether any is. ahead: situations
    that the team leads on to and that nobody was asked about, the most frequent first; empty where
    there was reason to conclude something without. batches, env_steps: what it all took.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    met: dict[str, str] = {}
    team: Tally = Tally()
    together: Tally = Tally()
    alone: Tally = Tally()
    team_unmet: Tally = Tally()
    alone_unmet: Tally = Tally()
    turns: dict[str, Contrast] = {}
    fresh: int = 0
    turned: int = 0
    paired: int = 0
    doubted: list[int] = []
    trusted: bool = True
    ahead: list[int] = []
    batches: int = 0
    env_steps: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be found out before there is other advice."""
        return self.fresh >= _ENOUGH

    @property
    def success(self) -> float | None:
        """The team's success rate; None while too few episodes were played."""
        return self.team.rate if self.team.episodes >= _MORE else None

    @property
    def falls_short(self) -> bool:
        """Whether the team is known to fail often."""
        return self.success is not None and self.success < _GOOD

    def told(self) -> str:
        """How the team fared, in words, for the trace."""
        return f"with the student to stand in for it, {self.team.told()}"

    def followed(self, advice: Mapping[int, Advice]) -> dict[int, Advice]:
        """The advice that is worth following."""
        return self.undoubted(advice) if self.trusted else {}

    def undoubted(self, advice: Mapping[int, Advice]) -> dict[int, Advice]:
        """The advice that is not known to do harm: what is tried on."""
        return {s: given for s, given in advice.items() if s not in self.doubted}


class Examiner:
    """Holds trials. student: as it is now; levels are training levels of a stream of their own."""

    def __init__(
        self,
        task: Task,
        student: Student,
        seed: int,
        on_step: Callable[[], None] | None = None,
    ) -> None:
        self._task, self._student, self._seed, self._on_step = task, student, seed, on_step
        self._levels = int(generator(seed, "trial").integers(2**31))

    def after(
        self,
        trial: Trial,
        advice: Mapping[int, Advice],
        situations: Iterable[int],
        env_steps: int,
    ) -> Trial:
        """The trial with some more episodes, where there is something to find out.

        situations: those that the student has met lately, and what was `ahead` if it was asked
        about since. env_steps: those of the run so far, which what a trial may take grows with:
        else one of a task with thousands of situations would take more time than all the rest.
        """
        was_asked, most = bool(trial.ahead), _ALLOWANCE + env_steps
        trial = _renewed(trial, advice, situations)
        if not advice or trial.is_over or trial.env_steps > most:
            return _concluded(trial, trial.trusted)
        episodes = _MORE if trial.fresh else _FIRST
        trial = self._play_team(trial, advice, episodes)
        if _good(trial):
            return _concluded(trial, True)
        # At the same time: a student that gets better makes its team better too.
        trial = self._play_alone(trial, advice, episodes)
        if trial.ahead and not was_asked:
            return trial
        if _leads_on(trial):
            return _concluded(trial, True)
        while trial.env_steps <= most and _questionable(trial):
            trial = self._play_turns(trial, advice)
            worst = _worst(trial, self._told)
            if worst is not None:
                trial = self._play_team(_doubting(trial, worst), advice, _FIRST)
        while trial.env_steps <= most and _undecided(trial):
            trial = self._play_team(trial, advice, _TURNS)
            trial = self._play_alone(trial, advice, _TURNS)
            trial = trial.model_copy(update={"paired": trial.paired + _TURNS})
        return _concluded(trial, _good(trial) or _helps(trial) or _leads_on(trial))

    def _told(self, situation: int) -> str:
        """What decides where nothing else does: a situation's text, whatever its number."""
        return full_text(self._task, situation)

    def _play_team(self, trial: Trial, advice: Mapping[int, Advice], episodes: int) -> Trial:
        done = self._play(trial, advice, FOLLOWED, episodes)
        # Where there was no advice yet, the outcome says nothing of it.
        told = [e.success for e in done.episodes if not _is_unmet(trial, e)]
        return _counted(
            trial,
            done,
            team=trial.team.plus(sum(told), len(told)),
            together=trial.together.plus(done.successes, episodes),
            team_unmet=trial.team_unmet.plus(episodes - len(told), episodes),
            fresh=trial.fresh + episodes,
            ahead=_unmet_first(trial, done.episodes, self._told),
        )

    def _play_alone(self, trial: Trial, advice: Mapping[int, Advice], episodes: int) -> Trial:
        done = self._play(trial, advice, ALONE, episodes)
        unmet = sum(_is_unmet(trial, episode) for episode in done.episodes)
        return _counted(
            trial,
            done,
            alone=trial.alone.plus(done.successes, episodes),
            alone_unmet=trial.alone_unmet.plus(unmet, episodes),
        )

    def _play_turns(self, trial: Trial, advice: Mapping[int, Advice]) -> Trial:
        done = self._play(trial, advice, BY_TURNS, _TURNS)
        turns = dict(trial.turns)
        for episode in done.episodes:
            for situation, taught in episode.taught.items():
                if taught is not None:
                    before = turns.get(str(situation), Contrast())
                    turns[str(situation)] = before.plus(taught, episode.success)
        return _counted(trial, done, turns=turns, turned=trial.turned + _TURNS)

    def _play(
        self, trial: Trial, advice: Mapping[int, Advice], share: float, episodes: int
    ) -> PlayedTurns:
        return play_turns(
            self._task,
            self._student,
            trial.undoubted(advice),
            share,
            episodes,
            self._levels,
            trial.batches,
            generator(self._seed, "trial", trial.batches),
            self._on_step,
        )


def _counted(trial: Trial, done: PlayedTurns, **changes: object) -> Trial:
    cost = {"batches": trial.batches + 1, "env_steps": trial.env_steps + done.env_steps}
    return trial.model_copy(update={**cost, **changes})


def _renewed(trial: Trial, advice: Mapping[int, Advice], situations: Iterable[int]) -> Trial:
    """With new advice, or in new places, what was played before counts half."""
    met = trial.met | {str(s): "" for s in situations if str(s) not in trial.met}
    met |= {str(s): _digest(given) for s, given in advice.items()}
    changed = {s for s, digest in met.items() if digest and trial.met.get(s) != digest}
    if not changed:
        return trial.model_copy(update={"met": met})
    return trial.model_copy(
        update={
            "met": met,
            "team": trial.team.halved(),
            "together": Tally(),
            "team_unmet": Tally(),
            "alone": Tally(),
            "alone_unmet": Tally(),
            "turns": {s: c.halved() for s, c in trial.turns.items() if s not in changed},
            "doubted": [s for s in trial.doubted if str(s) not in changed],
            "fresh": 0,
            "turned": 0,
        }
    )


def _concluded(trial: Trial, trusted: bool) -> Trial:
    return trial.model_copy(update={"trusted": trusted, "ahead": []})


def _unmet_first(trial: Trial, episodes: Sequence[Turns], told: Callable[[int], str]) -> list[int]:
    """The situations that the student has not met in its rollouts, the most frequent first.

    told: a situation's text, by which equals are ordered.
    """
    counts = Counter(s for e in episodes for s in e.taught if str(s) not in trial.met)
    return sorted(counts, key=lambda s: (-counts[s], told(s)))


def _is_unmet(trial: Trial, episode: Turns) -> bool:
    """Whether it came through a situation that the student has not met in its rollouts."""
    return any(str(situation) not in trial.met for situation in episode.taught)


def _good(trial: Trial) -> bool:
    rate = trial.team.rate
    return rate is not None and rate >= _GOOD


def _leads_on(trial: Trial) -> bool:
    """Whether the team gets on to places that nobody has asked about yet, as the student does not.

    Then its failures say nothing of the advice: there was none when it was needed.
    """
    return trial.team_unmet.above(trial.alone_unmet) >= _BETTER


def _helps(trial: Trial, errors: float = _BETTER) -> bool:
    """Whether the team does better than the student alone, or the teacher does by turns."""
    return max(trial.together.above(trial.alone), _on_the_whole(trial)) >= errors


def _questionable(trial: Trial) -> bool:
    """Whether a closer look is due, and is not too dear."""
    return not _good(trial) and trial.turned + _TURNS <= _FIRST_TURNS + _more(trial)


def _undecided(trial: Trial) -> bool:
    """Whether team and student cannot be told apart yet, and more episodes are not too dear.

    Not while the team often comes where nobody was asked: those episodes do not count.
    """
    if (trial.team_unmet.rate or 0.0) > _OFTEN:
        return False
    clear = (
        _good(trial) or _helps(trial, _CLEARLY) or trial.together.above(trial.alone) <= -_CLEARLY
    )
    return not clear and trial.paired + _TURNS <= _PAIRS + _more(trial)


def _more(trial: Trial) -> int:
    """Episodes that situations with advice are worth."""
    return _TURNS_EACH * sum(bool(digest) for digest in trial.met.values())


def _worst(trial: Trial, told: Callable[[int], str]) -> int | None:
    """The situation in which the teacher does worst beside the student, if clearly worse.

    told: as in `_unmet_first`.
    """
    rated = {int(s): c.taught.above(c.own) for s, c in trial.turns.items()}
    candidates = [s for s in rated if s not in trial.doubted and rated[s] <= _WORSE]
    return min(candidates, key=lambda s: (rated[s], told(s)), default=None)


def _on_the_whole(trial: Trial) -> float:
    """How many standard errors the teacher does better than the student, by turns, in all places
    where it is followed (Stouffer's sum of independent statistics).
    """
    rated = [c.taught.above(c.own) for s, c in trial.turns.items() if int(s) not in trial.doubted]
    # Exactly added up: the order in which the situations were met must not matter.
    return math.fsum(rated) / math.sqrt(len(rated)) if rated else 0.0


def _doubting(trial: Trial, situation: int) -> Trial:
    """Without the advice on a situation; the others' outcomes were spoilt by it, and count half."""
    doubted = sorted([*trial.doubted, situation])
    return trial.model_copy(
        update={
            "doubted": doubted,
            "team": Tally(),
            "together": Tally(),
            "team_unmet": Tally(),
            "turns": {s: c if int(s) in doubted else c.halved() for s, c in trial.turns.items()},
            "fresh": 0,
        }
    )


def _digest(advice: Advice) -> str:
    text = json.dumps(advice.to_json())
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
