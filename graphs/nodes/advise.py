"""The nodes that fetch advice: `cache`, `planner` and `fallback`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Literal

import numpy as np
from langgraph.runtime import Runtime

from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.teacher.teacher import Teacher
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.runtime.recording import trace_answers
from tutelage.graphs.state import PlanRows, TeachState, Update

_POLL_S = 0.2
"""How often a wait for answers looks whether the run is to stop."""


def cache(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """Look up the situations that this run has no advice for yet."""
    context = runtime.context
    unknown = [s for s in state["situations"] if str(s) not in state["advice"]]
    with context.timers.phase("advice"):
        answers = _teacher(context).lookup(unknown)
    trace_answers(context, state, answers)
    rows = _rows(answers)
    return {
        "advice": state["advice"] | rows,
        "missing": [s for s in unknown if str(s) not in rows],
    }


def planner(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """Ask the teacher about what is missing, and take the answers that are there.

    With `wait`, all of them. Else those that have come so far; only the first rollout is held back
    for the teacher where nothing at all is known, at most `teacher.patience_s`.
    """
    context = runtime.context
    teacher = _teacher(context)
    with context.timers.phase("advice"):
        if teacher.asks_a_person:
            teacher.illustrate(_pictures(context, state["missing"]))
        teacher.submit(state["missing"], state["iteration"])
        # Not later again: a server that hangs would hold up every iteration until it answers.
        at_the_start = state["iteration"] == 1 and not state["advice"]
        # What was asked in advance of situations that lie ahead is not waited for.
        met = set(state["missing"])
        answers = _awaited(
            context, teacher.harvest, lambda: met.intersection(teacher.pending), at_the_start
        )
    trace_answers(context, state, answers)
    rows = _rows(answers)
    waiting = set(teacher.pending)
    return {
        "advice": state["advice"] | rows,
        "unsettled": [s for s in state["missing"] if str(s) not in rows and s not in waiting],
    }


def fallback(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """Settle what the planner could not answer: stand-in advice, or none, which is m(s) = 0.

    A second model is waited for as the teacher is.
    """
    context = runtime.context
    teacher, iteration = _teacher(context), state["iteration"]
    fresh = [s for s in state["unsettled"] if str(s) not in state["stand_ins"]]
    with context.timers.phase("advice"):
        answers = teacher.settle(fresh, iteration)
        at_the_start = iteration == 1 and not state["advice"]
        wait_for_more = partial(teacher.settle, (), iteration)
        answers += _awaited(context, wait_for_more, lambda: teacher.pending_fallbacks, at_the_start)
    trace_answers(context, state, answers)
    return {"stand_ins": state["stand_ins"] | _rows(answers)}


def after_planner(
    state: TeachState,  # noqa: ARG001 - LangGraph hands a route the state first
    runtime: Runtime[RunContext],
) -> Literal["fallback", "__end__"]:
    """A run that is to stop while it waits for answers ends here, and resumes before them.

    Learning without them would not be what the unbroken run does.
    """
    return "__end__" if _given_up(runtime.context) else "fallback"


def after_fallback(
    state: TeachState,  # noqa: ARG001 - LangGraph hands a route the state first
    runtime: Runtime[RunContext],
) -> Literal["teacher_check", "__end__"]:
    """As `after_planner`, where a second model is waited for."""
    return "__end__" if _given_up(runtime.context) else "teacher_check"


def _given_up(context: RunContext) -> bool:
    """Whether a wait for answers was cut short."""
    teacher = _teacher(context)
    return (
        context.wait and context.stop.is_set() and bool(teacher.pending + teacher.pending_fallbacks)
    )


def lacks_advice(state: TeachState) -> bool:
    """Whether there is a teacher to be asked about the last rollout's situations."""
    known = state["advice"]
    return state["phase"] == "teaching" and any(str(s) not in known for s in state["situations"])


def _pictures(context: RunContext, situations: Sequence[int]) -> dict[int, str]:
    """The first state of each situation in the rollout, drawn."""
    states = context.collector.states()
    situation_ids = context.collector.rollout.situation_ids.reshape(-1)
    rows = {s: np.flatnonzero(situation_ids == s) for s in situations}
    return {s: context.task.picture(states, int(row[0])) for s, row in rows.items() if len(row)}


def _teacher(context: RunContext) -> Teacher:
    if context.teacher is None:
        raise RuntimeError("this run has no teacher, yet its teacher's weight is above 0")
    return context.teacher


def _rows(answers: Sequence[PlannerAnswer]) -> dict[str, PlanRows]:
    """The advice in the answers, as the state keeps it."""
    return {str(a.situation_id): a.advice.to_json() for a in answers if a.advice is not None}


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
    while held and pending() and waited < limit and not context.stop.is_set():
        pause = min(_POLL_S, limit - waited)
        answers += harvest(wait_for_all=True, timeout_s=pause)
        waited += pause
    return sorted(answers + harvest(wait_for_all=False), key=lambda a: a.situation_id)
