"""What hangs beside the state while a graph runs: networks, environments, stores, clocks."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event as StopSignal
from time import monotonic
from typing import Final

from tutelage.agents.teacher.teacher import Teacher
from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.config.events import Tell
from tutelage.graphs.records.checkpoints import Checkpoints
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.writer import TraceWriter
from tutelage.graphs.runtime.timers import PhaseTimers
from tutelage.rl.policy.policy import Policy
from tutelage.rl.ppo.ppo import PPO
from tutelage.rl.rollouts.collector import Collector
from tutelage.rl.rollouts.teacher_episodes import TeacherEpisodes
from tutelage.rl.tasks.base import Task

_GRACE_S: Final = 3.0
"""How long a run that is to stop may take to the end of its iteration."""


class StopAskedError(Exception):
    """The run is to stop, and the end of its iteration is too far away to be waited for."""


@dataclass(frozen=True)
class Learner:
    """A student, what collects its rollouts, and what learns from them."""

    student: Policy
    collector: Collector
    ppo: PPO


@dataclass
class RunContext:
    """The run-time side of a run; nothing of it goes into the graph's state.

    progress: who acts, and what is saved of it. steps: the environment steps after which the run is
    done, or those that it takes at most. wait: whether every answer of the teacher is waited for.
    stop: set from outside to end the run at the next iteration's end. tell: told of what a watcher
    may want to see; LangGraph's custom stream would put every node into a thread of its own.
    started: when the run began by `monotonic`, had it never stopped. stop_seen: when `stop` was
    first found set.
    """

    config: RunConfig
    task: Task
    progress: Learner | TeacherEpisodes
    teacher: Teacher | None
    folder: RunFolder
    trace: TraceWriter
    checkpoints: Checkpoints
    timers: PhaseTimers
    steps: int
    wait: bool
    stop: StopSignal
    tell: Tell
    started: float
    stop_seen: float | None = None

    @property
    def learns(self) -> bool:
        """Whether a student learns; else the teacher acts itself."""
        return isinstance(self.progress, Learner)

    @property
    def learner(self) -> Learner:
        """The student and what teaches it. Raises TypeError where the teacher acts itself."""
        if not isinstance(self.progress, Learner):
            raise TypeError("no student learns in this graph")
        return self.progress

    @property
    def teacher_episodes(self) -> TeacherEpisodes:
        """The teacher's own acting. Raises TypeError where a student learns."""
        if not isinstance(self.progress, TeacherEpisodes):
            raise TypeError("no teacher acts in this graph")
        return self.progress

    @property
    def student(self) -> Policy:
        return self.learner.student

    @property
    def collector(self) -> Collector:
        return self.learner.collector

    @property
    def ppo(self) -> PPO:
        return self.learner.ppo

    @property
    def wall_s(self) -> float:
        """Seconds since the run began, imports included."""
        return monotonic() - self.started

    def leave_if_late(self) -> None:
        """For every step of what may take long. Raises StopAskedError some seconds after `stop`."""
        if self.stop.is_set():
            self.stop_seen = self.stop_seen or monotonic()
            if monotonic() - self.stop_seen > _GRACE_S:
                raise StopAskedError
