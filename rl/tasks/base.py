"""The seam between a task and everything above it.

A task is an environment together with what a teacher needs to talk about it: situations (as
integers and as text), options (named sub-policies) and what those do in a state. The graph, the
agents and the learner speak to the `Task` protocol only; `rl.minigrid` implements it for MiniGrid,
and `rl.gymnasium` for any Gymnasium environment that a `GymTask` describes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tutelage.rl.errors import UserError
from tutelage.rl.tasks.arrays import ActionArray, BoolArray, FloatArray, IntArray
from tutelage.rl.tasks.options import Option, OptionActions, Plan
from tutelage.rl.tasks.spaces import ActionSpace, ObservationSpace

Split = Literal["train", "evaluation"]

Rows = slice | IntArray | BoolArray
"""Which rows of a batch: a slice, row numbers int64 [n], or a mask bool [B]."""

Observation = Mapping[str, NDArray[Any]]
"""A batch of student observations: for each key of the task's observation space an array [B, ...]
of the space's shape and dtype."""


class Batch:
    """Base of dataclasses that hold a batch of B: each field an array [B, ...] or such a batch.

    A field may be None where the batch lacks it.
    """

    def __len__(self) -> int:
        return next(len(part) for part in self._parts().values() if part is not None)

    def __getitem__(self, rows: Rows) -> Self:
        """A copy of some of the rows, which stays as it is when this batch changes."""
        return type(self)(**{name: _copy(part, rows) for name, part in self._parts().items()})

    @classmethod
    def concat(cls, batches: Sequence[Self]) -> Self:
        """The rows of one batch or more, in their order."""
        parts = [batch._parts() for batch in batches]
        return cls(**{name: _concat([part[name] for part in parts]) for name in parts[0]})

    def _parts(self) -> dict[str, Any]:
        return vars(self)  # its fields: `dataclasses.fields` takes as long as copying them


def _copy(part: Any, rows: Rows) -> Any:
    # A slice of an array is a view of it; rows by number or mask are copied already.
    if isinstance(rows, slice) and isinstance(part, np.ndarray):
        return part[rows].copy()
    return None if part is None else part[rows]


