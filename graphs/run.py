"""Making a run: drive its graph to the end, or on from where it stopped, and write the summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Event as StopSignal
from time import monotonic
from typing import Any

from agents.providers import keep_tracing_private
from graphs.conditions import stopped
from graphs.config import ConfigError, RunConfig, validated, without_own_fields
from graphs.context import RunContext, StopAskedError
from graphs.events import Evaluating, Event, Notice, RunEnded, RunStarted
from graphs.loggers.base import with_loggers
from graphs.recording import trace_answers
from graphs.registry import build_graph, find_graph
from graphs.saving import delete_old_boundaries, restore_newest
from graphs.setup import Parts, open_context, renew_progress, renew_records
from graphs.state import TeachState, first_state
from graphs.strangers import check_address, check_imports
from rl.evaluation import evaluate_both_ways
from rl.run_records import NO_TEACHER, TeacherResult
from rl.runfolder import (
    LlmUse,
    RunFolder,
    RunFolderError,
    StudentResult,
    Summary,
    TimeShares,
    default_run_dir,
)
from rl.trial import Trial

Tell = Callable[[Event], None]


def run(
    config: RunConfig,
    on_event: Tell | None = None,
    stop: StopSignal | None = None,
    import_s: float = 0.0,
) -> Summary:
    """Make a run from start to end and return its summary, which is in the run folder too.

    on_event: told of everything that a watcher may want to see. stop: ends the run at the next
    iteration's end when set. import_s: seconds that the caller spent importing, for the record;
    what task and provider still import is added, and what setting up takes.
    Raises one of `graphs.errors.USER_ERRORS` where the configuration cannot be used, before the
    run folder is made, and RunStoppedError where the machine does not let the run go on.
    """
    began = monotonic()
    parts = Parts(config)
    import_s += monotonic() - began
    return _session(parts, new_folder(parts), on_event, stop, import_s)


def new_folder(parts: Parts) -> RunFolder:
    """The folder of a run that is about to begin, with what it is made from.

    Raises RunFolderError where it cannot be made.
    """
    config = parts.config
    where = config.run_dir or default_run_dir(config.graph, config.env, config.seed, datetime.now())
    folder = RunFolder.create(where)
    if parts.provider is not None:
        folder.write_prompts({name: parts.library.get(name).text for name in parts.library.names()})
    folder.write_config({**parts.resolved(), "run_dir": str(folder.path)})
    return folder


def resume(
    path: Path,
    on_event: Tell | None = None,
    stop: StopSignal | None = None,
    import_s: float = 0.0,
    base_urls: Sequence[str] = (),
) -> Summary:
    """Go on with a run that stopped, from its newest boundary, to the numbers it would have had.

    Its teacher is asked with the prompts that the run has recorded, whatever became of the files.
    Arguments as in `run`. base_urls: the run's own addresses of its teachers, said again, without
    which no key of the user's is sent to another machine. Raises as `run` does, and RunFolderError
    where there is nothing to go on with, or where the folder holds what no run of this program has
    left there.
    """
    folder = RunFolder.open(path)
    summary = folder.read_summary()
    if summary is not None and summary.status == "finished":
        raise RunFolderError(f"{path} is finished: there is nothing to resume")
    config = stored_config(folder)
    check_address(folder.path, config, base_urls)
    began = monotonic()
    parts = Parts(config, folder.recorded_prompts)
    import_s += monotonic() - began
    return _session(parts, folder, on_event, stop, import_s)


def stored_config(folder: RunFolder) -> RunConfig:
    """The configuration of a run that was made. Raises ConfigError or RunFolderError.

    The folder may be a stranger's: it is refused where its fields could make its own code run.
    """
    stored = without_own_fields(folder.read_config())
    try:
        config = validated({**stored, "run_dir": str(folder.path)})
    except ConfigError as error:
        raise ConfigError(f"{folder.config}: {error}") from error
    check_imports(folder.path, config)
    return config


def _session(
    parts: Parts,
    folder: RunFolder,
    on_event: Tell | None,
    stop: StopSignal | None,
    import_s: float,
) -> Summary:
    keep_tracing_private()
    tell = on_event or _ignore
    try:
        with ExitStack() as resources:
            context = open_context(parts, folder, import_s, stop or StopSignal(), tell, resources)
            renew = partial(renew_progress, context, parts, resources)
            state = _starting_state(context, renew, resources, tell)
            context.tell = tell = with_loggers(context.config, folder, tell, resources)
            tell(_started(context, state))
            state = _drive(context, state)
            summary = _conclude(context, state, tell)
    except Exception as error:
        told = stopped(error, folder)
        if told is None:
            raise
        raise told from error
    tell(RunEnded(str(folder.path), summary))
    return summary


def _ignore(_event: Event) -> None:
    """Nobody watches."""


def _started(context: RunContext, state: TeachState) -> RunStarted:
    return RunStarted(
        str(context.folder.path),
        context.task.name,
        _provider(context),
        context.config.graph,
        context.steps,
        state["env_steps"],
        None if context.learns else context.performance.episodes,
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
    """The newest boundary's state, or the first one; records beyond it are cut.

    Where boundaries are lost and the run begins anew, its records up to now are kept aside.
    """
    state, problems = restore_newest(context, renew)
    for problem in problems:
        tell(Notice(problem))
    if state is None and problems:
        for kept in renew_records(context, resources):
            tell(Notice(kept))
        tell(Notice(f"{context.folder.path} has no saved state that can be used: it begins anew"))
    state = state or opening_state(context)
    damaged = context.folder.cut_metrics(state["iteration"])
    if damaged is not None:
        tell(Notice(damaged))
    context.trace.cut(state["iteration"])
    return state


def _drive(context: RunContext, state: TeachState) -> TeachState:
    """Call the graph, a bounded number of iterations at a time, until the run ends or stops."""
    graph = build_graph(context.config.graph, context.graph_checkpoints.saver)
    delete_old_boundaries(context)  # a process that was killed may not have come to it
    while state["phase"] != "finished" and not context.stop.is_set():
        context.thread = state["iteration"]
        state["until_iteration"] = state["iteration"] + context.config.checkpoint_every
        with context.timers.phase("graph"):
            state = _invoke(graph, state, context)
        with context.timers.phase("record"):
            delete_old_boundaries(context)
    return state


def _invoke(graph: Any, state: TeachState, context: RunContext) -> TeachState:
    config = context.graph_checkpoints.begin(state["iteration"])
    graph_steps = find_graph(context.config.graph).steps
    config["recursion_limit"] = context.config.checkpoint_every * graph_steps + 1
    stream = graph.stream(state, config, context=context, stream_mode="values", durability="exit")
    with suppress(StopAskedError):
        for reached in stream:
            state = reached
    return state


def _conclude(context: RunContext, state: TeachState, tell: Tell) -> Summary:
    """The last evaluation, the student's file and the summary."""
    if context.teacher is not None:
        trace_answers(context, state, context.teacher.close())
    with context.timers.phase("record"):
        if context.learns:
            context.folder.write_atomic(context.folder.student.name, context.student.save)
        context.trace.commit()
    student, teacher = None, None
    if state["phase"] == "finished" and context.learns:
        with suppress(StopAskedError):
            student = _final_result(context, tell)
    elif state["phase"] == "finished":
        played = context.performance.outcome()
        teacher = played.of_teacher() if played else None
    summary = _summary(context, state, student, teacher)
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
        trial_steps=Trial.model_validate(state["trial"]).env_steps,
        time=TimeShares.model_validate(seconds),
        llm=_llm_use(context),
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
