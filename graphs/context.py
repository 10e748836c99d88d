"""What hangs beside the state while a graph runs: networks, environments, stores, clocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from time import monotonic

from agents.teacher import Teacher
from graphs.config import RunConfig
from rl.ppo import PPO
from rl.rollout import Collector
from rl.runfolder import RunFolder
from rl.student import Student
from rl.task import Task
from rl.timers import PhaseTimers
from rl.trace import TraceWriter


@dataclass
class RunContext:
    """The run-time side of a run; nothing of it goes into the graph's state.

    steps: the environment steps after which the run is done. wait: whether every answer of the
    teacher is waited for. stop: set from outside to end the run at the next iteration's end.
    """

    config: RunConfig
    task: Task
    student: Student
    collector: Collector
    ppo: PPO
    teacher: Teacher | None
    folder: RunFolder
    trace: TraceWriter
    timers: PhaseTimers
    steps: int
    wait: bool
    stop: Event = field(default_factory=Event)
    started: float = field(default_factory=monotonic)

    @property
    def wall_s(self) -> float:
        """Seconds since the run began, imports included."""
        return monotonic() - self.started
