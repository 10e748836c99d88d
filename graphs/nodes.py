"""The nodes that graphs are made of. Each takes the state and gives back what it changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from langgraph.runtime import Runtime

from agents.calls import PlannerAnswer
from agents.teacher import Teacher
from graphs.context import RunContext
from graphs.events import Evaluating, IterationDone
from graphs.recording import trace_answers, trace_texts
from graphs.saving import save_boundary
from graphs.state import PlanRows, TeachState, Update
from rl.evaluation import Evaluation, evaluate
from rl.plan_record import RecordedTask
from rl.task import IntArray
from rl.trace import EventRecord
from rl.trial import Trial
from rl.weaning import Weaning

Row = dict[str, Any]
"""A row of metrics.jsonl (`rl.run_records.MetricsRow`)."""

_POLL_S = 0.2
"""How often a wait for answers looks whether the run is to stop."""


def collect(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """The student acts alone for one rollout; the situations that it met are noted."""
    context = runtime.context
    with context.timers.phase("collect"):
        rollout = context.collector.collect(_at_each_step(context, state))
        situations = np.unique(rollout.signatures).tolist()
    with context.timers.phase("record"):
        trace_texts(context, situations)
    return {
        "iteration": state["iteration"] + 1,
        "env_steps": state["env_steps"] + rollout.env_steps,
        "situations": situations,
        "missing": [],
        "unsettled": [],
        "report": {},
    }


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
        answers += _awaited(context, wait_for_more, lambda: teacher.standing_in, at_the_start)
    trace_answers(context, state, answers)
    return {"stand_ins": state["stand_ins"] | _rows(answers)}


def assess(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """Evaluate when due, write the iteration down, set the next teacher weight, decide the end."""
    context = runtime.context
    row, update = assessed(context, state, Trial.model_validate(state["trial"]))
    write_rows(context, [row])
    return close_iteration(context, state, update)


def assessed(context: RunContext, state: TeachState, trial: Trial) -> tuple[Row, Update]:
    """As `assess`, with the row that is still to be written. trial: the state's, as a model."""
    update = _evaluation_update(context, state)
    report = state["report"] | update.pop("report", {})
    row = told_row(context, state, trial, report)
    if state["env_steps"] >= context.steps:
        if state["teacher_weight"] > 0 and context.config.weaning.ends:
            # A run shorter than one rollout after the removal still ends without its teacher.
            update |= _remove_teacher(context, state)
        update["phase"] = "finished"
    elif state["phase"] == "teaching":
        update |= _wean(context, state, trial)
    return row, update


def ends_call(context: RunContext, state: TeachState) -> bool:
    """Whether this call of the graph ends with the iteration: the run is done, or its share is."""
    return state["env_steps"] >= context.steps or _is_share_done(context, state)


def _is_share_done(context: RunContext, state: TeachState) -> bool:
    """Whether this call of the graph has done its share."""
    return context.stop.is_set() or state["iteration"] >= state["until_iteration"]


def close_iteration(context: RunContext, state: TeachState, update: Update) -> Update:
    """Whether this call of the graph ends here; if so, with a boundary to go on from."""
    update["paused"] = update.get("phase") == "finished" or _is_share_done(context, state)
    with context.timers.phase("record"):
        context.trace.commit()
        if update["paused"]:
            save_boundary(context, dict(state) | update)
    return update


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
) -> Literal["trial", "__end__"]:
    """As `after_planner`, where a second model is waited for."""
    return "__end__" if _given_up(runtime.context) else "trial"


def _given_up(context: RunContext) -> bool:
    """Whether a wait for answers was cut short."""
    teacher = _teacher(context)
    return context.wait and context.stop.is_set() and bool(teacher.pending + teacher.standing_in)


def lacks_advice(state: TeachState) -> bool:
    """Whether there is a teacher to be asked about the last rollout's situations."""
    known = state["advice"]
    return state["phase"] == "teaching" and any(str(s) not in known for s in state["situations"])


def begin(state: TeachState, runtime: Runtime[RunContext]) -> Literal["collect", "practice"]:
    """One rollout, while the teacher is being asked or tried out; else as many as come."""
    if lacks_advice(state) or not _is_tried(runtime.context, state):
        return "collect"
    return "practice"


