"""The node `assess`: the evaluation, the next teacher weight, the row of metrics, the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.runtime import Runtime

from tutelage.graphs.config.events import Evaluating, IterationDone
from tutelage.graphs.records.trace.records import EventRecord
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.runtime.recording import trace_answers
from tutelage.graphs.runtime.saving import save_checkpoint
from tutelage.graphs.state import TeachState, Update, covered_share, with_update
from tutelage.rl.rollouts.evaluate import evaluate
from tutelage.rl.rollouts.results import Evaluation
from tutelage.rl.tasks.plan_outcomes import PlanOutcomeTask

Row = dict[str, Any]
"""A row of metrics.jsonl (`graphs.records.shapes.MetricsRow`)."""


def assess(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """Evaluate when due, write the iteration down, set the next teacher weight, decide the end."""
    context = runtime.context
    row, update = assessed(context, state)
    write_rows(context, [row])
    return close_iteration(context, state, update)


def assessed(context: RunContext, state: TeachState) -> tuple[Row, Update]:
    """What `assess` changes, and the iteration's row, which is still to be written."""
    update = _evaluation_update(context, state)
    report = state["report"] | update.pop("report", {})
    row = metrics_row(context, state, report)
    if state["env_steps"] >= context.steps:
        if state["teacher_weight"] > 0 and context.config.weaning.ends:
            # A run shorter than one rollout after the removal still ends without its teacher.
            update |= _remove_teacher(context, state)
        update["phase"] = "finished"
    elif state["phase"] == "teaching":
        update |= _wean(context, state)
    return row, update


def ends_call(context: RunContext, state: TeachState) -> bool:
    """Whether this call of the graph ends with the iteration: the run is done, or its share is."""
    return state["env_steps"] >= context.steps or _is_share_done(context, state)


def _is_share_done(context: RunContext, state: TeachState) -> bool:
    """Whether this call of the graph has done its share."""
    return context.stop.is_set() or state["iteration"] >= state["until_iteration"]


def close_iteration(context: RunContext, state: TeachState, update: Update) -> Update:
    """Whether this call of the graph ends here; if so, with a checkpoint to go on from."""
    update["paused"] = update.get("phase") == "finished" or _is_share_done(context, state)
    with context.timers.phase("record"):
        context.trace.commit()
        if update["paused"]:
            save_checkpoint(context, with_update(state, update))
    return update


def _wean(context: RunContext, state: TeachState) -> Update:
    """Set the next teacher weight; at 0 the teacher goes."""
    settings, progress = context.config.weaning, state["env_steps"] / context.steps
    schedule = state["weight_schedule"]
    teacher: float | None = None
    if settings.schedule == "adaptive":
        check, student = state["teacher_check"], state["train_success"]
        teacher = check.success
        if context.task.scored:
            mean_return = context.collector.log.mean_return
            schedule = schedule.scored(mean_return)
            student, teacher = schedule.scored_success(
                student, mean_return, teacher, check.team.mean_return
            )
        schedule = schedule.after(settings, student, teacher, state["report"].get("agreement"))
    update: Update = {"weight_schedule": schedule}
    weight = schedule.weight(settings, progress, teacher)
    return update | ({"teacher_weight": weight} if weight > 0 else _remove_teacher(context, state))


def _remove_teacher(context: RunContext, state: TeachState) -> Update:
    """The teacher goes, for good: nothing is asked any more, and what it holds is released."""
    step = state["env_steps"]
    context.trace.events(
        [EventRecord(state["iteration"], step, "assess", "teacher_removed", f"at step {step}")]
    )
    if context.teacher is not None:
        trace_answers(context, state, context.teacher.close())
    return {"teacher_weight": 0.0, "teacher_removed_at_step": step, "phase": "alone"}


def _evaluation_update(context: RunContext, state: TeachState) -> Update:
    """What an evaluation changes, where one is due, every so many steps."""
    settings = context.config.evaluation
    if not _evaluation_is_due(context, state):
        return {}
    with context.timers.phase("evaluate"):
        result = evaluate(
            context.task,
            context.student,
            settings.episodes,
            context.config.seed,
            on_progress=lambda done: context.tell(Evaluating(done, settings.episodes)),
            on_step=context.leave_if_late,
        )
    if isinstance(context.task, PlanOutcomeTask):
        context.task.settle()
    return {
        "report": _evaluation_figures(result),
        "last_eval": (state["env_steps"], result.success_rate),
        "steps_to_95": _steps_to_95(state, result.success_rate),
    }


def _evaluation_is_due(context: RunContext, state: TeachState) -> bool:
    every = context.config.evaluation.every
    before = state["env_steps"] - context.collector.rollout.env_steps
    return before // every != state["env_steps"] // every


def _evaluation_figures(result: Evaluation) -> dict[str, float]:
    return {
        "eval_success": result.success_rate,
        "eval_return": result.mean_return,
        "eval_length": result.mean_length,
    }


def _steps_to_95(state: TeachState, success: float) -> int | None:
    """The first of two consecutive evaluations at or above 0.95."""
    if state["steps_to_95"] is not None or state["last_eval"] is None:
        return state["steps_to_95"]
    steps, previous = state["last_eval"]
    return steps if min(previous, success) >= 0.95 else None


def metrics_row(context: RunContext, state: TeachState, report: Mapping[str, float | None]) -> Row:
    """The iteration's row of metrics.jsonl; watchers are told of it at once."""
    check = state["teacher_check"]
    counters = context.teacher.counters if context.teacher else None
    row = {
        "iteration": state["iteration"],
        "env_steps": state["env_steps"],
        "wall_s": round(context.wall_s, 3),
        "train_success": state["train_success"],
        "teacher_weight": state["teacher_weight"],
        "teacher_success": check.success,
        "trial_steps": check.env_steps,
        "doubted": len(check.rejected),
        "llm_calls": counters.calls if counters else 0,
        "cache_hits": counters.cache_hits if counters else 0,
        **report,
    }
    done = IterationDone(row)
    if context.teacher is not None and counters is not None:
        most_calls = context.teacher.most_calls
        done = IterationDone(
            row,
            context.teacher.cost_usd,
            most_calls,
            None if most_calls is None else covered_share(state),
            counters.situations,
            {str(name): count for name, count in counters.failures.items()},
        )
    context.tell(done)
    return row


def write_rows(context: RunContext, rows: Sequence[Row]) -> None:
    """Add rows to metrics.jsonl."""
    if not rows:
        return
    with context.timers.phase("record"):
        context.folder.append_metrics(*rows)
