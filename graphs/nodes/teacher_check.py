"""The node that tries the teacher's advice out before it is learned from."""

from __future__ import annotations

from typing import Literal

from langgraph.runtime import Runtime

from tutelage.graphs.config.events import Notice
from tutelage.graphs.records.trace.records import ADVICE_DOUBTED, EventRecord
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.state import TeachState, Update, known_advice
from tutelage.rl.teaching.teacher_check import Examiner, Trial


def trial(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """Try the advice out, before it is learned, where it is to be judged: by an adaptive schedule.

    What the teacher leads on to is asked about first, as much as can be at the same time.
    """
    context = runtime.context
    before = Trial.model_validate(state["trial"])
    if context.config.weaning.schedule != "adaptive":
        return {}
    examiner = Examiner(context.task, context.student, context.config.seed, context.leave_if_late)
    with context.timers.phase("advice"):
        after = examiner.after(before, known_advice(state), state["situations"], state["env_steps"])
    _tell_verdicts(context, state, before, after)
    ahead = sorted(after.ahead[: context.config.teacher.concurrency])
    return {"trial": after.model_dump(), "situations": ahead or state["situations"]}


def after_trial(state: TeachState) -> Literal["cache", "learner"]:
    """Back to the teacher with what lies ahead: once, then the trial concludes without."""
    return "cache" if state["trial"]["ahead"] else "learner"


def _tell_verdicts(context: RunContext, state: TeachState, before: Trial, after: Trial) -> None:
    """What the trial has found of the advice, where that is new: for the trace and for people."""
    step = (state["iteration"], state["env_steps"], "trial")
    records = []
    for signature in sorted(set(after.doubted) - set(before.doubted)):
        said = f"advice does worse than the student: {after.turns[str(signature)].told()}"
        records.append(EventRecord(*step, ADVICE_DOUBTED, said, signature))
        where = "; ".join(context.task.describe(signature).splitlines())
        context.tell(Notice(f"not followed any more: {said}; where {where}"))
    if after.trusted != before.trusted:
        kind, said = (
            ("teacher_trusted", "the teacher is followed")
            if after.trusted
            else ("teacher_distrusted", "the teacher is no help so far and is not followed")
        )
        records.append(EventRecord(*step, kind, after.told()))
        context.tell(Notice(f"{said}: {after.told()}"))
    context.trace.events(records)
