"""Collecting: the student acts alone for T steps in N environments, and all is kept for learning.

Nothing here asks a teacher; the record is labelled later, when the loss is computed.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rl.draws import draw
from rl.replay import EpisodeReplay
from rl.student import Memory, Student
from rl.task import (
    BoolArray,
    CodeArray,
    Episode,
    FloatArray,
    IntArray,
    ObservationSpec,
    States,
    Task,
    VectorEnv,
)

COLLECTOR: Final = "collector."
"""What the names of the collector's arrays begin with."""
_MEMORY: Final = f"{COLLECTOR}memory."


@dataclass
class Rollout:
    """T steps of N environments, time-major, in buffers that are used again for each rollout.

    codes: uint8 [T, N, H, W]; features: float32 [T, N, F]; actions, greedy: int64 [T, N] (done,
    likeliest); log_probs, values, rewards, final_values: float32 [T, N]; logits: float32 [T, N, A],
    the student's policy; terminated, truncated: bool [T, N]; signatures: int64 [T, N]; last_values:
    float32 [N]; previous: int64 [T, N] and hidden: float32 [N, memory_size], the student's memory
    at each and at the first step.
    allowed: bool [T, N, A], where observations say which actions are; durations: int64 [T, N], the
    primitive steps of each. None where all are allowed, and each is one.
    """

    codes: CodeArray
    features: FloatArray
    actions: IntArray
    greedy: IntArray
    log_probs: FloatArray
    logits: FloatArray
    values: FloatArray
    rewards: FloatArray
    final_values: FloatArray
    terminated: BoolArray
    truncated: BoolArray
    signatures: IntArray
    last_values: FloatArray
    previous: IntArray
    hidden: FloatArray
    allowed: BoolArray | None = None
    durations: IntArray | None = None

    @classmethod
    def allocate(
        cls,
        num_steps: int,
        num_envs: int,
        spec: ObservationSpec,
        num_actions: int,
        memory_size: int,
    ) -> Rollout:
        """Buffers for one rollout."""
        shape = (num_steps, num_envs)

        def floats(*more: int) -> FloatArray:
            return np.zeros((*shape, *more), dtype=np.float32)

        return cls(
            codes=np.zeros((*shape, spec.height, spec.width), dtype=np.uint8),
            features=floats(spec.features),
            actions=np.zeros(shape, dtype=np.int64),
            greedy=np.zeros(shape, dtype=np.int64),
            log_probs=floats(),
            logits=floats(num_actions),
            values=floats(),
            rewards=floats(),
            final_values=floats(),
            terminated=np.zeros(shape, dtype=np.bool_),
            truncated=np.zeros(shape, dtype=np.bool_),
            signatures=np.zeros(shape, dtype=np.int64),
            last_values=np.zeros(num_envs, dtype=np.float32),
            previous=np.zeros(shape, dtype=np.int64),
            hidden=np.zeros((num_envs, memory_size), dtype=np.float32),
            allowed=np.zeros((*shape, spec.slots), dtype=np.bool_) if spec.slots else None,
            durations=np.zeros(shape, dtype=np.int64) if spec.slots else None,
        )

    @property
    def size(self) -> int:
        """How many steps it holds, T * N."""
        return self.actions.size

    @property
    def env_steps(self) -> int:
        """How many primitive steps of the environments it holds."""
        return self.size if self.durations is None else int(self.durations.sum())

    def discounts(self, gamma: float) -> float | FloatArray:
        """The discount of each step, for `advantages_of`. gamma: that of a primitive step."""
        if self.durations is None:
            return gamma
        return np.asarray(gamma**self.durations, dtype=np.float32)


@dataclass
class Passage:
    """What came of the episodes that passed through a situation and ended in this rollout."""

    episodes: int = 0
    successes: int = 0


