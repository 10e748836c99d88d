"""Look-ups: what a teacher may ask about a situation before it decides.

A look-up answers about the situation and not about one state: its answer is a function of the
situation id, and switching one on adds what it tells to the situation id. So advice that was given
after a look stays valid in every state of its situation. A task of your own offers look-ups by the
methods of `rl.tasks.base.LookupTask`; without them it works as well, and only `record`
(`rl.tasks.plan_outcomes`), which needs nothing of the task, can be switched on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tutelage.rl.errors import TaskCodeError, UserError, is_writable, one_line, one_of
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import LookupTask, Task
from tutelage.rl.tasks.plan_outcomes import RECORD, PlanOutcomeTask
from tutelage.rl.tasks.wrappers import find_ability


class UnknownLookupError(UserError):
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
    offering = find_ability(task, LookupTask)
    offered = {} if offering is None else offering.offered_lookups
    unknown = [name for name in names if name not in offered and name != RECORD]
    if unknown:
        raise UnknownLookupError(
            f"task {task.name} offers no look-up {unknown[0]!r}"
            f"{one_of(unknown[0], [*offered, RECORD])}"
        )
    own = [name for name in names if name != RECORD]
    if own and offering is not None:
        task = offering.with_lookups(own)
    return PlanOutcomeTask(task) if RECORD in names else task


def checked_lookups(task: object, names: Sequence[str]) -> dict[str, Lookup]:
    """The look-ups of a task by these names, which must be switched on.

    Raises UnknownLookupError.
    """
    if not names:
        return {}
    offering = find_ability(task, LookupTask)
    if offering is None or not set(names) <= set(offering.lookups):
        raise UnknownLookupError(
            f"look-ups {', '.join(names)} are not switched on in this task; see rl/tasks/lookups.py"
        )
    return {
        name: Lookup(offering.offered_lookups[name], partial(offering.look_up, name))
        for name in names
    }


def full_text(task: Task, situation_id: int) -> str:
    """A situation's text, with all that can be looked up in it: no two situations share one."""
    texts = [task.describe(situation_id)]
    offering = find_ability(task, LookupTask)
    if offering is not None:
        texts += [offering.look_up(name, situation_id) for name in offering.lookups]
    return "\n".join(texts)


class TextHashes:
    """Hashes of situations' texts, by which something is drawn for each: ids mean nothing."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._hashes: dict[int, int] = {}

    def of(self, situation_ids: IntArray) -> NDArray[np.uint64]:
        """A hash of each situation's full text, uint64 [B].

        Raises TaskCodeError for a text that is no Unicode.
        """
        ids = situation_ids.tolist()
        for situation_id in ids:
            if situation_id not in self._hashes:
                text = full_text(self._task, situation_id)
                if not is_writable(text):
                    raise TaskCodeError(
                        f"task {self._task.name!r}: a situation's text is no Unicode: "
                        f"{one_line(repr(text))}"
                    )
                digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
                self._hashes[situation_id] = int.from_bytes(digest)
        return np.array([self._hashes[situation_id] for situation_id in ids], dtype=np.uint64)
