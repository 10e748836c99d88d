"""The adapter: what people wrote of a Gymnasium environment as a `Task` of the seam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete, Space

from tutelage.rl.errors import TaskCodeError, one_line
from tutelage.rl.gymnasium.actions import Actions, actions_of
from tutelage.rl.gymnasium.calls import MEMORY, TaskCalls, is_option, is_situation
from tutelage.rl.gymnasium.definition import TaskDefinition
from tutelage.rl.gymnasium.environments import Environments, LocalEnvironments
from tutelage.rl.gymnasium.errors import (
    failure,
)
from tutelage.rl.gymnasium.spares import SpareEnvironments
from tutelage.rl.gymnasium.vector import GymStates, GymVectorEnv
from tutelage.rl.gymnasium.workers import WorkerEnvironments
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import Episode, Split, States
from tutelage.rl.tasks.numbering import Numbering
from tutelage.rl.tasks.observations import ObservationEncoder
from tutelage.rl.tasks.options import PADDING, Option, OptionActions, Plan
from tutelage.rl.tasks.scripts import PlanScript, Script
from tutelage.rl.tasks.spaces import SpaceError, WrongValueError


class GymnasiumTask:
    """A `Task` made of a user's definition of it.

    Situations and options get their numbers at first sight: `snapshot` has them. Raises UserError
    where the environment cannot be made or has spaces that no student can see or act in.
    """

    scored = True

    def __init__(self, definition: TaskDefinition, name: str) -> None:
        _check_attributes(definition)
        facts = definition.facts
        self._definition = definition
        self._actions = actions_of(facts.action_space)
        self._encoder = ObservationEncoder(_observation_space(definition))
        self._calls = TaskCalls(definition, self._actions, self._encoder)
        if self._calls.masks and not isinstance(self._actions.space, Discrete | MultiDiscrete):
            raise SpaceError(f"{type(definition).__name__}.action_mask: a Box has no masks")
        self.name = name
        self.observation_space, self.action_space = (
            self._encoder.observation_space,
            self._actions.space,
        )
        self.action_names = _action_names(definition, self._actions)
        self.masks_actions = self._calls.masks
        self.normalise, self.notes = definition.normalise, definition.notes
        self.max_episode_steps = facts.max_episode_steps
        self.default_steps = definition.default_steps
        self.all_options: Callable[[], tuple[Option, ...]] | None = None
        if definition.overrides("all_options"):
            self.all_options = self._calls.all_options
        script = PlanScript(self._plan) if definition.overrides("script") else None
        self.teacher_script: Script | None = script
        self._spares = SpareEnvironments(partial(_environments, definition))
        self._situations: Numbering[str] = Numbering()
        self._options: Numbering[Option] = Numbering()
        self._offered: dict[int, tuple[Option, ...]] = {}

    def make_envs(self, num_envs: int, split: Split, seed: int) -> GymVectorEnv:
        return GymVectorEnv(
            self._calls, self._actions, self._encoder, self._spares, num_envs, split, seed
        )

    def situation_ids(self, states: States) -> IntArray:
        situations = [self._situation_id(self._calls.situation(s)) for s in _ours(states).rows()]
        return np.array(situations, dtype=np.int64)

    def describe(self, situation_id: int) -> str:
        return self._situations.key(situation_id)

    def read(self, text: str) -> int:
        return self._situation_id(text)

    def options(self, situation_id: int) -> tuple[Option, ...]:
        offered = self._offered.get(situation_id)
        if offered is None:
            offered = self._calls.options(self._situations.key(situation_id))
            for option in offered:
                self._options.number(option)
            self._offered[situation_id] = offered
        return offered

    def encode(self, option: Option) -> int:
        try:
            return self._options.known(option)
        except KeyError:
            raise ValueError(f"{option} was on offer in no situation so far") from None

    def act(self, options: IntArray, states: States) -> OptionActions:
        """Raises KeyError for a code that stands for no option."""
        targets = np.zeros((*options.shape, self._actions.size), dtype=np.float32)
        feasible, finished = np.zeros((2, *options.shape), dtype=np.bool_)
        for row, (codes, state) in enumerate(
            zip(options.tolist(), _ours(states).rows(), strict=True)
        ):
            mask = self._calls.mask(state)
            places: dict[int, int] = {PADDING: -1}
            for place, code in enumerate(codes):
                known = places.setdefault(code, place)
                if known == place:
                    feasible[row, place], finished[row, place] = self._calls.run_option(
                        self._options.key(code), state, mask, targets[row, place]
                    )
                elif known >= 0:  # plans have options in common
                    for of_all in (targets, feasible, finished):
                        of_all[row, place] = of_all[row, known]
        return OptionActions(targets, feasible, finished)

    def success(self, episode: Episode) -> bool:
        return self._calls.success(episode)

    def picture(self, states: States, row: int) -> str:
        return self._calls.picture(_ours(states).row(row))

    def snapshot(self) -> dict[str, Any]:
        options = self._options.keys()
        return {
            "situations": list(self._situations.keys()),
            "options": [[o.name, o.target] for o in options],
        }

    def restore(self, record: Mapping[str, Any]) -> None:
        texts, pairs = record["situations"], record["options"]
        if not isinstance(texts, list) or not all(map(is_situation, texts)):
            raise TypeError("situations are a list of texts")
        if not isinstance(pairs, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and is_option(*pair) for pair in pairs
        ):
            raise TypeError("options are a list of names and targets")
        situations = Numbering(texts)
        options = Numbering(Option(name, target) for name, target in pairs)
        self._situations, self._options, self._offered = situations, options, {}

    def _plan(self, situation: str) -> Plan | None:
        """What the task's script says. Raises TaskCodeError, also for an option not on offer."""
        try:
            offered = self.options(self._situations.known(situation))
        except KeyError:  # a text that no state has had
            offered = None
        return self._calls.script(situation, offered)

    def _situation_id(self, text: str) -> int:
        try:
            return self._situations.known(text)
        except KeyError:
            self._calls.check_situation(text)
            return self._situations.number(text)


