"""What hangs beside the state while a graph runs: networks, environments, stores, clocks."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event
from time import monotonic
from typing import Final

from agents.teacher import Teacher
from graphs.config import RunConfig
from graphs.saving import GraphCheckpoints
from rl.checkpoints import Checkpoints
from rl.ppo import PPO
from rl.rollout import Collector
from rl.runfolder import RunFolder
from rl.student import Student
from rl.task import Task
from rl.timers import PhaseTimers
from rl.trace import TraceWriter

_GRACE_S: Final = 3.0
"""How long a run that is to stop may take to the end of its iteration."""


class StopAskedError(Exception):
    """The run is to stop, and the end of its iteration is too far away to be waited for."""


@dataclass
class RunContext:
    """The run-time side of a run; nothing of it goes into the graph's state.

    steps: the environment steps after which the run is done. wait: whether every answer of the
    teacher is waited for. stop: set from outside to end the run at the next iteration's end.
    started: when the run began by `monotonic`, had it never stopped. thread: the iteration after
    which the present call of the graph began. stop_seen: when `stop` was first found set.
    """

    config: RunConfig
    task: Task
    student: Student
    collector: Collector
    ppo: PPO
    teacher: Teacher | None
    folder: RunFolder
    trace: TraceWriter
    checkpoints: Checkpoints
    graph_checkpoints: GraphCheckpoints
    timers: PhaseTimers
    steps: int
    wait: bool
    stop: Event
    started: float
    thread: int = 0
    stop_seen: float | None = None

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
