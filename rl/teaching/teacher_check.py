"""The teacher check: what episodes have shown of the teacher's advice, and what follows from it.

How good advice is depends on the advice only, so it is checked when there is new advice, from the
first update on (`rl.teaching.teacher_checker` plays the episodes):

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
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from tutelage.rl.advice.advice import Advice
from tutelage.rl.teaching.success_counts import Count, MixedPlayOutcome, SuccessCount
from tutelage.rl.teaching.weight_schedule import GOOD

BATCH: Final = 16
"""Episodes of the team, or of the student, at once."""
FEWEST: Final = 4
"""Fewer episodes at once are not worth the trouble."""
MIXED_BATCH: Final = 32
"""Episodes of mixed play at once."""
PAIRED_BATCH: Final = 32
"""Episodes of team and student each, at once, to compare the two."""
WORSE: Final = -2.0
"""Standard errors from which on advice that does worse in a situation is rejected there."""
CLEARLY: Final = 3.0
"""Standard errors from which on a difference of success rates counts before all the episodes were
played (Haybittle 1971, Peto et al. 1976)."""
_BETTER, _LEANING = 1.64, 1.0
"""Standard errors from which on a difference counts after all of them, and before."""
_ENOUGH: Final = 96
"""Episodes of the team since the advice last changed: a standard error of at most 0.05."""
_FIRST_MIXED, _MIXED_EACH = 128, 16
"""Episodes of mixed play with the same advice: in all, and more for each situation with advice."""
_PAIRS: Final = 448
"""Episodes of team and student each, at most, to tell apart two that nearly always fail: 5 % and
1.5 % are then 3 standard errors apart. Besides, `_MIXED_EACH` for each situation with advice."""
_POOR: Final = 0.5
"""The success rate below which a team's episodes mostly fail."""
_OFTEN: Final = 0.5
"""The share of a team's episodes that visited situations without an answer, from which on the
team's failures say too little."""


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
        """The team's success rate; None while too few episodes were played.

        A few that mostly fail are enough: a teacher that is unknown weighs as much as a good one.
        """
        rate = self.team.rate
        poor = rate is not None and rate < _POOR and not self.says_little
        return rate if self.team.episodes >= (FEWEST if poor else BATCH) else None

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

    def renewed(self, advice: Mapping[int, Advice], situations: Iterable[int]) -> TeacherCheck:
        """The check with this advice. Where some of it is new, old episodes count half."""
        met = self.met | {str(s): "" for s in situations if str(s) not in self.met}
        met |= {str(s): _digest(given) for s, given in advice.items()}
        still_ahead = any(str(s) not in met for s in self.ahead)
        changed = {s for s, digest in met.items() if digest and self.met.get(s) != digest}
        if not changed:
            return self.model_copy(update={"met": met})
        half = self._halved()
        return half.model_copy(
            update={
                "met": met,
                "team_unmet": half.team_unmet if still_ahead else SuccessCount(),
                "alone_unmet": SuccessCount(),
                "mixed": {s: c for s, c in half.mixed.items() if s not in changed},
                "rejected": [s for s in self.rejected if str(s) not in changed],
                "fresh": 0,
                "mixed_episodes": 0,
                "decided": False,
            }
        )

    def judged(self) -> TeacherCheck:
        """What the episodes say so far; what nothing speaks against is followed until it does."""
        if self.is_good or self.scores:
            return self.concluded(True)
        if self.says_little:
            return self.concluded(True, decided=False)
        if not self.fresh:
            return self.concluded(self.enabled, decided=False)
        if self.is_questionable:
            return self.concluded(self.helps(), decided=False)
        if self.is_undecided:
            return self.concluded(self.helps(_LEANING), decided=False)
        helps = self.helps() or self.leads_on
        return self.concluded(helps, decided=not helps)

    def concluded(self, enabled: bool, decided: bool = True) -> TeacherCheck:
        """The check with this verdict. decided: whether the episodes say so."""
        return self.model_copy(update={"enabled": enabled, "decided": decided, "ahead": []})

    @property
    def is_doubted(self) -> bool:
        """Whether the advice is followed, though the team fails and mixed play has ended."""
        return self.enabled and bool(self.fresh) and not (self.is_good or self.is_questionable)

    def aged(self) -> TeacherCheck:
        """The check in which old episodes count half, once there are many: students change."""
        if self.fresh < 2 * _ENOUGH:
            return self
        return self._halved().model_copy(update={"fresh": self.fresh // 2})

    def _halved(self) -> TeacherCheck:
        """The check in which all that was played counts half."""
        names = ("team", "together", "alone", "team_unmet", "alone_unmet")
        halves: dict[str, object] = {name: getattr(self, name).halved() for name in names}
        mixed = {s: c.halved() for s, c in self.mixed.items()}
        return self.model_copy(update={**halves, "mixed": mixed})

    @property
    def says_little(self) -> bool:
        """Whether the team's failures say nothing of the advice: there was none when needed."""
        return (self.team_unmet.rate or 0.0) > _OFTEN

    @property
    def is_good(self) -> bool:
        """Whether the team nearly always succeeds, and with no clearly worse returns."""
        rate = self.team.rate
        worse = self.together.above_in_return(self.alone) <= -CLEARLY
        return rate is not None and rate >= GOOD and not worse

    @property
    def leads_on(self) -> bool:
        """Whether the team gets to situations without an answer more often than the student.

        Then its failures say nothing of the advice: there was none when it was needed.
        """
        return self.team_unmet.above(self.alone_unmet) >= _BETTER

    def helps(self, errors: float = _BETTER) -> bool:
        """Whether the team does better than the student, or the teacher does in mixed play."""
        return max(self.together.strongest(self.alone), self._on_the_whole) >= errors

    @property
    def scores(self) -> bool:
        """Whether the team's return is clearly above the student's, and its success not below."""
        return (
            self.together.above_in_return(self.alone) >= CLEARLY
            and self.together.above(self.alone) > WORSE
        )

    @property
    def is_questionable(self) -> bool:
        """Whether the team is not good, and more mixed play is within its bound."""
        return not self.is_good and self.mixed_episodes + MIXED_BATCH <= _FIRST_MIXED + self._more

    @property
    def is_undecided(self) -> bool:
        """Whether the two cannot be told apart yet, and more episodes are within the bound."""
        clear = (
            self.is_good or self.helps(CLEARLY) or self.together.strongest(self.alone) <= -CLEARLY
        )
        return not clear and self.paired + PAIRED_BATCH <= _PAIRS + self._more

    @property
    def _more(self) -> int:
        """How many more episodes the situations with advice allow."""
        return _MIXED_EACH * sum(bool(digest) for digest in self.met.values())

    @property
    def _on_the_whole(self) -> float:
        """How many standard errors the teacher does better than the student in mixed play.

        Over all situations where it is followed: Stouffer's sum of independent statistics.
        """
        rated = [
            c.taught.strongest(c.own) for s, c in self.mixed.items() if int(s) not in self.rejected
        ]
        # Exactly added up: the order in which the situations were met must not matter.
        return math.fsum(rated) / math.sqrt(len(rated)) if rated else 0.0

    def rejecting(self, situation: int) -> TeacherCheck:
        """The check without the advice on a situation.

        It has affected the outcomes of the other situations, which count half.
        """
        rejected = sorted([*self.rejected, situation])
        mixed = {s: c if int(s) in rejected else c.halved() for s, c in self.mixed.items()}
        nothing = dict.fromkeys(("team", "together", "team_unmet"), SuccessCount())
        return self.model_copy(update={**nothing, "rejected": rejected, "mixed": mixed, "fresh": 0})


def _digest(advice: Advice) -> str:
    text = json.dumps(advice.to_json())
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
