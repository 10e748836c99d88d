"""A state as a decision: what each option does there, and the student's policy.

The trace stores decisions as example states, and `watch` shows them. `advised` turns advice on the
situation into action probabilities; any student with the same observations can be run on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, cast

import numpy as np
from pydantic import Field, TypeAdapter

from tutelage.rl.advice.advice import Advice
from tutelage.rl.tasks.action_targets import ActionTargets, action_targets, column_names
from tutelage.rl.tasks.base import Observation, States, Task
from tutelage.rl.tasks.options import PADDING, Option
from tutelage.rl.tasks.spaces import ActionSpace, ObservationSpace, read_array, space_from_json

_MOST_TARGETS: Final = 65_536
"""No honest file has more numbers for an action."""

_Targets = tuple[Annotated[float, Field(allow_inf_nan=False)], ...]


@dataclass(frozen=True)
class OptionHere:
    """One option on offer in one state; see `rl.tasks.options.OptionActions`."""

    option: Option
    targets: _Targets
    feasible: bool
    finished: bool


@dataclass(frozen=True)
class Decision:
    """A state as teacher and student see it.

    action_space: as `rl.tasks.spaces.space_to_json` has it, by which targets are read.
    action_names: as in `rl.tasks.base.Task`. options: those on offer. student: the policy at that
    time as targets; None for a student with memory, whose policy depends on earlier states too.
    observation: what the student saw, nested lists of numbers by key. Raises ValueError where
    these do not fit together.
    """

    action_space: dict[str, Any]
    action_names: tuple[str, ...]
    options: tuple[OptionHere, ...]
    student: _Targets | None
    observation: dict[str, Any]

    def __post_init__(self) -> None:
        size = action_targets(self.space).size
        counts = {len(here.targets) for here in self.options}
        counts |= set() if self.student is None else {len(self.student)}
        if size > _MOST_TARGETS or not counts <= {size}:
            raise ValueError(f"actions have {size} targets, but there are {counts}")
        if len(column_names(self.space, self.action_names)) != size:
            raise ValueError(f"{len(self.action_names)} names are not those of the actions")

    @property
    def space(self) -> ActionSpace:
        """The action space."""
        space: Any = space_from_json(self.action_space)
        return cast("ActionSpace", space)  # any other has no targets

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the trace."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Decision:
        """The inverse of `to_json`. Raises ValueError for anything else."""
        return _DECISION.validate_python(value)

    def observed(self, space: ObservationSpace) -> Observation | None:
        """What the student saw, a batch of one; None where it is no observation of that space."""
        if set(self.observation) != set(space):
            return None
        try:
            seen = {key: read_array(self.observation[key], each) for key, each in space.items()}
        except (TypeError, ValueError):
            return None
        return {key: array[None] for key, array in seen.items()}


_DECISION: Final = TypeAdapter(Decision)


@dataclass(frozen=True)
class Advised:
    """Advice in one state. targets: pi_T(. | s), zero where the coverage is; coverage: m(s).

    steps: for each plan the index of its current option, None where it cannot be carried out.
    """

    targets: tuple[float, ...]
    coverage: float
    steps: tuple[int | None, ...]


def options_at(
    task: Task, states: States, rows: Sequence[int], situation_ids: Sequence[int]
) -> list[tuple[OptionHere, ...]]:
    """What the options on offer do in some of the states, in one call of the task.

    situation_ids: the situation of each of those rows.
    """
    offered = [task.options(situation_id) for situation_id in situation_ids]
    widest = max((len(options) for options in offered), default=0)
    codes = np.full((len(states), max(widest, 1)), PADDING, dtype=np.int64)
    for row, options in zip(rows, offered, strict=True):
        codes[row, : len(options)] = [task.encode(option) for option in options]
    done = task.act(codes, states)
    return [
        tuple(
            OptionHere(
                option.bare(),
                tuple(done.targets[row, k].tolist()),
                bool(done.feasible[row, k]),
                bool(done.finished[row, k]),
            )
            for k, option in enumerate(options)
        )
        for row, options in zip(rows, offered, strict=True)
    ]


def advised(advice: Advice, options: Sequence[OptionHere], kind: ActionTargets) -> Advised:
    """What advice says in one state: `rl.advice.labels.label` for a state that was kept.

    A plan's options that are not on offer are passed over. In a Box it is the mixture of all plans,
    of which a label is one.
    """
    here = {each.option: each for each in options}
    shares, targets = [], []
    steps: list[int | None] = []
    for plan, share in zip(advice.plans, advice.probs, strict=True):
        runnable = [
            i
            for i, option in enumerate(plan)
            if option in here and here[option].feasible and not here[option].finished
        ]
        steps.append(runnable[0] if runnable else None)
        if runnable:
            shares.append(share)
            targets.append(here[plan[runnable[0]]].targets)
    if not shares:
        return Advised((0.0,) * kind.size, 0.0, tuple(steps))
    mixed = kind.mix(np.array([shares]), np.array([targets]))[0]
    return Advised(tuple(mixed.tolist()), float(sum(shares)), tuple(steps))
