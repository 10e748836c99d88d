"""The routes of the graphs: which node comes next."""

from __future__ import annotations

from typing import Literal

from langgraph.runtime import Runtime

from tutelage.graphs.nodes.advise import teacher_of
from tutelage.graphs.nodes.waiting import is_cut_short, stand_ins_answers, teachers_answers
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.state import TeachState


def begin(state: TeachState, runtime: Runtime[RunContext]) -> Literal["collect", "training_loop"]:
    """One rollout while the teacher is being asked or checked; else as many as come."""
    if lacks_advice(state) or not _is_checked(runtime.context, state):
        return "collect"
    return "training_loop"


def after_collect(
    state: TeachState, runtime: Runtime[RunContext]
) -> Literal["cache", "teacher_check", "learner"]:
    """A teacher that has answered everything is not asked again."""
    if lacks_advice(state):
        return "cache"
    return "learner" if _is_checked(runtime.context, state) else "teacher_check"


def after_planner(
    state: TeachState,
    runtime: Runtime[RunContext],
) -> Literal["fallback", "__end__"]:
    """A run that is to stop while it waits for answers ends here, and resumes before them.

    Learning without them would not be what the unbroken run does.
    """
    source = teachers_answers(teacher_of(runtime.context), state["missing"])
    return "__end__" if is_cut_short(runtime.context, state, source) else "fallback"


def after_fallback(
    state: TeachState,
    runtime: Runtime[RunContext],
) -> Literal["teacher_check", "__end__"]:
    """As `after_planner`, where a second model is waited for."""
    source = stand_ins_answers(teacher_of(runtime.context), state["iteration"])
    return "__end__" if is_cut_short(runtime.context, state, source) else "teacher_check"


def after_teacher_check(state: TeachState) -> Literal["cache", "learner"]:
    """Back to the teacher with the situations that lie ahead, once; else on to learning."""
    return "cache" if state["teacher_check"].ahead else "learner"


def after_training_loop(state: TeachState) -> Literal["cache", "assess"]:
    """A rollout in which the teacher has to be asked is not learned from yet."""
    return "assess" if state["report"] else "cache"


def after_assess(
    state: TeachState, runtime: Runtime[RunContext]
) -> Literal["collect", "training_loop", "__end__"]:
    """Go on, unless the run is done, is to stop, or this call of the graph has done its share."""
    return "__end__" if state["paused"] else begin(state, runtime)


def after_perform(
    state: TeachState,  # noqa: ARG001 - LangGraph hands a route the state first
    runtime: Runtime[RunContext],
) -> Literal["cache", "tally"]:
    """A round that is not over waits for advice."""
    return "tally" if runtime.context.teacher_episodes.between_rounds else "cache"


def after_tally(state: TeachState) -> Literal["perform", "__end__"]:
    """The next round, unless the run is done, is to stop, or has done its share."""
    return "__end__" if state["paused"] else "perform"


def lacks_advice(state: TeachState) -> bool:
    """Whether there is a teacher to be asked about the last rollout's situations.

    What nobody follows is not asked about.
    """
    if state["phase"] != "teaching" or state["teacher_check"].is_rejected:
        return False
    return any(s not in state["advice"] for s in state["situations"])


def _is_checked(context: RunContext, state: TeachState) -> bool:
    """Whether the teacher needs no check, or none any more."""
    if state["phase"] != "teaching" or context.config.weaning.schedule != "adaptive":
        return True
    return state["teacher_check"].is_over