@dataclass
class EpisodeLog:
    """Follows the running episodes of a vector environment and remembers the last ended ones.

    longest: the most steps of an episode. settled: whether as many were done everywhere: before
    that, those that have ended are the short ones, and successes are short.
    """

    num_envs: int
    longest: int
    window: int = 100
    recent: deque[tuple[bool, float]] = field(init=False)
    """(success, return) of the latest ended episodes."""
    ended: int = 0
    passages: dict[int, Passage] = field(default_factory=lambda: defaultdict(Passage))

    def __post_init__(self) -> None:
        self.recent = deque(maxlen=self.window)
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, dtype=np.int64)
        self._ages = np.zeros(self.num_envs, dtype=np.int64)
        self._seen: list[set[int]] = [set() for _ in range(self.num_envs)]
        self._last = np.zeros(self.num_envs, dtype=np.int64)

    def visit(self, signatures: IntArray) -> None:
        """Note the situations that the episodes are in, before the step."""
        for i in np.flatnonzero((signatures != self._last) | (self._lengths == 0)):
            self._seen[i].add(int(signatures[i]))
        self._last = signatures.copy()

    def step(
        self,
        task: Task,
        rewards: FloatArray,
        terminated: BoolArray,
        truncated: BoolArray,
        durations: IntArray | None = None,
    ) -> None:
        """Count a step, and close the episodes that ended with it. Arrays as in `StepResult`."""
        self._returns += rewards
        self._lengths += 1 if durations is None else durations
        self._ages += 1 if durations is None else durations
        for i in np.flatnonzero(terminated | truncated):
            episode = Episode(
                float(self._returns[i]),
                int(self._lengths[i]),
                bool(terminated[i]),
                bool(truncated[i]),
            )
            success = bool(task.success(episode))
            self.recent.append((success, episode.return_))
            self.ended += 1
            for signature in self._seen[i]:
                self.passages[signature].episodes += 1
                self.passages[signature].successes += success
            self._seen[i] = set()
            self._returns[i], self._lengths[i] = 0.0, 0

    def take_passages(self) -> dict[int, Passage]:
        """The passages since the last call."""
        taken, self.passages = self.passages, defaultdict(Passage)
        return dict(taken)

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON has it, between two rollouts whose passages were taken."""
        return {
            "recent": [[success, return_] for success, return_ in self.recent],
            "ended": self.ended,
            "returns": self._returns.tolist(),
            "lengths": self._lengths.tolist(),
            "ages": self._ages.tolist(),
            "seen": [sorted(seen) for seen in self._seen],
            "last": self._last.tolist(),
        }

    def restore(self, record: dict[str, Any]) -> None:
        """The inverse of `snapshot`. Raises KeyError, TypeError or ValueError for anything else."""
        self.recent.clear()
        self.recent.extend((bool(success), float(value)) for success, value in record["recent"])
        self.ended = int(record["ended"])
        self._seen = [{int(signature) for signature in seen} for seen in record["seen"]]
        if {self.num_envs} != {
            len(record[name]) for name in ("returns", "lengths", "ages", "last", "seen")
        }:
            raise ValueError("it is the log of another number of environments")
        self._returns[:], self._lengths[:] = record["returns"], record["lengths"]
        self._ages[:], self._last[:] = record["ages"], record["last"]

    @property
    def settled(self) -> bool:
        return bool(self.recent) and int(self._ages.min()) >= self.longest

    @property
    def success(self) -> float | None:
        """Share of successes among the recent episodes; None before the log has settled."""
        return sum(s for s, _ in self.recent) / len(self.recent) if self.settled else None

    @property
    def mean_return(self) -> float | None:
        """Mean return of the recent episodes; None before the log has settled."""
        return sum(r for _, r in self.recent) / len(self.recent) if self.settled else None


class Collector:
    """A student, its training environments, and the buffers of a rollout."""

    def __init__(
        self,
        task: Task,
        student: Student,
        envs: VectorEnv,
        num_steps: int,
        rng: np.random.Generator,
    ) -> None:
        self._task, self._student, self._envs, self._rng = task, student, envs, rng
        self.rollout = Rollout.allocate(
            num_steps,
            envs.num_envs,
            task.observation_spec,
            len(task.action_names),
            student.network.memory_size,
        )
        self._memory = student.new_memory(envs.num_envs)
        self.log = EpisodeLog(envs.num_envs, task.max_episode_steps)
        self._replay = EpisodeReplay(envs.num_envs, task.max_episode_steps, len(task.action_names))
        envs.reset()

    def collect(self, on_step: Callable[[IntArray], None] | None = None) -> Rollout:
        """Fill the buffers with the next T steps of every environment.

        on_step: called before each of them with the situations' signatures, int64 [N]; what it
        raises ends the rollout there, which is lost.
        """
        rollout = self.rollout
        num_steps = len(rollout.actions)
        self._envs.begin_rollout(num_steps)
        rollout.final_values[:] = 0.0
        rollout.hidden[:] = self._memory.hidden
        for t in range(num_steps):
            rollout.signatures[t] = self._task.signature(self._envs.states())
            if on_step is not None:
                on_step(rollout.signatures[t])
            self._act(t)
        rollout.last_values[:] = self._student.judge(self._envs.observe(), self._memory[:])[1]
        return rollout

    def snapshot(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """What is needed to go on from here: arrays by name, and the rest as JSON has it."""
        memory: dict[str, NDArray[Any]] = {
            f"{_MEMORY}hidden": self._memory.hidden,
            f"{_MEMORY}previous": self._memory.previous,
        }
        return self._replay.snapshot() | memory, {
            "rng": self._rng.bit_generator.state,
            "log": self.log.snapshot(),
        }

    def restore(self, arrays: dict[str, NDArray[Any]], record: dict[str, Any]) -> None:
        """Go on from a snapshot: the environments replay their running episodes.

        Raises ReplayError where they cannot, KeyError, TypeError or ValueError for no snapshot.
        """
        self._memory = self._remembered(arrays)
        self._replay.restore(arrays, self._envs)
        self._rng.bit_generator.state = record["rng"]
        self.log.restore(record["log"])

    def _remembered(self, arrays: dict[str, NDArray[Any]]) -> Memory:
        found = Memory(arrays[f"{_MEMORY}hidden"], arrays[f"{_MEMORY}previous"])
        expected = self._memory
        for one, other in ((found.hidden, expected.hidden), (found.previous, expected.previous)):
            if one.shape != other.shape or one.dtype != other.dtype:
                raise ValueError("what it remembers is not this student's memory")
        if not np.isfinite(found.hidden).all():
            raise ValueError("what it remembers is not finite")
        return found[:]

    def states(self) -> States:
        """The recorded states of the last rollout, row t * N + i."""
        return self._envs.rollout()

    def _act(self, t: int) -> None:
        rollout, envs = self.rollout, self._envs
        observation = envs.observe()
        self.log.visit(rollout.signatures[t])
        rollout.previous[t] = self._memory.previous
        logits, values = self._student.judge(observation, self._memory)
        actions, rollout.log_probs[t], rollout.greedy[t] = draw(logits, self._rng)
        rollout.codes[t], rollout.features[t] = observation.codes, observation.features
        if rollout.allowed is not None:
            rollout.allowed[t] = observation.allowed
        rollout.actions[t], rollout.values[t] = actions, values
        rollout.logits[t] = logits
        result = envs.step(actions)
        rollout.rewards[t] = result.rewards if result.discounted is None else result.discounted
        rollout.terminated[t], rollout.truncated[t] = result.terminated, result.truncated
        self._memory.previous = actions
        if result.final is not None:
            remembered = self._memory[result.truncated]
            rollout.final_values[t][result.truncated] = self._student.judge(
                result.final, remembered
            )[1]
        self._memory.forget(result.terminated | result.truncated)
        if rollout.durations is not None and result.durations is not None:
            rollout.durations[t] = result.durations
        self.log.step(
            self._task, result.rewards, result.terminated, result.truncated, result.durations
        )
        self._replay.step(actions, result.terminated | result.truncated)