def _concat(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return None if parts[0] is None else parts[0].concat(parts)


def select_rows(observation: Observation, rows: Rows) -> dict[str, NDArray[Any]]:
    """A copy of some of the rows of a batch of observations."""
    return {key: _copy(array, rows) for key, array in observation.items()}


def concat_rows(observations: Sequence[Observation]) -> dict[str, NDArray[Any]]:
    """The rows of one batch of observations or more, in their order."""
    return {k: np.concatenate([batch[k] for batch in observations]) for k in observations[0]}


@dataclass(frozen=True)
class Episode:
    """How one episode went. info: the last one of the environment, where the task hands it on."""

    return_: float
    length: int
    terminated: bool
    truncated: bool
    info: Mapping[str, Any] = field(default_factory=dict)


class States(Protocol):
    """A batch of states. What is in it only the task knows; a dataclass on `Batch` will do."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Rows, /) -> Self:
        """A copy of some of the rows, safe to keep."""

    @classmethod
    def concat(cls, batches: Sequence[Self], /) -> Self:
        """The rows of one batch or more, in their order."""


@dataclass(frozen=True)
class StepResult:
    """One step of a vector environment of N.

    rewards: float32 [N]; terminated, truncated: bool [N]. final: the last observations of the
        episodes that were truncated, in the order of `np.flatnonzero(truncated)`; needed to
        bootstrap their value. None where there are none.
    durations: int64 [N], the primitive steps that it took; None where it was one for all that
        were active. discounted: float32 [N], the rewards discounted within it; None where it was
        one.
    infos: the last info of each episode that ended, by environment; empty where no task needs it.
    """

    rewards: FloatArray
    terminated: BoolArray
    truncated: BoolArray
    final: Observation | None
    durations: IntArray | None = None
    discounted: FloatArray | None = None
    infos: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


class VectorEnv(Protocol):
    """N copies of a task's environment, stepped together; a finished episode restarts at once.

    Episode k of environment i is always the same level: its seed is a function of
    (run seed, split, i, k).
    """

    num_envs: int

    def reset(self, episodes: IntArray | None = None) -> None:
        """Start the next episode in every environment, or the given ones.

        episodes: int64 [N], a number for each environment; to go on where a run stopped.
        """

    def observe(self) -> Observation:
        """What the student sees now: a fresh batch of N, safe to keep."""

    def states(self) -> States:
        """The N current states. Valid until the next `step` or `reset`; `states()[:]` is kept."""

    def action_mask(self) -> BoolArray | None:
        """The discrete actions that can be picked now, bool [N, A]; None where all can, always."""

    def step(self, actions: ActionArray, active: BoolArray | None = None) -> StepResult:
        """Do one primitive action in each environment that is active.

        actions: [N, ...], as the task's action space has them. active: bool [N], None for all. One
        that is not active is left as it is, has reward 0 and does not end.
        """

    def close(self) -> None:
        """Release what the environments hold."""


class Task(Protocol):
    """An environment and what a teacher needs to talk about it.

    action_names: of the actions of a Discrete space, the parts of a MultiDiscrete one, the
        dimensions of a Box. masks_actions: whether its environments say which actions are allowed.
    normalise: whether observed vectors and rewards are to be normalised by their running means and
        variances. scored: whether the return tells how good an episode was, beyond its success.
    """

    name: str
    observation_space: ObservationSpace
    action_space: ActionSpace
    action_names: tuple[str, ...]
    masks_actions: bool
    normalise: bool
    scored: bool
    max_episode_steps: int
    default_steps: int

    def make_envs(self, num_envs: int, split: Split, seed: int) -> VectorEnv:
        """A vector environment whose seed stream is disjoint from the other split's."""

    def situation_ids(self, states: States) -> IntArray:
        """The id of each state's situation, int64 [B]. Hot: called at every step.

        An id means something in one run only: it may be handed out at first sight (`Remembers`).
        """

    def describe(self, situation_id: int) -> str:
        """The situation's canonical text; two situation ids never share one.

        What can be looked up (`LookupTask`) is left out of it. Raises KeyError or ValueError for an
        id that stands for none.
        """

    def read(self, text: str) -> int:
        """The inverse of `describe`, also for a text of another run.

        Where look-ups are switched on (`LookupTask`), what they tell may follow, as
        `rl.tasks.lookups.full_text` puts it; what is left out of that is taken as the task has it
        now. Raises ValueError for what is no situation's text.
        """

    def options(self, situation_id: int) -> tuple[Option, ...]:
        """The options on offer in a situation, in a fixed order."""

    def encode(self, option: Option) -> int:
        """The option's non-negative code. Raises ValueError for one the task does not know."""

    def act(self, options: IntArray, states: States) -> OptionActions:
        """What the coded options do in each state. options: int64 [B, K], padded with PADDING."""

    def success(self, episode: Episode) -> bool:
        """Whether the episode reached the task's aim."""

    def picture(self, states: States, row: int) -> str:
        """One state drawn as text, for people and traces."""


class Remembers(Protocol):
    """An optional part of a task: what it has met in a run, and a resume must know again."""

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON has it."""

    def restore(self, record: Mapping[str, Any]) -> None:
        """The inverse. Raises KeyError, TypeError or ValueError, having changed nothing."""


class MakesTask(Protocol):
    """What somebody's own class may be in place of a task: a description that makes one."""

    def as_task(self, name: str | None = None) -> Task:
        """The task. name: what people call it by, None for the description's own."""


class Noted(Protocol):
    """An optional part of a task: rules of its own for its teacher."""

    notes: str
    """A paragraph or more, in Markdown; empty for none."""


def notes_of(task: object) -> str:
    """The task's own rules (`Noted`), empty where it has none."""
    notes: str = getattr(task, "notes", "")
    return notes


class Viewed(Protocol):
    """An optional part of a task: what makes the student's view of its environment.

    A student's file holds it, so that the student can act where the task is not at hand.
    """

    view: Mapping[str, int]


def view_of(task: object) -> Mapping[str, int]:
    """The task's `Viewed.view`, empty where it has none."""
    view: Mapping[str, int] = getattr(task, "view", {})
    return view


class ListsOptions(Protocol):
    """An optional part of a task: lets a student pick its options (`rl.tasks.option_mdp`)."""

    def all_options(self) -> tuple[Option, ...]:
        """Every option that may ever be on offer, in a fixed order."""


class Rehearsed(Protocol):
    """An optional part of a task: its compiled code can be made in advance, by other processes."""

    def rehearsals(self) -> Sequence[Callable[[], None]]:
        """Calls that compile what a run will need, and leave it on the disk; none where it is.

        Each may run in a process of its own, for a task that was made anew there.
        """


class LookupTask(Protocol):
    """An optional part of a task: look-ups about its situations (`rl.tasks.lookups`).

    offered_lookups: a sentence for each name, saying what it tells. lookups: those switched on.
    """

    offered_lookups: Mapping[str, str]
    lookups: Sequence[str]

    def with_lookups(self, names: Sequence[str]) -> Task:
        """The same task with these look-ups switched on, their fields in its ids."""

    def look_up(self, name: str, situation_id: int) -> str:
        """What one that is switched on tells in a situation: lines `field: value`."""


def encode_plans(task: Task, plans: Sequence[Plan]) -> list[list[int]]:
    """The plans as lists of option codes. Raises ValueError for an option the task lacks."""
    return [[task.encode(option) for option in plan] for plan in plans]


class UnknownTaskError(UserError):
    """No task of that name, or one that cannot be made; the message says what is allowed."""
