"""The seam between a task and everything above it.

A task is an environment together with what a teacher needs to talk about it: situations (as
integers and as text), options (named sub-policies) and their action labels. The graph, the agents
and the learner speak to the `Task` protocol only; `rl.minigrid` implements it for MiniGrid, and
your own environment can implement it too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, Self

import numpy as np
from pydantic import Field

from tutelage.rl.errors import UserError
from tutelage.rl.tasks.arrays import BoolArray, CodeArray, FloatArray, IntArray
from tutelage.rl.tasks.options import Option, OptionActions, Plan

Split = Literal["train", "evaluation"]

Rows = slice | IntArray | BoolArray
"""Which rows of a batch: a slice, row numbers int64 [n], or a mask bool [B]."""

IDLE = -1
"""The action that leaves an environment of a vector as it is: it is not stepped."""


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


@dataclass(frozen=True)
class ObservationSpec:
    """What the student sees: a picture of category codes and a vector of features.

    Either part may be empty (`height == 0` or `features == 0`).

    attributes: what each code is made of, such as (kind, colour), as small numbers from 0; one row
    for each code, all of the same length. Codes that share an attribute share weights. Empty: each
    code has weights of its own. slots: the number of actions where each observation says which are
    allowed; 0 where all are, always. Raises ValueError for other rows of attributes. The bounds are
    those of a policy's file, where they are checked.
    """

    height: Annotated[int, Field(ge=0, le=255)]
    width: Annotated[int, Field(ge=0, le=255)]
    num_codes: Annotated[int, Field(ge=0, le=256)]
    features: Annotated[int, Field(ge=0, le=65_536)]
    attributes: tuple[tuple[Annotated[int, Field(ge=0, le=255)], ...], ...] = ()
    slots: Annotated[int, Field(ge=0, le=4096)] = 0

    def __post_init__(self) -> None:
        lengths = {len(row) for row in self.attributes}
        if self.attributes and (
            len(self.attributes) != self.num_codes or len(lengths) > 1 or 0 in lengths
        ):
            raise ValueError("attributes must have a row for each code, all of one length")


@dataclass
class Observation(Batch):
    """A batch of student observations.

    codes: uint8 [B, height, width], category codes below `ObservationSpec.num_codes`. features:
    float32 [B, features], roughly within -1..1. allowed: bool [B, slots], the actions that can be
    picked; None where all can.
    """

    codes: CodeArray
    features: FloatArray
    allowed: BoolArray | None = None


@dataclass(frozen=True)
class Episode:
    """How one episode went."""

    return_: float
    length: int
    terminated: bool
    truncated: bool


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
    episodes that were truncated, in the order of
        `np.flatnonzero(truncated)`; needed to bootstrap their value. None where there are none.
    durations: int64 [N], the primitive steps that it took; None where it was one for all that were
        not idle. discounted: float32 [N], the rewards discounted within it; None where it was one.
    """

    rewards: FloatArray
    terminated: BoolArray
    truncated: BoolArray
    final: Observation | None
    durations: IntArray | None = None
    discounted: FloatArray | None = None


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

    def step(self, actions: IntArray) -> StepResult:
        """Do one primitive action in each environment, or none where it is IDLE.

        actions: int64 [N]. An idle environment has reward 0 and does not end.
        """

    def close(self) -> None:
        """Release what the environments hold."""


class Task(Protocol):
    """An environment and what a teacher needs to talk about it."""

    name: str
    action_names: tuple[str, ...]
    observation_spec: ObservationSpec
    max_episode_steps: int
    default_steps: int

    def make_envs(self, num_envs: int, split: Split, seed: int) -> VectorEnv:
        """A vector environment whose seed stream is disjoint from the other split's."""

    def situation_ids(self, states: States) -> IntArray:
        """The compact key of each state's situation, int64 [B]. Hot: called at every step."""

    def describe(self, situation_id: int) -> str:
        """The situation's canonical text; two situation ids never share one.

        What can be looked up (`LookupTask`) is left out of it.
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


class Noted(Protocol):
    """An optional part of a task: rules of its own for its teacher."""

    notes: str
    """A paragraph or more, in Markdown; empty for none."""


def notes_of(task: object) -> str:
    """The task's own rules (`Noted`), empty where it has none."""
    notes: str = getattr(task, "notes", "")
    return notes


class ListsOptions(Protocol):
    """An optional part of a task: lets a student pick its options (`rl.tasks.option_mdp`)."""

    def all_options(self) -> tuple[Option, ...]:
        """Every option that may ever be on offer, in a fixed order."""


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