def after_collect(
    state: TeachState, runtime: Runtime[RunContext]
) -> Literal["cache", "trial", "learner"]:
    """A teacher that has answered everything is not asked again."""
    if lacks_advice(state):
        return "cache"
    return "learner" if _is_tried(runtime.context, state) else "trial"


def after_assess(
    state: TeachState, runtime: Runtime[RunContext]
) -> Literal["collect", "practice", "__end__"]:
    """Go on, unless the run is done, is to stop, or this call of the graph has done its share."""
    return "__end__" if state["paused"] else begin(state, runtime)


def _is_tried(context: RunContext, state: TeachState) -> bool:
    """Whether the advice needs no trial, or none any more."""
    if state["phase"] != "teaching" or context.config.weaning.schedule != "adaptive":
        return True
    return Trial.model_validate(state["trial"]).is_over


def _at_each_step(context: RunContext, state: TeachState) -> Callable[[IntArray], None]:
    """What happens at each step of a rollout, given the signatures: it ends if the run is to stop.

    And where nothing is known yet, the teacher is asked as soon as a situation is met: it is going
    to be waited for, and its time runs while the rollout is made.
    """
    begins = state["iteration"] == 0 and state["teacher_weight"] > 0
    teacher = context.teacher if begins and not context.wait else None
    met: set[int] = set()

    def on_step(signatures: IntArray) -> None:
        context.leave_if_late()
        fresh = set() if teacher is None else set(signatures.tolist()) - met
        if teacher is not None and fresh:
            met.update(fresh)
            teacher.ask_ahead(sorted(fresh), state["iteration"] + 1)

    return on_step


def _pictures(context: RunContext, situations: Sequence[int]) -> dict[int, str]:
    """The first state of each situation in the rollout, drawn."""
    states = context.collector.states()
    signatures = context.collector.rollout.signatures.reshape(-1)
    rows = {s: np.flatnonzero(signatures == s) for s in situations}
    return {s: context.task.picture(states, int(row[0])) for s, row in rows.items() if len(row)}


def _teacher(context: RunContext) -> Teacher:
    if context.teacher is None:
        raise RuntimeError("this run has no teacher, yet its teacher's weight is above 0")
    return context.teacher


def _rows(answers: Sequence[PlannerAnswer]) -> dict[str, PlanRows]:
    """The advice in the answers, as the state keeps it."""
    return {str(a.signature): a.advice.to_json() for a in answers if a.advice is not None}


def _awaited(
    context: RunContext,
    harvest: Callable[..., list[PlannerAnswer]],
    pending: Callable[[], Collection[int]],
    at_the_start: bool,
) -> list[PlannerAnswer]:
    """The answers in the order of their signatures, waited for where that is due.

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
    return sorted(answers + harvest(wait_for_all=False), key=lambda a: a.signature)


def _wean(context: RunContext, state: TeachState, trial: Trial) -> Update:
    """Set the next teacher weight; at 0 the teacher goes."""
    settings, progress = context.config.weaning, state["env_steps"] / context.steps
    weaning = Weaning.model_validate(state["weaning"])
    if settings.schedule == "adaptive":
        weaning = weaning.after(settings, progress, state["train_success"], trial.success)
    update = {"weaning": weaning.model_dump()}
    weight = weaning.weight(settings, progress)
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
    if isinstance(context.task, RecordedTask):
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


def told_row(
    context: RunContext, state: TeachState, trial: Trial, report: Mapping[str, float | None]
) -> Row:
    """The iteration's row of metrics.jsonl, which those who watch are told at once."""
    counters = context.teacher.counters if context.teacher else None
    row = {
        "iteration": state["iteration"],
        "env_steps": state["env_steps"],
        "wall_s": round(context.wall_s, 3),
        "train_success": state["train_success"],
        "teacher_weight": state["teacher_weight"],
        "teacher_success": trial.success,
        "trial_steps": trial.env_steps,
        "doubted": len(trial.doubted),
        "llm_calls": counters.calls if counters else 0,
        "cache_hits": counters.cache_hits if counters else 0,
        **report,
    }
    context.tell(IterationDone(row))
    return row


def write_rows(context: RunContext, rows: Sequence[Row]) -> None:
    """Add rows to metrics.jsonl."""
    if not rows:
        return
    with context.timers.phase("record"):
        context.folder.append_metrics(*rows)
