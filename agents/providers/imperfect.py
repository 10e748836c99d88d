"""Embedded teachers with faults, so that everybody can see what a bad teacher does to a student.

    faulty:RATE      another option than the good one in that share of situations
    adversarial      the same wrong option, always, in each situation
    forgetful:RATE   no usable answer in that share of situations
    weak             mostly right, but it stands before a door and does not open it

They are the offline script, no LLM, with its plans replaced. Which situations a fault befalls is
drawn with a hash of (seed, kind, situation): all samples of a situation share it, as those of a
model that does not know better would, and it is the same in every run with that seed. They see a
situation's text and no state: what they call possible can be done in most of its states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from tutelage.agents.providers.offline import OfflineTeacher, hashed
from tutelage.agents.providers.offline_rules import (
    BEST,
    SENSIBLE,
    Candidate,
    SituationFields,
    gets_on,
    is_possible,
)
from tutelage.rl.tasks.options import Option, Plan

IMPERFECT_VERSION: Final = 1
"""Belongs to the key of cached answers: raise it with every change to the answers below."""

SILENCE: Final[Plan] = (Option("no_idea"),)
"""An answer of an answer's form that can't be used: nothing of that name is ever on offer."""

_BY_HARM: Final = ("drop", "pick_up", "explore", "go_to", "open")
"""Wrong steps, the worst first: to let go of what is needed, to pick up what is not needed, to look
around when there is something to do, to walk somewhere."""


class ImperfectTeacher(OfflineTeacher):
    """The base of the teachers with faults: a name, and a version of their answers."""

    @property
    def _llm_type(self) -> str:
        return f"{self.script_name}-no-llm"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**super()._identifying_params, "imperfect_version": IMPERFECT_VERSION}


class UnreliableTeacher(ImperfectTeacher):
    """One whose fault befalls some situations. rate: their share, 0 to 1."""

    rate: float

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**super()._identifying_params, "rate": self.rate}

    def _errs(self, text: str) -> bool:
        """Whether the fault befalls a situation. A higher rate adds situations to a lower one's."""
        return hashed(self.seed, self.script_name, text) < self.rate


class FaultyTeacher(UnreliableTeacher):
    """Sure of a wrong option in a share of situations, and the offline script in the others.

    The wrong option is any that `wrong_steps` knows, all alike. Where it knows none, there is
    nothing to be wrong about, and the answer is right.
    """

    script_name: ClassVar[str] = "faulty-script"

    def _weigh(self, text: str, offered: Sequence[Option]) -> list[Candidate]:
        found = super()._weigh(text, offered)
        if not self._errs(text):
            return found
        wrong = wrong_steps(SituationFields.parse(text), offered, found[0].plan)
        if not wrong:
            return found
        drawn = int(hashed(self.seed, "which", text) * len(wrong))
        return [Candidate((wrong[drawn],), BEST)]


class AdversarialTeacher(ImperfectTeacher):
    """Gives the most harmful option that can be carried out, whatever the seed.

    Where nothing would be plainly wrong, as while there is only exploring to do, it gives no usable
    answer rather than help.
    """

    script_name: ClassVar[str] = "adversarial-script"

    def _weigh(self, text: str, offered: Sequence[Option]) -> list[Candidate]:
        best = super()._weigh(text, offered)[0].plan
        wrong = wrong_steps(SituationFields.parse(text), offered, best)
        return [Candidate((wrong[0],) if wrong else SILENCE, BEST)]


class ForgetfulTeacher(UnreliableTeacher):
    """Gives no usable answer in a share of situations, and is the offline script in the others."""

    script_name: ClassVar[str] = "forgetful-script"

    def _weigh(self, text: str, offered: Sequence[Option]) -> list[Candidate]:
        return [Candidate(SILENCE, BEST)] if self._errs(text) else super()._weigh(text, offered)


class WeakTeacher(ImperfectTeacher):
    """The offline script, but what is to be opened it mostly walks up to and leaves shut."""

    script_name: ClassVar[str] = "weak-script"

    def _weigh(self, text: str, offered: Sequence[Option]) -> list[Candidate]:
        found = super()._weigh(text, offered)
        return stalled(SituationFields.parse(text), offered, found, self.max_options)


IMPERFECT: Final[dict[str, type[ImperfectTeacher]]] = {
    "faulty": FaultyTeacher,
    "forgetful": ForgetfulTeacher,
    "adversarial": AdversarialTeacher,
    "weak": WeakTeacher,
}
"""By the name that a provider begins with."""


def due_step(plan: Plan, situation: SituationFields) -> Option:
    """The step of a plan that is carried out in most of the situation's states."""
    return next((step for step in plan if is_possible(step, situation)), plan[0])


def wrong_steps(situation: SituationFields, offered: Sequence[Option], best: Plan) -> list[Option]:
    """The options on offer that can be carried out and are plainly wrong, the most harmful first.

    best: the best plan there. None of its steps is among them, and neither is the walk to what the
    due step is aimed at, which would be half of it. To explore is wrong where the best plan gets
    on without; before that, as with a key in sight and no door yet, it is as good as anything.
    """
    due = due_step(best, situation)
    helpful = {*best, Option("go_to", due.target)}
    if gets_on(best, situation):
        helpful.discard(Option("explore"))
    wrong = [o for o in offered if o not in helpful | {due} and is_possible(o, situation)]
    return sorted(wrong, key=_harmlessness)


def stalled(
    situation: SituationFields, offered: Sequence[Option], found: Sequence[Candidate], limit: int
) -> list[Candidate]:
    """The plans of a teacher that leads up to what is to be opened, and then does not open it.

    found: the offline script's plans, the best first; they stay as they are where nothing is to be
    opened. Else the likeliest plan walks up and away again, for ever: whatever leads away makes the
    walk its first unfinished step. The best one is left with a small share.
    """
    best = found[0].plan
    due = due_step(best, situation)
    if due.name != "open":
        return list(found)
    steps = (Option("go_to", due.target), Option("explore"), Option("drop"))
    plan = tuple(s for s in steps if s in offered and is_possible(s, situation))[:limit]
    return [Candidate(plan, BEST), Candidate(best, SENSIBLE)] if plan else list(found)


def _harmlessness(option: Option) -> int:
    return _BY_HARM.index(option.name) if option.name in _BY_HARM else len(_BY_HARM)
