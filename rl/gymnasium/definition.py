"""What people write to teach an agent in a Gymnasium environment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike

from tutelage.rl.gymnasium.environments import EnvFacts, facts_of
from tutelage.rl.tasks.base import Episode
from tutelage.rl.tasks.options import Option, Plan

Info: TypeAlias = Mapping[str, Any]

_MOST_NUMBERS = 100
"""Of an array that is drawn as text."""


@dataclass(frozen=True)
class OptionStep:
    """What an option does in one state.

    action: an action of the environment's action space; None where the option cannot be carried out
        from here.
    finished: whether the option has nothing left to do here.
    std: Box only: how far the student may be from `action`, for each dimension or one for all; None
        for a quarter of half the width of the box. It is 5 % of half the width at least.
    probs: in the place of `action`: the probability of each action of a Discrete space, or a list
        of these for each part of a MultiDiscrete one.
    """

    action: Any = None
    finished: bool = False
    std: float | Sequence[float] | None = None
    probs: Sequence[float] | Sequence[Sequence[float]] | None = None


class TaskDefinition(ABC):
    """The methods of `rl.gymnasium.gym_task.GymTask`, which people derive from.

    In all of them `obs` is an observation as the environment gave it, not to be changed. `info`
    holds the keys of the environment's info that are in `info_keys`, as far as it gave them, and
    what `remember` returned as `info["memory"]`. What they return must depend on their arguments
    alone: they are called for recorded states, in any order.

    env: an id of Gymnasium's, or a class or function that makes an environment and takes no
        argument. normalise: whether observed vectors and rewards are normalised by their running
        means and variances. workers: the processes that environments are stepped in; 0 steps them
        in this one.

    notes: what the teacher is told of the environment, in Markdown.
    info_keys: the keys of the environment's info that the methods need.
    max_episode_steps: after so many steps an episode is truncated; None for the environment's own
        number, which an environment by an id has most often.
    action_names: what people see: of the actions of a Discrete space, the parts of a MultiDiscrete
        one, the dimensions of a Box; empty numbers them.
    default_steps: enough environment steps for a student to learn the task.
    """

    notes: str = ""
    info_keys: tuple[str, ...] = ()
    max_episode_steps: int | None = None
    action_names: tuple[str, ...] = ()
    default_steps: int = 100_000

    def __init__(
        self,
        env: str | type[gymnasium.Env[Any, Any]] | Callable[[], gymnasium.Env[Any, Any]],
        *,
        normalise: bool = True,
        workers: int = 0,
    ) -> None:
        self.env, self.normalise, self.workers = env, normalise, workers
        self._facts: EnvFacts | None = None

    @abstractmethod
    def situation(self, obs: Any, info: Info) -> str:
        """What the teacher is told of a state: lines `field: value`.

        It is asked once about each text, so few texts should stand for many states.
        """

    @abstractmethod
    def options(self, situation: str) -> Sequence[Option]:
        """The options on offer in a situation, in a fixed order; one at least."""

    @abstractmethod
    def run_option(self, option: Option, obs: Any, info: Info) -> OptionStep:
        """What an option does in a state."""

    def encode(self, obs: Any, info: Info) -> Any:  # noqa: ARG002 - for those who override it
        """What the student sees of a state: a value of `observation_space`."""
        return obs

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """The space of what `encode` returns; the environment's own."""
        return self.facts.observation_space

    def success(self, episode: Episode) -> bool:
        """Whether an episode reached the task's aim. `episode.info` is its last info."""
        return episode.terminated and episode.return_ > 0

    def remember(self, memory: Any, obs: Any, info: Info) -> Any:  # noqa: ARG002
        """What is to be known of an episode's past: a value that JSON has, made anew at each step.

        It is called with None and the first observation, then with what it returned and the next
        one after each step. `info` has no memory here.
        """
        return None

    def action_mask(self, obs: Any, info: Info) -> ArrayLike | None:  # noqa: ARG002
        """Which actions can be picked, bool [n]; of MultiDiscrete, part after part, [sum of nvec].

        None where all can.
        """
        return None

    def picture(self, obs: Any, info: Info) -> str:  # noqa: ARG002
        """A state drawn as text, for people and traces."""
        return _drawn(obs)

    def script(self, situation: str) -> Plan | None:  # noqa: ARG002
        """A good plan in a situation, for a teacher without a model; None for none."""
        return None

    def all_options(self) -> Sequence[Option]:
        """Every option that may ever be on offer, in a fixed order.

        Needed only where the student is to pick options itself (the graph `hierarchical`).
        """
        raise NotImplementedError

    @property
    def facts(self) -> EnvFacts:
        """What the environment says of itself, found out at first use.

        Raises UserError where it cannot be made.
        """
        if self._facts is None:
            self._facts = facts_of(self.env, self.max_episode_steps)
        return self._facts

    def overrides(self, method: str) -> bool:
        """Whether a method is not the default."""
        return getattr(type(self), method) is not getattr(TaskDefinition, method)


def _drawn(value: Any) -> str:
    """An observation as text: the numbers of small arrays, the shapes of large ones."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {_drawn(part)}" for key, part in value.items())
    if isinstance(value, np.ndarray):
        if value.size > _MOST_NUMBERS:
            return f"{value.dtype} {list(value.shape)}"
        return np.array2string(value, precision=3, suppress_small=True)
    return str(value)
