"""The nodes that fetch advice: `cache`, `planner` and `fallback`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from langgraph.runtime import Runtime

from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.teacher.faults import ProviderRefusedError
from tutelage.agents.teacher.teacher import Teacher
from tutelage.graphs.nodes.waiting import await_answers, stand_ins_answers, teachers_answers
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.runtime.recording import trace_answers
from tutelage.graphs.state import TeachState, Update, with_update
from tutelage.rl.advice.advice import Advice


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

    With `wait`, all of them. Else those that have come so far; but training pauses for a teacher
    that has said nothing yet, see `graphs.nodes.waiting`. Raises ProviderRefusedError where there
    is no use in going on with this teacher.
    """
    context = runtime.context
    teacher = teacher_of(context)
    with context.timers.phase("advice"):
        if teacher.asks_a_person:
            teacher.illustrate(_pictures(context, state["missing"]))
        teacher.submit(state["missing"], state["iteration"], state["visits"])
        awaited = await_answers(context, state, teachers_answers(teacher, state["missing"]))
    trace_answers(context, state, awaited.answers)
    if teacher.refusal is not None:
        raise ProviderRefusedError(
            f"{teacher.refusal}; to learn without it, name who stands in "
            "(--set teacher.fallback=offline), or nobody (--keep-going)"
        )
    found, waiting = _advice_in(awaited.answers), set(teacher.pending)
    return {
        "advice": state["advice"] | found,
        "paused_s": state["paused_s"] + awaited.paused_s,
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
        known = with_update(state, {"stand_ins": state["stand_ins"] | _advice_in(answers)})
        awaited = await_answers(context, known, stand_ins_answers(teacher, iteration))
    answers += awaited.answers
    trace_answers(context, state, answers)
    return {
        "stand_ins": state["stand_ins"] | _advice_in(answers),
        "paused_s": state["paused_s"] + awaited.paused_s,
    }


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