def _environments(definition: TaskDefinition, num_envs: int) -> Environments:
    """So many environments, in this process or in others. Raises UserError."""
    make, keys = definition.facts.make, definition.info_keys
    workers = min(definition.workers, num_envs)
    if workers:
        return WorkerEnvironments(make, num_envs, keys, workers)
    return LocalEnvironments(make, num_envs, keys)


def _check_attributes(definition: TaskDefinition) -> None:
    """Raises TaskCodeError for what a class says of itself that cannot be."""
    name = type(definition).__name__
    if not hasattr(definition, "env"):
        raise TaskCodeError(f"{name}.__init__ does not call super().__init__(env)")
    keys = definition.info_keys
    if not isinstance(keys, list | tuple) or not all(isinstance(key, str) for key in keys):
        raise TaskCodeError(f"{name}.info_keys must be a tuple of texts")
    if MEMORY in keys:
        raise TaskCodeError(f"{name}.info_keys: {MEMORY!r} is what `remember` returns")
    if not isinstance(definition.notes, str):
        raise TaskCodeError(f"{name}.notes must be a text")
    counts = {"workers": 0, "default_steps": 1}
    counts |= {} if definition.max_episode_steps is None else {"max_episode_steps": 1}
    for attribute, least in counts.items():
        count = getattr(definition, attribute)
        if not isinstance(count, int) or count < least:
            raise TaskCodeError(f"{name}.{attribute} must be an integer of {least} at least")


def _observation_space(definition: TaskDefinition) -> Space[Any]:
    """Raises TaskCodeError."""
    try:
        space = definition.observation_space
        if not isinstance(space, Space):
            raise WrongValueError(f"it returned {one_line(repr(space))}, which is no space")
        return space
    except Exception as error:
        raise failure(type(definition), "observation_space", error) from error


def _action_names(definition: TaskDefinition, actions: Actions) -> tuple[str, ...]:
    """The task's own names, or numbers. Raises TaskCodeError."""
    names = tuple(definition.action_names) or actions.names
    if len(names) != len(actions.names) or len(set(names)) < len(names):
        raise TaskCodeError(
            f"{type(definition).__name__}.action_names must be {len(actions.names)} different texts"
        )
    return names


def _ours(states: States) -> GymStates:
    if not isinstance(states, GymStates):
        raise TypeError(f"a Gymnasium task takes its own states, not {type(states)}")
    return states
