"""Driving a run: its graph to the end, or on from where it stopped, and the summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from threading import Event as StopSignal
from typing import Any

from tutelage.agents.teacher.teacher import Teacher
from tutelage.graphs.config.events import Evaluating, Notice, RunStarted, Tell
from tutelage.graphs.loggers.base import with_loggers
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.shapes import NO_TEACHER, AdviceUse, LlmUse, Summary, TimeShares
from tutelage.graphs.registry import build_graph, find_graph
from tutelage.graphs.runtime.context import RunContext, StopAskedError
from tutelage.graphs.runtime.outcome import Circumstances, outcome_of
from tutelage.graphs.runtime.recording import trace_answers
from tutelage.graphs.runtime.run_spec import RunSpec
from tutelage.graphs.runtime.saving import delete_old_checkpoints, restore_newest
from tutelage.graphs.runtime.setup import open_context, renew_progress, renew_records
from tutelage.graphs.state import TeachState, covered_share, first_state
from tutelage.rl.errors import UserError
from tutelage.rl.rollouts.evaluate import evaluate_both_ways
from tutelage.rl.rollouts.results import StudentResult, TeacherResult
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.lookups import full_text


def drive(
    spec: RunSpec,
    folder: RunFolder,
    teacher: Teacher | None,
    started: float,
    stop: StopSignal,
    tell: Tell,
    resources: ExitStack,
) -> Summary:
    """Make the run that the folder is for, or what is left of it. Arguments as in `open_context`.

    Raises UserError: RunFolderError, TraceError, CacheError, and TaskCodeError. What there is by
    then is saved as after a stop, so that `resume` goes on.
    """
    context = open_context(spec, folder, teacher, started, stop, tell, resources)
    renew = partial(renew_progress, context, spec, resources)
    state = _starting_state(context, renew, resources, tell)
    context.tell = tell = with_loggers(context.config, folder, tell, resources)
    tell(_started(context, state))
    try:
        with suppress(StopAskedError):
            for reached in _drive(context, state):
                state = reached
    except UserError as error:
        with suppress(UserError, OSError):  # the first error is the one to be told of
            _conclude(context, state, tell, error)
        raise
    return _conclude(context, state, tell)


def _started(context: RunContext, state: TeachState) -> RunStarted:
    return RunStarted(
        str(context.folder.path),
        context.task.name,
        _provider(context),
        context.config.graph,
        context.steps,
        state["env_steps"],
        None if context.learns else context.teacher_episodes.episodes,
        context.task.scored,
    )


def _provider(context: RunContext) -> str:
    """Who teaches; a run without a teacher names none."""
    return NO_TEACHER if context.teacher is None else context.config.provider


def opening_state(context: RunContext) -> TeachState:
    """The state in which a new run begins: all of the teacher's weight where nobody else acts."""
    if context.teacher is None:
        return first_state(0.0)
    return first_state(context.config.weaning.first_weight if context.learns else 1.0)


def _starting_state(
    context: RunContext, renew: Callable[[], None], resources: ExitStack, tell: Tell
) -> TeachState:
    """The newest checkpoint's state, or the first one; records beyond it are cut.

    Where checkpoints are lost and the run begins anew, its records up to now are kept aside.
    """
    state, problems = restore_newest(context, renew)
    for problem in problems:
        tell(Notice(problem))
    # A kill may have come after a checkpoint was set aside and before the records were.
    if state is None and (problems or context.checkpoints.has_damaged()):
        for kept in renew_records(context, resources):
            tell(Notice(kept))
        tell(Notice(f"{context.folder.path} has no saved state that can be used: it begins anew"))
    state = state or opening_state(context)
    damaged = context.folder.cut_metrics(state["iteration"])
    if damaged is not None:
        tell(Notice(damaged))
    context.trace.cut(state["iteration"], partial(_text_of, context.task))
    return state


def _text_of(task: Task, situation_id: int) -> str | None:
    """What the trace says of a situation; None where the task knows of none with that id."""
    try:
        return full_text(task, situation_id)
    except (KeyError, ValueError):
        return None


def _drive(context: RunContext, state: TeachState) -> Iterator[TeachState]:
    """Call the graph, a bounded number of iterations at a time, until the run ends or stops.

    Gives each state that it comes to. Raises StopAskedError and UserError.
    """
    graph: Any = build_graph(context.config.graph)
    steps = find_graph(context.config.graph).steps
    config = {"recursion_limit": context.config.checkpoint_every * steps + 1}
    delete_old_checkpoints(context)  # a process that was killed may not have come to it
    while state["phase"] != "finished" and not context.stop.is_set():
        state["until_iteration"] = state["iteration"] + context.config.checkpoint_every
        with context.timers.phase("graph"):
            for reached in graph.stream(state, config, context=context, stream_mode="values"):
                yield reached
                state = reached
        with context.timers.phase("record"):
            delete_old_checkpoints(context)


