"""Making a run: set it up, drive its graph to the end, write down what came of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from threading import Event as StopSignal
from time import monotonic
from typing import Any, Final

# A run must not phone home by itself, and LangGraph reads its own switch when it is imported.
os.environ.setdefault("LANGSMITH_TRACING", "false")
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")

import torch

from agents.plan_cache import PlanCache, default_cache_path
from agents.providers import ChatProvider, make_chat_model
from agents.teacher import Teacher
from graphs.config import ConfigError, RunConfig
from graphs.context import RunContext
from graphs.events import Evaluating, Event, RunEnded, RunStarted
from graphs.registry import build_graph, find_graph
from graphs.state import TeachState, first_state
from prompts.library import PromptError, PromptLibrary
from rl.evaluation import Evaluation, evaluate
from rl.ppo import PPO
from rl.rollout import Collector
from rl.runfolder import (
    LlmUse,
    RunFolder,
    StudentResult,
    Summary,
    TimeShares,
    default_run_dir,
)
from rl.seeding import generator
from rl.student import make_student
from rl.task import Task
from rl.tasks import make_task
from rl.timers import PhaseTimers
from rl.trace import TraceWriter
from rl.weaning import teacher_weight

ITERATIONS_PER_INVOKE: Final = 64
_NODES_PER_ITERATION: Final = 6


def run(
    config: RunConfig,
    on_event: Callable[[Event], None] | None = None,
    stop: StopSignal | None = None,
    import_s: float = 0.0,
) -> Summary:
    """Make a run from start to end and return its summary, which is in the run folder too.

    on_event: told of everything that a watcher may want to see. stop: ends the run at the next
    iteration's end when set. import_s: seconds that the caller spent importing, for the record.
    Raises ConfigError, ProviderError, PromptError, RunFolderError or UnknownTaskError before
    anything is made where the configuration cannot be used.
    """
    tell = on_event or (lambda event: None)
    started = monotonic() - import_s
    find_graph(config.graph)
    _check_device(config.device)
    torch.set_num_threads(config.threads)
    task = make_task(config.env, config.student.crop)
    library = checked_library(config.prompts)
    taught = teacher_weight(config.weaning, 0.0) > 0
    provider = make_chat_model(config.provider, config.base_url, config.teacher) if taught else None
    with ExitStack() as resources:
        context = _open(config, task, library, provider, started, resources)
        context.stop = stop or context.stop
        context.timers.add("import", import_s)
        run_dir = str(context.folder.path)
        tell(RunStarted(run_dir, task.name, config.provider, config.graph, context.steps))
        state = _drive(context, tell)
        summary = _conclude(context, state, tell)
    tell(RunEnded(run_dir, summary))
    return summary


def checked_library(folder: Path | None) -> PromptLibrary:
    """The prompt templates, all of them checked. Raises PromptError with every problem."""
    library = PromptLibrary(folder)
    problems = library.check()
    if problems:
        raise PromptError("; ".join(problems))
    return library


def _check_device(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device = 'cuda': no CUDA device is available here; allowed: cpu")


def _open(
    config: RunConfig,
    task: Task,
    library: PromptLibrary,
    provider: ChatProvider | None,
    started: float,
    resources: ExitStack,
) -> RunContext:
    """Everything that a run holds on to; closed when `resources` are."""
    where = config.run_dir or default_run_dir(config.graph, config.env, config.seed, datetime.now())
    folder = RunFolder.create(where)
    steps = config.steps or task.default_steps
    folder.write_config(
        {**config.model_dump(mode="json"), "run_dir": str(folder.path), "steps": steps}
    )
    trace = resources.enter_context(TraceWriter(folder.trace))
    teacher = None
    if provider is not None:
        plan_cache = PlanCache(config.cache or default_cache_path())
        resources.callback(plan_cache.close)
        teacher = Teacher(task, library, provider, config.teacher, plan_cache)
        resources.callback(teacher.close)
    seed = config.seed
    student = make_student(
        task.name,
        task.observation_spec,
        len(task.action_names),
        config.student,
        config.device,
        lambda: int(generator(seed, "network").integers(2**31)),
    )
    envs = task.make_envs(config.num_envs, "train", seed)
    resources.callback(envs.close)
    return RunContext(
        config=config,
        task=task,
        student=student,
        collector=Collector(task, student, envs, config.ppo.num_steps, generator(seed, "actions")),
        ppo=PPO(student, config.ppo, generator(seed, "minibatches")),
        teacher=teacher,
        folder=folder,
        trace=trace,
        timers=PhaseTimers(),
        steps=steps,
        wait=config.wait or (provider is not None and provider.wait_always),
        started=started,
    )


def _drive(context: RunContext, tell: Callable[[Event], None]) -> TeachState:
    """Call the graph, a bounded number of iterations at a time, until the run ends or stops."""
    graph = build_graph(context.config.graph)
    state = first_state(teacher_weight(context.config.weaning, 0.0))
    while state["phase"] != "finished" and not context.stop.is_set():
        state["until_iteration"] = state["iteration"] + ITERATIONS_PER_INVOKE
        with context.timers.phase("graph"):
            state = _invoke(graph, state, context, tell)
    return state


def _invoke(
    graph: Any, state: TeachState, context: RunContext, tell: Callable[[Event], None]
) -> TeachState:
    limit = ITERATIONS_PER_INVOKE * _NODES_PER_ITERATION + 1
    stream = graph.stream(
        state,
        {"recursion_limit": limit},
        context=context,
        stream_mode=["custom", "values"],
    )
    for mode, item in stream:
        if mode == "custom":
            tell(item)
        else:
            state = item
    return state


def _conclude(context: RunContext, state: TeachState, tell: Callable[[Event], None]) -> Summary:
    """The last evaluation, the student's file and the summary."""
    with context.timers.phase("record"):
        context.folder.write_atomic(context.folder.student.name, context.student.save)
        context.trace.commit()
    finished = state["phase"] == "finished"
    student = _final_result(context, tell) if finished else None
    summary = _summary(context, state, student)
    context.folder.write_summary(summary)
    return summary


