"""What a teacher tells of its provider's faults, and when there is no use in going on with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tutelage.agents.client.cures import cause, what_next
from tutelage.agents.client.errors import REFUSALS
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.providers.catalogue import variables_of
from tutelage.rl.errors import UserError

LONGEST_QUOTE: Final = 200
"""Characters of what a provider said."""


class ProviderRefusedError(UserError):
    """A provider that refuses for good before it has answered anything; names cause and cure."""


def fault_line(name: str, answer: PlannerAnswer) -> str:
    """A failure of a provider that does not end the run. name: the provider's."""
    said = _complaint(answer)
    hint = f"{what_next(answer.failure, _keys(name), said)}; " if answer.failure else ""
    return (
        f"{name}: {answer.failure}: {said} "
        f"({hint}the run goes on, and asks again from time to time)"
    )


def refusal_line(name: str, answers: Iterable[PlannerAnswer]) -> str | None:
    """Cause and cure, where one of the answers is a provider's refusal for good; else None."""
    for answer in answers:
        if answer.failure in REFUSALS:
            said = _complaint(answer)
            todo = what_next(answer.failure, _keys(name), said)
            return f"{name}: {cause(answer.failure)} ({said}); {todo}"
    return None


def _keys(name: str) -> tuple[str, ...]:
    """The variables that hold a provider's key."""
    return tuple(variables_of(name.partition(":")[0]))


def _complaint(answer: PlannerAnswer) -> str:
    """What the provider said last, in one short line."""
    said = next((call.error for call in reversed(answer.calls) if call.error), "")
    return said[:LONGEST_QUOTE]
