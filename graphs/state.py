"""What travels through a graph: typed, small, and kept in the run's checkpoints as JSON.

Networks, environments and stores are no part of it: they hang on the context
(`graphs.runtime.context`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Any, Final, Literal, cast

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict  # Pydantic reads this one before Python 3.12

from tutelage.rl.advice.advice import Advice
from tutelage.rl.tasks.base import Task, encode_plans
from tutelage.rl.teaching.success_counts import Count
from tutelage.rl.teaching.teacher_check import TeacherCheck
from tutelage.rl.teaching.weight_schedule import WeightSchedule

Phase = Literal["teaching", "alone", "finished"]
"""With a teacher; after its removal, or without one from the start; done."""

Finite = Annotated[float, Field(allow_inf_nan=False)]

Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]

Update = dict[str, Any]
"""What a node changes of the state."""


class TeachState(TypedDict):
    """The state of a run between two nodes.

    iteration, env_steps: rollouts and environment steps done.
    until_iteration: where this call of the graph stops; paused: whether it has come there.
    phase: see `Phase`.
    situations: the ids of the situations that advice is wanted on, those of the last rollout or
        those that lie ahead of it. missing: those of them that have no advice yet. unsettled: those
        that the planner could not answer.
    visits: the student's steps in each situation while it is taught, by situation id.
    advice: the teacher's, by situation id. stand_ins: what the fallback advised in its place.
    teacher_weight: the weight in force for the next update. weight_schedule: its schedule's own
        state. teacher_check: what is known of the teacher's worth.
    paused_s: for how many seconds training has paused for a teacher that had said nothing yet.
    advised_steps: the environment steps that were learned from with advice that was followed.
    teacher_removed_at_step: in environment steps; None while it teaches.
    train_success: the share of successes among recent training episodes; None before there are
        enough.
    last_eval: (environment steps, success rate) of the latest evaluation. steps_to_95: the first of
        two consecutive evaluations at or above 0.95, in environment steps.
    report: this iteration's figures, on their way to metrics.jsonl.
    """

    iteration: Count
    env_steps: Count
    until_iteration: Count
    paused: bool
    phase: Phase
    situations: list[int]
    missing: list[int]
    unsettled: list[int]
    visits: dict[int, Count]
    advice: dict[int, Advice]
    stand_ins: dict[int, Advice]
    teacher_weight: Finite
    weight_schedule: WeightSchedule
    teacher_check: TeacherCheck
    paused_s: Seconds
    advised_steps: Count
    teacher_removed_at_step: Count | None
    train_success: Finite | None
    steps_to_95: Count | None
    last_eval: tuple[Count, Finite] | None
    report: dict[str, float | None]


_STATE: Final = TypeAdapter(TeachState)


def first_state(teacher_weight: float) -> TeachState:
    """The state in which a run begins. teacher_weight: 0 for a run without a teacher."""
    taught = teacher_weight > 0
    return TeachState(
        iteration=0,
        env_steps=0,
        until_iteration=0,
        paused=False,
        phase="teaching" if taught else "alone",
        situations=[],
        missing=[],
        unsettled=[],
        visits={},
        advice={},
        stand_ins={},
        teacher_weight=teacher_weight,
        weight_schedule=WeightSchedule(),
        teacher_check=TeacherCheck(),
        paused_s=0.0,
        advised_steps=0,
        teacher_removed_at_step=None if taught else 0,
        train_success=None,
        steps_to_95=None,
        last_eval=None,
        report={},
    )


def to_record(state: TeachState) -> dict[str, Any]:
    """The state as JSON has it, for a checkpoint."""
    record: dict[str, Any] = _STATE.dump_python(state, mode="json")
    return record


def from_record(record: Mapping[str, Any], task: Task) -> TeachState:
    """The inverse of `to_record`, checked.

    task: with all that it remembers restored. Raises ValueError or TypeError for what is no state,
    or which speaks of situations or options that the task does not know.
    """
    # By way of JSON, in which Pydantic's strict mode takes lists for tuples and texts for keys.
    state = _STATE.validate_json(json.dumps(record), strict=True)
    for situation_id in _situations_in(state):
        try:
            task.describe(situation_id)
        except KeyError as error:
            raise ValueError(f"there is no situation {situation_id}") from error
    for advice in advice_in_force(state).values():
        encode_plans(task, advice.plans)
    return state


def _situations_in(state: TeachState) -> set[int]:
    """The ids of all situations that a state speaks of."""
    check = state["teacher_check"]
    listed = (state[name] for name in ("situations", "missing", "unsettled", "advice", "stand_ins"))
    of_check = (check.rejected, check.ahead, map(int, check.met), map(int, check.mixed))
    return set(chain(*listed, state["visits"], *of_check))


def with_update(state: TeachState, update: Update) -> TeachState:
    """The state after a node has changed it, where no graph is between two nodes."""
    return cast(TeachState, {**state, **update})


def covered_share(state: TeachState) -> float | None:
    """The share of the student's steps in situations with an answer, late ones included.

    Of its steps while it was taught; None before the first.
    """
    visits = state["visits"]
    answered = state["advice"].keys() | state["stand_ins"].keys()
    total = sum(visits.values())
    return sum(visits.get(s, 0) for s in answered) / total if total else None


def advice_in_force(state: TeachState) -> dict[int, Advice]:
    """The advice by situation id: the teacher's, else what stands in for it."""
    return {**state["stand_ins"], **state["advice"]}
