"""The nodes that fetch advice: `cache`, `planner` and `fallback`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

import numpy as np
from langgraph.runtime import Runtime

from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.teacher.faults import ProviderRefusedError
from tutelage.agents.teacher.teacher import Teacher
from tutelage.graphs.config.events import Doing
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.runtime.recording import trace_answers
from tutelage.graphs.state import TeachState, Update
from tutelage.rl.advice.advice import Advice

_POLL_S = 0.2
"""How often a wait for answers looks whether the run is to stop."""


def cache(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """Look up the situations that this run has no advice for yet."""
    context = runtime.context
    unknown = [s for s in state["situations"] if s not in state["advice"]]
    with context.timers.phase("advice"):
        answers = teacher_of(context).lookup(unknown)
    trace_answers(context, state, answers)
    found = _advice_in(answers)
    return {
        "advice": state["advice"] | found,
        "missing": [s for s in unknown if s not in found],
    }


def planner(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """Ask the teacher about what is missing, and take the answers that are there.

    With `wait`, all of them. Else those that have come so far; only the first rollout is held back
    for the teacher where nothing at all is known, at most `teacher.patience_s`. Raises
    ProviderRefusedError where there is no use in going on with this teacher.
    """
    context = runtime.context
    teacher = teacher_of(context)
    with context.timers.phase("advice"):
        if teacher.asks_a_person:
            teacher.illustrate(_pictures(context, state["missing"]))
        teacher.submit(state["missing"], state["iteration"])
        # Not later again: a server that hangs would hold up every iteration until it answers.
        advised = any(teacher.needs_asking(s) for s in state["advice"])
        at_the_start = state["iteration"] == 1 and not advised
        # What was asked in advance of situations that lie ahead is not waited for.
        met = set(state["missing"])
        answers = _awaited(
            context, teacher.harvest, lambda: met.intersection(teacher.pending), at_the_start
        )
    trace_answers(context, state, answers)
    if teacher.refusal is not None:
        raise ProviderRefusedError(
            f"{teacher.refusal}; to learn without it, name who stands in "
            "(--set teacher.fallback=offline), or nobody (--keep-going)"
        )
    found, waiting = _advice_in(answers), set(teacher.pending)
    return {
        "advice": state["advice"] | found,
        "unsettled": [s for s in state["missing"] if s not in found and s not in waiting],
    }


def fallback(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """Settle what the planner could not answer: stand-in advice, or none: a coverage of 0.

    A second model is waited for as the teacher is.
    """
    context = runtime.context
    teacher, iteration = teacher_of(context), state["iteration"]
    fresh = [s for s in state["unsettled"] if s not in state["stand_ins"]]
    with context.timers.phase("advice"):
        answers = teacher.settle(fresh, iteration)
        at_the_start = iteration == 1 and not state["advice"]
        wait_for_more = partial(teacher.settle, (), iteration)
        answers += _awaited(context, wait_for_more, lambda: teacher.pending_fallbacks, at_the_start)
    trace_answers(context, state, answers)
    return {"stand_ins": state["stand_ins"] | _advice_in(answers)}


def _pictures(context: RunContext, situations: Sequence[int]) -> dict[int, str]:
    """A state of each situation, drawn: the first of the rollout, or where the teacher acts now."""
    if context.learns:
        states = context.collector.states()
        situation_ids = context.collector.rollout.situation_ids.reshape(-1)
    else:
        states = context.teacher_episodes.states()
        situation_ids = context.task.situation_ids(states)
    rows = {s: np.flatnonzero(situation_ids == s) for s in situations}
    return {s: context.task.picture(states, int(row[0])) for s, row in rows.items() if len(row)}


def teacher_of(context: RunContext) -> Teacher:
    """The run's teacher. Raises RuntimeError where it has none, yet its weight is above 0."""
    if context.teacher is None:
        raise RuntimeError("this run has no teacher, yet its teacher's weight is above 0")
    return context.teacher


def _advice_in(answers: Sequence[PlannerAnswer]) -> dict[int, Advice]:
    """The advice in the answers, by situation id."""
    return {a.situation_id: a.advice for a in answers if a.advice is not None}


def _awaited(
    context: RunContext,
    harvest: Callable[..., list[PlannerAnswer]],
    pending: Callable[[], Collection[int]],
    at_the_start: bool,
) -> list[PlannerAnswer]:
    """The answers in the order of their situations, waited for where that is due.

    The patience at the start is one for the teacher and those who stand in. No wait outlasts a
    request to stop by more than `_POLL_S`.
    """
    answers: list[PlannerAnswer] = []
    patience = context.config.teacher.patience_s - context.timers.seconds()["advice_s"]
    limit = float("inf") if context.wait else patience
    waited = 0.0
    held = context.wait or at_the_start
    if held and pending():
        context.tell(Doing("waiting for the teacher's answers"))
    while held and pending() and waited < limit and not context.stop.is_set():
        pause = min(_POLL_S, limit - waited)
        answers += harvest(wait_for_all=True, timeout_s=pause)
        waited += pause
    return sorted(answers + harvest(wait_for_all=False), key=lambda a: a.situation_id)
