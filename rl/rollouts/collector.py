"""Collecting: the student acts alone for T steps in N environments, and every step is kept.

Nothing here asks a teacher: the states are labelled later, when the loss is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tutelage.rl.policy.policy import Policy, RecurrentState
from tutelage.rl.rollouts.buffer import Rollout
from tutelage.rl.rollouts.episodes import EpisodeLog
from tutelage.rl.rollouts.replay import EpisodeReplay
from tutelage.rl.rollouts.reward_scale import RewardScale
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import States, Task, VectorEnv

COLLECTOR: Final = "collector."
"""What the names of the collector's arrays begin with."""
_MEMORY: Final = f"{COLLECTOR}memory."


class Collector:
    """A student, its training environments, and the buffers of a rollout."""

    def __init__(
        self,
        task: Task,
        student: Policy,
        envs: VectorEnv,
        num_steps: int,
        rng: np.random.Generator,
        gamma: float,
    ) -> None:
        """rng: draws the actions. gamma: the discount of a step, for the scale of the rewards."""
        self._task, self._student, self._envs, self._rng = task, student, envs, rng
        self.rollout = Rollout.allocate(num_steps, envs.num_envs, student)
        self._memory = student.initial_state(envs.num_envs)
        self.log = EpisodeLog(envs.num_envs, task.max_episode_steps)
        self._replay = EpisodeReplay(envs.num_envs, task.max_episode_steps, task.action_space)
        self._scale = RewardScale(envs.num_envs, gamma) if task.normalise else None
        self._states: States | None = None
        envs.reset()

    def collect(self, on_step: Callable[[IntArray], None] | None = None) -> Rollout:
        """Fill the buffers with the next T steps of every environment.

        on_step: called before each of them with the situation ids, int64 [N]; what it raises ends
        the rollout, which is lost.
        """
        rollout = self.rollout
        num_steps = len(rollout.rewards)
        states: list[States] = []
        rollout.final_values[:] = 0.0
        rollout.hidden[:] = self._memory.hidden
        for t in range(num_steps):
            states.append(self._envs.states()[:])
            rollout.situation_ids[t] = self._task.situation_ids(states[t])
            if on_step is not None:
                on_step(rollout.situation_ids[t])
            self._act(t)
        self._states = states[0].concat(states)
        rollout.last_values[:] = self._student.policy_and_value(
            self._envs.observe(), self._memory[:]
        )[1]
        if self._scale is not None:
            ended = rollout.terminated | rollout.truncated
            rollout.rewards[:] = self._scale.scaled(rollout.rewards, ended)
        return rollout

    def snapshot(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """What is needed to go on from here: arrays by name, and the rest as JSON has it."""
        memory: dict[str, NDArray[Any]] = {
            f"{_MEMORY}hidden": self._memory.hidden,
            f"{_MEMORY}previous": self._memory.previous,
        }
        return self._replay.snapshot(self._envs) | memory, {
            "rng": self._rng.bit_generator.state,
            "log": self.log.snapshot(),
            "reward_scale": None if self._scale is None else self._scale.snapshot(),
        }

    def restore(self, arrays: dict[str, NDArray[Any]], record: dict[str, Any]) -> None:
        """Go on from a snapshot: the environments replay their running episodes.

        Raises ReplayError where they cannot, KeyError, TypeError or ValueError for no snapshot.
        """
        self._memory = self._remembered(arrays)
        self._replay.restore(arrays, self._envs)
        self._rng.bit_generator.state = record["rng"]
        self.log.restore(record["log"])
        if self._scale is not None:
            self._scale.restore(record["reward_scale"])

    def _remembered(self, arrays: dict[str, NDArray[Any]]) -> RecurrentState:
        found = RecurrentState(arrays[f"{_MEMORY}hidden"], arrays[f"{_MEMORY}previous"])
        expected = self._memory
        for one, other in ((found.hidden, expected.hidden), (found.previous, expected.previous)):
            if one.shape != other.shape or one.dtype != other.dtype:
                raise ValueError("what it remembers is not this student's memory")
        if not (np.isfinite(found.hidden).all() and np.isfinite(found.previous).all()):
            raise ValueError("what it remembers is not finite")
        return found[:]

    def states(self) -> States:
        """The states of the last rollout: row t * N + i is environment i before step t.

        Raises RuntimeError before the first rollout.
        """
        if self._states is None:
            raise RuntimeError("nothing was collected yet")
        return self._states

    def _act(self, t: int) -> None:
        rollout, envs = self.rollout, self._envs
        observation = envs.observe()
        self.log.visit(rollout.situation_ids[t])
        rollout.previous[t] = self._memory.previous
        mask = envs.action_mask()
        params, values = self._student.policy_and_value(observation, self._memory, mask)
        actions, rollout.log_probs[t], rollout.greedy[t] = self._student.head.sample(
            params, self._rng
        )
        for key, buffer in rollout.observations.items():
            buffer[t] = observation[key]
        if rollout.mask is not None and mask is not None:
            rollout.mask[t] = mask
        rollout.actions[t], rollout.values[t] = actions, values
        rollout.params[t], rollout.episodes[t] = params, self._replay.episodes
        result = envs.step(actions)
        rollout.rewards[t] = result.rewards if result.discounted is None else result.discounted
        rollout.terminated[t], rollout.truncated[t] = result.terminated, result.truncated
        self._student.did(self._memory, actions)
        if result.final is not None:
            remembered = self._memory[result.truncated]
            rollout.final_values[t][result.truncated] = self._student.policy_and_value(
                result.final, remembered
            )[1]
        self._memory.forget(result.terminated | result.truncated)
        if result.durations is not None:
            if rollout.durations is None:
                rollout.durations = np.zeros_like(rollout.episodes)
            rollout.durations[t] = result.durations
        self.log.step(self._task, result)
        self._replay.step(actions, result.terminated | result.truncated)
