"""A state as a decision: what each option does there, and the student's policy.

The trace stores decisions as example states, and `watch` shows them. `advised` turns advice on the
situation into action probabilities; any student with the same observations can be run on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field, TypeAdapter

from tutelage.rl.advice.advice import Advice
from tutelage.rl.tasks.base import Observation, States, Task
from tutelage.rl.tasks.options import PADDING, Option


@dataclass(frozen=True)
class OptionHere:
    """One option on offer in one state; see `rl.tasks.options.OptionActions`."""

    option: Option
    probs: tuple[float, ...]
    feasible: bool
    finished: bool


@dataclass(frozen=True)
class Decision:
    """A state as teacher and student see it.

    actions: the primitive actions' names. options: those on offer. student: the policy at that
    time, a probability for each action; None for a student with memory, whose policy depends on
    earlier states too. codes: [H][W] below 256; features: [F], the student's observation.
    """

    actions: tuple[str, ...]
    options: tuple[OptionHere, ...]
    student: tuple[float, ...] | None
    codes: tuple[tuple[Annotated[int, Field(ge=0, le=255)], ...], ...]
    features: tuple[float, ...]

    def __post_init__(self) -> None:
        counts = {len(here.probs) for here in self.options}
        counts |= set() if self.student is None else {len(self.student)}
        if not self.actions or not counts <= {len(self.actions)}:
            raise ValueError(f"{len(self.actions)} actions, but {counts} probabilities")
        if len({len(line) for line in self.codes}) > 1:
            raise ValueError("its picture's lines differ in length")

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the trace."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Decision:
        """The inverse of `to_json`. Raises ValueError for anything else."""
        return _DECISION.validate_python(value)

    def observation(self) -> Observation:
        """What the student saw, a batch of one."""
        width = len(self.codes[0]) if self.codes else 0
        codes = np.array(self.codes, dtype=np.uint8).reshape(1, len(self.codes), width)
        return Observation(codes, np.array([self.features], dtype=np.float32))


_DECISION: Final = TypeAdapter(Decision)


@dataclass(frozen=True)
class Advised:
    """Advice in one state. probs: pi_T(a | s), zero where the coverage is; coverage: m(s).

    steps: for each plan the index of its current option, None where it cannot be carried out.
    """

    probs: tuple[float, ...]
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
                tuple(done.probs[row, k].tolist()),
                bool(done.feasible[row, k]),
                bool(done.finished[row, k]),
            )
            for k, option in enumerate(options)
        )
        for row, options in zip(rows, offered, strict=True)
    ]


def advised(advice: Advice, options: Sequence[OptionHere], num_actions: int) -> Advised:
    """What advice says in one state: `rl.advice.labels.label` for a state that was kept.

    A plan's options that are not on offer are passed over.
    """
    here = {each.option: each for each in options}
    mixed, coverage = np.zeros(num_actions), 0.0
    steps: list[int | None] = []
    for plan, share in zip(advice.plans, advice.probs, strict=True):
        runnable = [
            i
            for i, option in enumerate(plan)
            if option in here and here[option].feasible and not here[option].finished
        ]
        steps.append(runnable[0] if runnable else None)
        if runnable:
            coverage += share
            mixed += share * np.array(here[plan[runnable[0]]].probs)
    probs = mixed / coverage if coverage else mixed
    return Advised(tuple(probs.tolist()), coverage, tuple(steps))
