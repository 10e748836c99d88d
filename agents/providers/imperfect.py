"""Embedded teachers with faults, so that everybody can see what a bad teacher does to a student.

    faulty:RATE      another option than the good one in that share of situations
    adversarial      the same wrong option, always, in each situation
    forgetful:RATE   no usable answer in that share of situations
    weak             mostly right, but it leads up to what matters and does not do it

They are the offline teacher, no LLM, with its plans replaced; the task's script says what is wrong
in a situation. Which situations a fault befalls is drawn with a hash of (seed, kind, situation):
all samples of a situation share it, as those of a model that does not know better would, and it is
the same in every run with that seed. Where the script has nothing to say, neither have they.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from tutelage.agents.providers.offline import OfflineTeacher, as_called, hashed
from tutelage.rl.tasks.options import Option, Plan
from tutelage.rl.tasks.scripts import BEST, Candidate

IMPERFECT_VERSION: Final = 1
"""Belongs to the key of cached answers: raise it with every change to the answers below."""

SILENCE: Final[Plan] = (Option("no_idea"),)
"""An answer of an answer's form that can't be used: nothing of that name is ever on offer."""


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

    The wrong option is any of the script's `wrong_steps`, all alike. Where there are none, there is
    nothing to be wrong about, and the answer is right.
    """

    script_name: ClassVar[str] = "faulty-script"

    def _weigh(self, text: str, offered: Sequence[Option]) -> list[Candidate]:
        found = super()._weigh(text, offered)
        if not found or not self._errs(text):
            return found
        wrong = self.script.wrong_steps(text, offered, found[0].plan)
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
        found = super()._weigh(text, offered)
        wrong = self.script.wrong_steps(text, offered, found[0].plan) if found else ()
        return [Candidate((wrong[0],) if wrong else SILENCE, BEST)]


class ForgetfulTeacher(UnreliableTeacher):
    """Gives no usable answer in a share of situations, and is the offline script in the others."""

    script_name: ClassVar[str] = "forgetful-script"

    def _weigh(self, text: str, offered: Sequence[Option]) -> list[Candidate]:
        return [Candidate(SILENCE, BEST)] if self._errs(text) else super()._weigh(text, offered)


class WeakTeacher(ImperfectTeacher):
    """The offline script, but it mostly stalls: it leads up to what matters and leaves it undone.

    In a grid world it walks up to what is to be opened, and away again.
    """

    script_name: ClassVar[str] = "weak-script"

    def _weigh(self, text: str, offered: Sequence[Option]) -> list[Candidate]:
        found = super()._weigh(text, offered)
        if not found:
            return found
        return as_called(self.script.stalled(text, offered, found, self.max_options))


IMPERFECT: Final[dict[str, type[ImperfectTeacher]]] = {
    "faulty": FaultyTeacher,
    "forgetful": ForgetfulTeacher,
    "adversarial": AdversarialTeacher,
    "weak": WeakTeacher,
}
"""By the name that a provider begins with."""
