"""Look-ups: what a teacher may ask about a situation before it decides.

A look-up answers about the situation and not about one state: its answer is a function of the
situation id, and switching one on adds what it tells to the situation id. So advice that was given
after a look stays valid in every state of its situation. A task of your own offers look-ups by the
methods of `rl.tasks.base.LookupTask`; without them it works as before, and only `record`
(`rl.tasks.plan_outcomes`), which needs nothing of the task, can be switched on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tutelage.rl.tasks.base import LookupTask, Task
from tutelage.rl.tasks.plan_outcomes import RECORD, recorded


class UnknownLookupError(ValueError):
    """A look-up that a task does not offer; the message is one line and lists what it does."""


@dataclass(frozen=True)
class Lookup:
    """help: what it tells, in a sentence. answer: from a situation id to what it tells there."""

    help: str
    answer: Callable[[int], str]


def with_lookups(task: Task, names: Sequence[str]) -> Task:
    """The task with these look-ups switched on; itself where there are none.

    Raises UnknownLookupError for a name that it does not offer.
    """
    offered = task.offered_lookups if isinstance(task, LookupTask) else {}
    unknown = [name for name in names if name not in offered and name != RECORD]
    if unknown:
        raise UnknownLookupError(
            f"task {task.name} offers no look-up {unknown[0]!r}; allowed: "
            f"{', '.join([*offered, RECORD])}"
        )
    own = [name for name in names if name != RECORD]
    if own and isinstance(task, LookupTask):
        task = task.with_lookups(own)
    return recorded(task) if RECORD in names else task


def checked_lookups(task: object, names: Sequence[str]) -> dict[str, Lookup]:
    """The look-ups of a task by these names, which must be switched on.

    Raises UnknownLookupError.
    """
    if not names:
        return {}
    if not isinstance(task, LookupTask) or not set(names) <= set(task.lookups):
        raise UnknownLookupError(
            f"look-ups {', '.join(names)} are not switched on in this task; see rl/tasks/lookups.py"
        )
    return {name: Lookup(task.offered_lookups[name], partial(task.look_up, name)) for name in names}


def full_text(task: Task, situation_id: int) -> str:
    """A situation's text, with all that can be looked up in it: no two situations share one."""
    told = [task.describe(situation_id)]
    if isinstance(task, LookupTask):
        told += [task.look_up(name, situation_id) for name in task.lookups]
    return "\n".join(told)
