"""Embedded teachers with faults, so that everybody can see what a bad teacher does to a student.

    faulty:RATE      another option than the good one in that share of situations
    adversarial      the same wrong option, always, in each situation
    forgetful:RATE   no usable answer in that share of situations
    weak             mostly right, but it stands before a door and does not open it

They are the offline script, no LLM, with its plans replaced. Which situations a fault befalls is
drawn with a hash of (seed, kind, situation): all samples of a situation share it, as those of a
model that does not know better would, and it is the same in every run with that seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from tutelage.agents.providers.imperfect_rules import (
    IMPERFECT_VERSION,
    SILENCE,
    stalled,
    wrong_steps,
)
from tutelage.agents.providers.offline import OfflineTeacher, hashed
from tutelage.agents.providers.offline_rules import BEST, Candidate, SituationFields
from tutelage.rl.tasks.options import Option


class ImperfectTeacher(OfflineTeacher):
    """The base of the teachers with faults: a name, and a version of their answers."""

    @property
    def _llm_type(self) -> str:
        """Says what it is."""
        return f"{self.script_name}-no-llm"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """All that its answers depend on, besides the messages and tools."""
        return {**super()._identifying_params, "imperfect_version": IMPERFECT_VERSION}


class UnreliableTeacher(ImperfectTeacher):
    """One whose fault befalls some situations. rate: their share, 0 to 1."""

    rate: float

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """All that its answers depend on, besides the messages and tools."""
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


WITH_RATE: Final[dict[str, type[UnreliableTeacher]]] = {
    "faulty": FaultyTeacher,
    "forgetful": ForgetfulTeacher,
}
WITHOUT_RATE: Final[dict[str, type[ImperfectTeacher]]] = {
    "adversarial": AdversarialTeacher,
    "weak": WeakTeacher,
}