def _conclude(
    context: RunContext, state: TeachState, tell: Tell, error: BaseException | None = None
) -> Summary:
    """The last evaluation, the student's file and the summary, which is written in any case.

    error: what has ended the run before its time.
    """
    if context.teacher is not None:
        trace_answers(context, state, context.teacher.close())
    with context.timers.phase("record"):
        if context.learns:
            context.folder.write_atomic(context.folder.student.name, context.student.save)
        context.trace.commit()
    student, teacher = None, None
    try:
        if state["phase"] == "finished" and context.learns:
            with suppress(StopAskedError):
                student = _final_result(context, tell)
        elif state["phase"] == "finished":
            played = context.teacher_episodes.outcome()
            teacher = played.of_teacher() if played else None
    except BaseException as raised:
        error = raised
        raise
    finally:
        figures = _summary(context, state, student, teacher)
        outcome = outcome_of(figures, _circumstances(context, state, error))
        summary = figures.model_copy(update={"outcome": outcome})
        context.folder.write_summary(summary)
    return summary


def _final_result(context: RunContext, tell: Tell) -> StudentResult:
    episodes = context.config.evaluation.final_episodes
    with context.timers.phase("evaluate"):
        return evaluate_both_ways(
            context.task,
            context.student,
            episodes,
            context.config.seed,
            on_progress=lambda done: tell(Evaluating(done, episodes)),
            on_step=context.leave_if_late,
        )


def _summary(
    context: RunContext,
    state: TeachState,
    student: StudentResult | None,
    teacher: TeacherResult | None,
) -> Summary:
    seconds = context.timers.seconds()
    wall_s = context.wall_s
    working_s = max(wall_s - seconds["import_s"] - seconds["evaluate_s"], 1e-9)
    return Summary(
        graph=context.config.graph,
        env=context.task.name,
        provider=_provider(context),
        seed=context.config.seed,
        env_steps=state["env_steps"],
        wall_s=wall_s,
        steps_per_s=state["env_steps"] / working_s,
        status="interrupted" if student is None and teacher is None else "finished",
        student=student,
        teacher=teacher,
        teacher_removed_at_step=state["teacher_removed_at_step"],
        steps_to_95=state["steps_to_95"],
        trial_steps=state["teacher_check"].env_steps,
        **context.folder.of_evaluations(state["steps_to_95"]),
        advice=_advice_use(context, state),
        time=TimeShares.model_validate(seconds),
        llm=_llm_use(context),
    )


def _circumstances(
    context: RunContext, state: TeachState, error: BaseException | None
) -> Circumstances:
    """What the run's figures do not tell. error: what has ended it before its time."""
    teacher, advice, stand_ins = context.teacher, state["advice"], state["stand_ins"]
    told = Circumstances(
        steps=context.steps,
        phase=state["phase"],
        learns=context.learns,
        scored=context.task.scored,
        error=error,
    )
    if teacher is None:
        return told
    return replace(
        told,
        answers=len(advice) or teacher.counters.answers,
        stand_ins=len(stand_ins) or teacher.counters.fallbacks,
        late=not (advice or stand_ins),
        failures=teacher.counters.failures,
        awaited=bool(teacher.pending or teacher.pending_fallbacks),
        fallback=context.config.teacher.fallback,
    )


def _advice_use(context: RunContext, state: TeachState) -> AdviceUse | None:
    if context.teacher is None or not context.learns:
        return None
    check = state["teacher_check"]
    return AdviceUse(
        followed_steps=state["advised_steps"],
        verdict=check.verdict if context.config.weaning.schedule == "adaptive" else "unchecked",
        evidence=check.summary() if check.batches else None,
        rejected=len(check.rejected),
        covered=covered_share(state),
    )


def _llm_use(context: RunContext) -> LlmUse:
    teacher = context.teacher
    if teacher is None:
        counts = dict.fromkeys(LlmUse.model_fields, 0)
        return LlmUse.model_validate({**counts, "cost_usd": 0.0})
    counted = teacher.counters
    return LlmUse(
        calls=counted.calls,
        situations=counted.situations,
        cache_hits=counted.cache_hits,
        prompt_tokens=counted.prompt_tokens,
        completion_tokens=counted.completion_tokens,
        cost_usd=teacher.cost_usd,
        failures=sum(counted.failures.values()),
        fallbacks=counted.fallbacks,
    )