def _final_result(context: RunContext, tell: Callable[[Event], None]) -> StudentResult:
    sampled = _final_evaluation(context, tell, greedy=False)
    greedy = _final_evaluation(context, tell, greedy=True)
    return StudentResult(
        success_rate=sampled.success_rate,
        ci95=sampled.ci95,
        episodes=sampled.episodes,
        mean_return=sampled.mean_return,
        mean_length=sampled.mean_length,
        argmax_success_rate=greedy.success_rate,
    )


def _final_evaluation(
    context: RunContext, tell: Callable[[Event], None], greedy: bool
) -> Evaluation:
    episodes = context.config.evaluation.final_episodes
    with context.timers.phase("evaluate"):
        return evaluate(
            context.task,
            context.student,
            episodes,
            context.config.seed,
            greedy,
            on_progress=lambda done: tell(Evaluating(done, episodes)),
        )


def _summary(context: RunContext, state: TeachState, student: StudentResult | None) -> Summary:
    seconds = context.timers.seconds()
    wall_s = context.wall_s
    working_s = max(wall_s - seconds["import_s"] - seconds["evaluate_s"], 1e-9)
    return Summary(
        graph=context.config.graph,
        env=context.task.name,
        provider=context.config.provider,
        seed=context.config.seed,
        env_steps=state["env_steps"],
        wall_s=wall_s,
        steps_per_s=state["env_steps"] / working_s,
        status="finished" if state["phase"] == "finished" else "interrupted",
        student=student,
        teacher=None,
        teacher_removed_at_step=state["teacher_removed_at_step"],
        steps_to_95=state["steps_to_95"],
        time=TimeShares.model_validate(seconds),
        llm=_llm_use(context),
    )


def _llm_use(context: RunContext) -> LlmUse:
    teacher = context.teacher
    if teacher is None:
        return LlmUse(
            calls=0,
            situations=0,
            cache_hits=0,
            prompt_tokens=0,
            completion_tokens=0,
            cost_usd=0.0,
            failures=0,
            fallbacks=0,
        )
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
