"""Setting a run up: everything that it holds on to, made from its configuration."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Event as StopSignal
from time import monotonic

import torch

from tutelage.agents.teacher.teacher import Teacher
from tutelage.graphs.config.events import Doing, Notice, Tell
from tutelage.graphs.records.checkpoints import Checkpoints
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.schema import TraceDamagedError
from tutelage.graphs.records.trace.writer import TraceWriter
from tutelage.graphs.runtime.context import Learner, RunContext
from tutelage.graphs.runtime.run_spec import RunSpec
from tutelage.graphs.runtime.timers import PhaseTimers
from tutelage.rl.policy.policy import Policy, make_policy
from tutelage.rl.ppo.ppo import PPO
from tutelage.rl.rollouts.collector import Collector
from tutelage.rl.rollouts.teacher_episodes import TeacherEpisodes
from tutelage.rl.tasks.seeding import generator


def open_context(
    spec: RunSpec,
    folder: RunFolder,
    teacher: Teacher | None,
    started: float,
    stop: StopSignal,
    tell: Tell,
    resources: ExitStack,
) -> RunContext:
    """Everything that a run holds on to; closed when `resources` are.

    The folder must be locked. teacher: the run's, see `graphs.runtime.run_spec.open_teacher`.
    started: when the process began, by `monotonic`: all until here counts as importing. Raises
    RunFolderError and TraceError.
    """
    config = spec.config
    tell(Doing("making the environments"))
    torch.set_num_threads(config.threads)
    timers = PhaseTimers()
    context = RunContext(
        config=config,
        task=spec.task,
        progress=_progress(spec, resources),
        teacher=teacher,
        folder=folder,
        trace=resources.enter_context(_trace(folder, tell)),
        checkpoints=Checkpoints(folder),
        timers=timers,
        steps=spec.steps,
        wait=spec.waits,
        stop=stop,
        tell=tell,
        started=started,
    )
    # Environments are reset by then: a first run compiles much of its engine here.
    timers.add("import", monotonic() - started)
    return context


def renew_progress(context: RunContext, spec: RunSpec, resources: ExitStack) -> None:
    """Give the context who acts as at the run's start, in the place of one half restored."""
    context.progress = _progress(spec, resources)


def renew_records(context: RunContext, resources: ExitStack) -> list[str]:
    """Begin the records anew; what is there is set aside. Returns a line for each file."""
    folder = context.folder
    context.trace.close()
    lost = "tells of what cannot be gone on with"
    lines = [folder.set_aside(p, lost) for p in (folder.metrics, folder.trace) if p.exists()]
    context.trace = resources.enter_context(TraceWriter(folder.trace))
    return lines


def _trace(folder: RunFolder, tell: Tell) -> TraceWriter:
    """The trace, a new one where there is none or a damaged one."""
    try:
        return TraceWriter(folder.trace)
    except TraceDamagedError as error:
        tell(Notice(f"{error}; {folder.set_aside(folder.trace)}, and a new one begins"))
        return TraceWriter(folder.trace)


def _progress(spec: RunSpec, resources: ExitStack) -> Learner | TeacherEpisodes:
    """Who acts: a student that learns, or the teacher itself."""
    config = spec.config
    if not spec.graph.learns:
        teacher_episodes = TeacherEpisodes(spec.task, config.evaluation.final_episodes, config.seed)
        resources.callback(teacher_episodes.close)
        return teacher_episodes
    student = _student(spec)
    envs = spec.task.make_envs(config.num_envs, "train", config.seed)
    resources.callback(envs.close)
    actions = generator(config.seed, "actions")
    settings = config.ppo.model_copy(update={"gamma": spec.gamma})
    return Learner(
        student,
        Collector(spec.task, student, envs, settings.num_steps, actions, spec.gamma),
        PPO(student, settings, generator(config.seed, "minibatches")),
    )


def _student(spec: RunSpec) -> Policy:
    return make_policy(
        spec.task,
        spec.config.student,
        spec.config.device,
        int(generator(spec.config.seed, "network").integers(2**31)),
    )
