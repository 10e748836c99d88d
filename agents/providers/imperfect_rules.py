"""The plans that the imperfect teachers give in the place of a sensible one.

Like `agents.providers.offline_rules`, of whose plans it makes worse ones, it sees a situation's
text and the options on offer, and no state: what it calls possible can be done in most of the
situation's states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

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
