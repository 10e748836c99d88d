"""The node `teacher_check`: what the advice is worth, before it is learned from."""

from __future__ import annotations

from langgraph.runtime import Runtime

from tutelage.graphs.config.events import Doing, Notice
from tutelage.graphs.nodes.advise import teacher_of
from tutelage.graphs.records.trace.records import ADVICE_REJECTED, TEACHER_REJECTED, EventRecord
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.state import TeachState, Update, advice_in_force
from tutelage.rl.teaching.teacher_check import TeacherCheck
from tutelage.rl.teaching.teacher_checker import TeacherChecker


def teacher_check(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """Check the advice before it is learned from, where the schedule is adaptive.

    What the teacher leads on to is asked about first, as much as can be at the same time.
    """
    context = runtime.context
    if context.config.weaning.schedule != "adaptive":
        return {}
    context.tell(Doing("checking the teacher"))
    before = state["teacher_check"]
    examiner = TeacherChecker(
        context.task,
        context.student,
        context.config.seed,
        context.config.weaning.first_check(context.steps, context.task.max_episode_steps),
        context.leave_if_late,
    )
    teacher = teacher_of(context)
    unanswered = {*teacher.pending, *teacher.pending_fallbacks}
    asked = [s for s in state["situations"] if s not in unanswered]
    with context.timers.phase("advice"):
        after = examiner.after(before, advice_in_force(state), asked, state["env_steps"])
    _tell_verdicts(context, state, before, after)
    ahead = sorted(after.ahead[: context.config.teacher.concurrency])
    return {"teacher_check": after, "situations": ahead or state["situations"]}


def _tell_verdicts(
    context: RunContext, state: TeachState, before: TeacherCheck, after: TeacherCheck
) -> None:
    """What the check has found of the advice, where that is new: for the trace and for people."""
    step = (state["iteration"], state["env_steps"], "teacher_check")
    records = []
    for situation_id in sorted(set(after.rejected) - set(before.rejected)):
        said = f"advice does worse than the student: {after.mixed[str(situation_id)].summary()}"
        records.append(EventRecord(*step, ADVICE_REJECTED, said, situation_id))
        where = "; ".join(context.task.describe(situation_id).splitlines())
        context.tell(Notice(f"not followed any more: {said}; where {where}"))
    changed = (after.enabled, after.is_rejected) != (before.enabled, before.is_rejected)
    if changed and after.batches:
        kind, said = (
            ("teacher_enabled", "the teacher is followed")
            if after.enabled
            else (TEACHER_REJECTED, "the teacher is no help and is not followed nor asked any more")
            if after.is_rejected
            else ("teacher_withheld", "the teacher is not followed until it is known to help")
        )
        records.append(EventRecord(*step, kind, after.summary()))
        context.tell(Notice(f"{said}: {after.summary()}"))
    context.trace.events(records)
