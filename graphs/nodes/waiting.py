"""Waiting for a teacher's answers: for all of them, or for the first words of a slow one.

A run takes seconds, and an answer may take a minute. So training pauses where nobody has given any
advice yet and somebody is still being asked: else the teacher would be weaned off unheard. The
pauses of a run last `teacher.pause_s` in all, and the first advice ends them for good. The rest of
the first answers is then waited for too, at most `teacher.patience_s`: they were asked for at the
same time. No wait outlasts a request to stop by more than `_POLL_S`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Final

from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.teacher.teacher import Teacher
from tutelage.graphs.config.events import Doing, Notice, Waiting
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.state import TeachState

_POLL_S: Final = 0.2
"""How often a wait for answers looks whether the run is to stop."""

Asked = Callable[[], Collection[int]]
"""The situations that somebody is being asked about, as it is now."""


@dataclass(frozen=True)
class Source:
    """Whose answers are waited for: the teacher's, or those of the models that stand in for it.

    harvest: see `agents.teacher.teacher.Teacher.harvest`. asked: all that it is being asked about.
    met: those of them that the student has met, or that were asked about for another reason than
    that they may lie ahead. can_answer: whether what is known of it leaves hope for an answer.
    """

    harvest: Callable[..., list[PlannerAnswer]]
    asked: Asked
    met: Asked
    can_answer: Callable[[], bool]


def teachers_answers(teacher: Teacher, missing: Collection[int]) -> Source:
    """The teacher's own. missing: the situations that advice is wanted on now."""
    met = set(missing)
    return Source(
        teacher.harvest,
        lambda: teacher.pending,
        lambda: met.intersection(teacher.pending),
        lambda: not teacher.is_out_of_reach,
    )


def stand_ins_answers(teacher: Teacher, iteration: int) -> Source:
    """Those of second models. A model that is down hands over to the next by itself."""

    def asked() -> Collection[int]:
        return teacher.pending_fallbacks

    return Source(partial(teacher.settle, (), iteration), asked, asked, lambda: True)


@dataclass
class Awaited:
    """What came of a wait. paused_s: how long training paused for the first words of a teacher."""

    answers: list[PlannerAnswer] = field(default_factory=list)
    paused_s: float = 0.0

    @property
    def has_advice(self) -> bool:
        """Whether any of the answers is of use."""
        return any(answer.advice is not None for answer in self.answers)


def await_answers(context: RunContext, state: TeachState, source: Source) -> Awaited:
    """The answers in the order of their situations, waited for where that is due."""
    awaited = Awaited()
    if context.wait:
        _wait(context, source, awaited, lambda: bool(source.met()), math.inf)
    elif is_unheard(state):
        left = context.config.teacher.pause_s - state["paused_s"]

        def goes_on() -> bool:
            return not awaited.has_advice and bool(source.asked()) and source.can_answer()

        awaited.paused_s = _wait(context, source, awaited, goes_on, left)
        if awaited.has_advice:
            patience = context.config.teacher.patience_s
            met, before = (lambda: bool(source.met())), awaited.paused_s
            _wait(context, source, awaited, met, patience, before)
        elif 0 < left <= awaited.paused_s and not context.stop.is_set():
            _tell_of_silence(context)
    awaited.answers += source.harvest(wait_for_all=False)
    awaited.answers.sort(key=lambda answer: answer.situation_id)
    return awaited


def is_unheard(state: TeachState) -> bool:
    """Whether nobody has given any advice yet."""
    return not (state["advice"] or state["stand_ins"])


def is_cut_short(context: RunContext, state: TeachState, source: Source) -> bool:
    """Whether a request to stop has ended a wait before its time. state: after the wait."""
    if not (context.stop.is_set() and source.asked()):
        return False
    if context.wait:
        return True
    left = context.config.teacher.pause_s - state["paused_s"]
    return is_unheard(state) and left > 0 and source.can_answer()


def _wait(
    context: RunContext,
    source: Source,
    awaited: Awaited,
    goes_on: Callable[[], bool],
    limit_s: float,
    before_s: float = 0.0,
) -> float:
    """Take answers in for as long as the wait goes on; the seconds that it took.

    Watchers are told all along: a wait that nobody knows of looks like a program that hangs.
    before_s: how long they have been waiting by then.
    """
    teacher = context.teacher
    is_slow = teacher is not None and not teacher.provider.wait_always
    if not is_slow and goes_on():  # a script, or a person: no LLM
        context.tell(Doing("waiting for the teacher's answers"))
    began, waited = monotonic(), 0.0
    while waited < limit_s and goes_on() and not context.stop.is_set():
        if is_slow:
            context.tell(Waiting(len(source.asked()), before_s + waited))
        timeout_s = min(_POLL_S, limit_s - waited)
        awaited.answers += source.harvest(wait_for_all=True, timeout_s=timeout_s)
        waited = monotonic() - began
    return waited


def _tell_of_silence(context: RunContext) -> None:
    """That no pause is left; what is still under way may serve later."""
    context.tell(
        Notice(
            f"no usable answer of {context.config.provider} after "
            f"{context.config.teacher.pause_s:,.0f} s (teacher.pause_s): training goes on "
            "without; what it says later still counts"
        )
    )
