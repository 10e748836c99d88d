"""Setting a run up: everything that it holds on to, made from its configuration."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event as StopSignal
from time import monotonic
from typing import Any

import torch

from agents.fallback import make_models
from agents.plan_cache import CacheFullError, PlanCache, default_cache_path
from agents.providers import ChatProvider
from agents.replay import Provider, make_provider
from agents.settings import TeacherSettings
from agents.teacher import Teacher
from graphs.config import ConfigError, RunConfig
from graphs.context import Learner, RunContext
from graphs.events import Event, Notice
from graphs.loggers.base import check_loggers
from graphs.registry import find_graph
from graphs.saving import GraphCheckpoints
from graphs.tasks import task_of
from graphs.views.dialogue import TerminalPerson
from prompts.library import PromptError, PromptLibrary, find_library
from rl.checkpoints import Checkpoints
from rl.performance import Performance
from rl.ppo import PPO
from rl.rollout import Collector
from rl.run_lock import locked
from rl.runfolder import RunFolder
from rl.seeding import generator
from rl.student import Student, make_student
from rl.task import Task
from rl.tasks import settings_of
from rl.timers import PhaseTimers
from rl.trace import TraceDamagedError, TraceWriter


class Parts:
    """What is checked before a run folder is touched: graph, device, task, prompts, provider.

    recorded: the folder of the prompts that a run has recorded, where it is gone on with.
    Raises ConfigError, ProviderError, PromptError, UnknownGraphError or UnknownTaskError.
    """

    def __init__(self, config: RunConfig, recorded: Path | None = None) -> None:
        self.graph = find_graph(config.graph)
        _check_device(config.device)
        check_loggers(config.loggers)
        self.config = config
        self.task: Task = task_of(config)
        self.library = checked_library(recorded or config.prompts)
        self.provider: Provider | None = None
        self.second_models: dict[str, ChatProvider] = {}
        if self.graph.taught and config.weaning.first_weight > 0:
            self.provider = make_provider(config.provider, config.base_url, config.teacher)
            self.second_models = make_models(config.teacher)

    @property
    def steps(self) -> int:
        """Environment steps of the run; the most that it can take where the teacher acts."""
        if not self.graph.learns:
            return self.config.evaluation.final_episodes * self.task.max_episode_steps
        return self.config.steps or self.task.default_steps

    def resolved(self) -> dict[str, Any]:
        """The configuration as JSON has it, what it leaves to the task settled."""
        settled: dict[str, Any] = {"steps": self.steps} if self.graph.learns else {}
        if ":" not in self.config.env:  # a task of one's own has its settings in its own code
            settings = settings_of(self.task, self.config.task)
            settled["task"] = settings.model_dump(mode="json")
        return {**self.config.model_dump(mode="json"), **settled}


def checked_library(folder: Path | None) -> PromptLibrary:
    """The prompt templates, all of them checked. Raises PromptError with every problem."""
    library = find_library(folder)
    problems = library.check()
    if problems:
        raise PromptError("; ".join(problems))
    return library


def open_context(
    parts: Parts,
    folder: RunFolder,
    import_s: float,
    stop: StopSignal,
    tell: Callable[[Event], None],
    resources: ExitStack,
) -> RunContext:
    """Everything that a run holds on to; closed when `resources` are.

    Raises RunFolderError where another process has the folder open, TraceError and CacheError.
    """
    began = monotonic()
    config = parts.config
    resources.enter_context(locked(folder))
    torch.set_num_threads(config.threads)
    timers = PhaseTimers()
    context = RunContext(
        config=config,
        task=parts.task,
        progress=_progress(parts, resources),
        teacher=open_teacher(parts, tell, resources),
        folder=folder,
        trace=resources.enter_context(_trace(folder, tell)),
        checkpoints=Checkpoints(folder),
        graph_checkpoints=resources.enter_context(GraphCheckpoints(folder)),
        timers=timers,
        steps=parts.steps,
        wait=config.wait or not parts.graph.learns or _never_slow(parts.provider),
        stop=stop,
        tell=tell,
        started=began - import_s,
    )
    # Environments are reset by then: a first run compiles much of its engine here.
    timers.add("import", import_s + monotonic() - began)
    return context


def renew_progress(context: RunContext, parts: Parts, resources: ExitStack) -> None:
    """Give the context who acts as at the run's start, in the place of one half restored."""
    context.progress = _progress(parts, resources)


def renew_records(context: RunContext, resources: ExitStack) -> list[str]:
    """Begin the records anew; what is there is set aside. Returns a line for each file."""
    folder = context.folder
    context.trace.close()
    lost = "tells of what cannot be gone on with"
    lines = [folder.set_aside(p, lost) for p in (folder.metrics, folder.trace) if p.exists()]
    context.trace = resources.enter_context(TraceWriter(folder.trace))
    return lines


def _trace(folder: RunFolder, tell: Callable[[Event], None]) -> TraceWriter:
    """The trace, a new one where there is none or a damaged one."""
    try:
        return TraceWriter(folder.trace)
    except TraceDamagedError as error:
        tell(Notice(f"{error}; {folder.set_aside(folder.trace)}, and a new one begins"))
        return TraceWriter(folder.trace)


def _never_slow(provider: Provider | None) -> bool:
    return provider is not None and provider.wait_always


def _progress(parts: Parts, resources: ExitStack) -> Learner | Performance:
    """Who acts: a student that learns, or the teacher itself."""
    config = parts.config
    if not parts.graph.learns:
        performance = Performance(parts.task, config.evaluation.final_episodes, config.seed)
        resources.callback(performance.close)
        return performance
    student = _student(parts)
    envs = parts.task.make_envs(config.num_envs, "train", config.seed)
    resources.callback(envs.close)
    actions = generator(config.seed, "actions")
    return Learner(
        student,
        Collector(parts.task, student, envs, config.ppo.num_steps, actions),
        PPO(student, config.ppo, generator(config.seed, "minibatches")),
    )


def _check_device(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device = 'cuda': no CUDA device is available here; allowed: cpu")


def _student(parts: Parts) -> Student:
    task = parts.task
    return make_student(
        task.name,
        task.observation_spec,
        len(task.action_names),
        parts.config.student,
        parts.config.device,
        int(generator(parts.config.seed, "network").integers(2**31)),
    )


def _in_turn(config: RunConfig) -> TeacherSettings:
    """How the teacher is asked: one request at a time where a run with a limit is to be repeatable.

    Else it would be chance which of several requests at the same time are the last within it.
    """
    limits = (config.teacher.budget_calls, config.teacher.budget_tokens, config.teacher.budget_usd)
    if not config.wait or limits == (None, None, None):
        return config.teacher
    return config.teacher.model_copy(update={"concurrency": 1})


def open_teacher(
    parts: Parts, tell: Callable[[Event], None], resources: ExitStack
) -> Teacher | None:
    """The run's teacher with its cache, closed when `resources` are; None where it has none.

    Raises CacheError.
    """
    if parts.provider is None:
        return None
    path = parts.config.cache or default_cache_path()
    cache = None
    try:
        cache = PlanCache(path, on_warning=lambda line: tell(Notice(line)))
        resources.callback(cache.close)
    except CacheFullError as error:
        tell(Notice(f"{error}; going on without it"))
    if parts.provider.person is not None:
        parts.provider.person.attach(TerminalPerson(tell))
    teacher = Teacher(
        parts.task,
        parts.library,
        parts.provider,
        _in_turn(parts.config),
        cache,
        lambda line: tell(Notice(line)),
        parts.second_models,
    )
    resources.callback(teacher.close)
    return teacher
