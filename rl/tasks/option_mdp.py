"""A task whose actions are options: the student picks one, and it runs until it ends.

That makes a semi-Markov decision process of the task (Sutton, Precup & Singh 1999, "Between MDPs
and semi-MDPs", section 3): a choice that takes k primitive steps earns the sum of gamma^i r_i over
i = 0 .. k-1, and what follows is discounted by gamma^k. An option runs until it is finished or can
no longer be carried out, the episode ends, or a bound of steps is reached.

Actions are slots of a fixed table: every option that the task may ever offer, then its primitive
actions, each an option of one step. Options are allowed where they are on offer and can be carried
out; the primitive actions only where no option is, so that there is always something to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from gymnasium.spaces import Discrete

from tutelage.rl.errors import UserError
from tutelage.rl.tasks.arrays import ActionArray, BoolArray, IntArray
from tutelage.rl.tasks.base import (
    Batch,
    ListsOptions,
    Observation,
    Split,
    States,
    StepResult,
    Task,
    VectorEnv,
    concat_rows,
    select_rows,
)
from tutelage.rl.tasks.options import PADDING, OptionActions
from tutelage.rl.tasks.seeding import EpisodeDraws, pick
from tutelage.rl.tasks.wrappers import TaskWrapper, find_ability

IDLE: Final = -1
"""Stands for the action of an environment that was not stepped."""


@dataclass(frozen=True)
class OptionStates(Batch):
    """States in which an option is picked, and what the options can do there.

    inner: the states of the task inside; situation_ids: int64 [B]; feasible: bool [B, K], on offer
    and possible; finished: bool [B, K].
    """

    inner: States
    situation_ids: IntArray
    feasible: BoolArray
    finished: BoolArray

    @property
    def allowed(self) -> BoolArray:
        """The options that can be picked, bool [B, K]."""
        return self.feasible & ~self.finished


class NoOptionsError(UserError):
    """The task lists no options, or has actions of another kind; the message is one line."""


class OptionTask(TaskWrapper):
    """A task as it looks to a student that picks options.

    gamma: the discount of a primitive step; max_option_steps: where an option is cut off. Raises
    NoOptionsError for a task that has no `all_options` or whose action space is not Discrete.
    """

    masks_actions = True

    def __init__(self, task: Task, gamma: float, max_option_steps: int) -> None:
        super().__init__(task)
        listing = find_ability(task, ListsOptions)
        if listing is None:
            raise NoOptionsError(
                f"env = {task.name!r}: the student is to pick options, and the task does not list "
                f"them; needed: a method all_options (rl/tasks/base.py)"
            )
        if not isinstance(task.action_space, Discrete):
            raise NoOptionsError(
                f"env = {task.name!r}: the student is to pick options, and the task's actions are "
                f"{task.action_space}; needed: a Discrete action space"
            )
        self._gamma, self._bound = gamma, max_option_steps
        self.table: Final = tuple(listing.all_options())
        self.codes = np.array([task.encode(option) for option in self.table], dtype=np.int64)
        self._slots = np.full(self.codes.max() + 1, PADDING, dtype=np.int64)
        self._slots[self.codes] = np.arange(len(self.table))
        self.action_names = tuple(str(option) for option in self.table) + task.action_names
        self.action_space = Discrete(len(self.action_names))

    def make_envs(self, num_envs: int, split: Split, seed: int) -> OptionEnvs:
        envs = self.task.make_envs(num_envs, split, seed)
        return OptionEnvs(self, envs, EpisodeDraws(num_envs, split, seed), self._gamma, self._bound)

    def inner_states(self, states: States) -> States:
        return _own(states).inner

    def situation_ids(self, states: States) -> IntArray:
        return _own(states).situation_ids

    def act(self, options: IntArray, states: States) -> OptionActions:
        """An option's action is itself: advice on options is advice on the student's actions."""
        own = _own(states)
        slots = np.where(options == PADDING, PADDING, self._slots[options])
        known = np.maximum(slots, 0)
        feasible = np.take_along_axis(own.feasible, known, 1) & (slots != PADDING)
        finished = np.take_along_axis(own.finished, known, 1) & (slots != PADDING)
        targets = np.zeros((*options.shape, len(self.action_names)), dtype=np.float32)
        np.put_along_axis(targets, known[:, :, None], (feasible & ~finished)[:, :, None], 2)
        return OptionActions(targets, feasible, finished)


class OptionEnvs:
    """N environments in which a step is an option, carried out from its start to its end.

    Environments whose option has ended wait for the others. All that options draw at random is a
    function of the episode and the step, so that an episode can be played again. carried_out: the
    primitive actions of the last step, int64 [N] each, IDLE where an option had ended.
    """

    def __init__(
        self, task: OptionTask, envs: VectorEnv, draws: EpisodeDraws, gamma: float, bound: int
    ) -> None:
        self.num_envs = envs.num_envs
        self._task, self._envs, self._draws = task, envs, draws
        self._gamma, self._bound = gamma, bound
        self.carried_out: list[IntArray] = []
        self._offers: dict[int, BoolArray] = {}
        self._now: OptionStates | None = None

    def reset(self, episodes: IntArray | None = None) -> None:
        self._envs.reset(episodes)
        self._draws.reset(episodes)
        self._now = None

    def observe(self) -> Observation:
        return self._envs.observe()

    def action_mask(self) -> BoolArray:
        """The actions that can be picked, bool [N, K + A]: options, else the primitive ones."""
        options = self.states().allowed
        primitive = np.zeros((self.num_envs, len(self._task.task.action_names)), dtype=np.bool_)
        primitive[~options.any(axis=1)] = True
        mask = self._envs.action_mask()
        return np.hstack((options, primitive if mask is None else primitive & mask))

    def states(self) -> OptionStates:
        if self._now is None:
            inner, task = self._envs.states(), self._task.task
            situation_ids = task.situation_ids(inner)
            done = task.act(np.tile(self._task.codes, (self.num_envs, 1)), inner)
            offered = np.stack([self._offered(int(situation_id)) for situation_id in situation_ids])
            feasible = done.feasible & offered
            self._now = OptionStates(inner, situation_ids, feasible, done.finished)
        return self._now

    def step(self, actions: ActionArray, active: BoolArray | None = None) -> StepResult:
        """Carry out the picked options. Raises ValueError for one that is not allowed."""
        running = np.ones(self.num_envs, dtype=np.bool_) if active is None else active.copy()
        if not self.action_mask()[running, actions[running]].all():
            raise ValueError("an option was picked that is not on offer or cannot be carried out")
        outcome = _Outcome(self.num_envs)
        self.carried_out = []
        num_options = len(self._task.table)
        options = np.where(actions < num_options, self._task.codes[actions % num_options], PADDING)
        for step in range(self._bound):
            done = self._task.task.act(
                np.where(running, options, PADDING)[:, None], self._envs.states()
            )
            if step > 0:
                running &= done.feasible[:, 0] & ~done.finished[:, 0]
            if not running.any():
                break
            chosen = pick(done.targets[:, 0], self._draws.uniform())
            primitive = np.where(actions < num_options, chosen, actions - num_options)
            self.carried_out.append(np.where(running, primitive, IDLE))
            result = self._envs.step(primitive, running)
            outcome.add(result, running, self._gamma)
            ended = result.terminated | result.truncated
            self._draws.step(running, ended)
            running &= ~ended
        self._now = None
        return outcome.result()

    def close(self) -> None:
        self._envs.close()

    def _offered(self, situation_id: int) -> BoolArray:
        """Which options of the table are on offer in a situation, bool [K]."""
        if situation_id not in self._offers:
            offered = set(self._task.task.options(situation_id))
            self._offers[situation_id] = np.array([o in offered for o in self._task.table])
        return self._offers[situation_id]


class _Outcome:
    """The outcome of the options of N environments, summed over their primitive steps."""

    def __init__(self, num_envs: int) -> None:
        self._rewards, self._discounted = np.zeros((2, num_envs))
        self._durations = np.zeros(num_envs, dtype=np.int64)
        self._terminated, self._truncated = np.zeros((2, num_envs), dtype=np.bool_)
        self._finals: dict[int, Observation] = {}
        self._infos: dict[int, Mapping[str, Any]] = {}

    def add(self, result: StepResult, running: BoolArray, gamma: float) -> None:
        """Count a primitive step of the environments that are running."""
        self._rewards += result.rewards
        self._discounted += gamma**self._durations * result.rewards
        self._durations += running
        self._terminated |= result.terminated
        self._truncated |= result.truncated
        self._infos |= result.infos
        if result.final is not None:
            for row, env in enumerate(np.flatnonzero(result.truncated)):
                self._finals[int(env)] = select_rows(result.final, slice(row, row + 1))

    def result(self) -> StepResult:
        """The outcome as one step."""
        finals = [self._finals[env] for env in sorted(self._finals)]
        return StepResult(
            self._rewards.astype(np.float32),
            self._terminated,
            self._truncated,
            concat_rows(finals) if finals else None,
            self._durations,
            self._discounted.astype(np.float32),
            self._infos,
        )


def _own(states: States) -> OptionStates:
    if not isinstance(states, OptionStates):
        raise TypeError(f"options are picked in states of an OptionTask, not in {type(states)}")
    return states
