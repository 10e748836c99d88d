"""What travels through a graph: small, typed and serialisable. Everything heavy is context."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal, cast

from pydantic import TypeAdapter
from typing_extensions import TypedDict  # Pydantic reads this one before Python 3.12

from tutelage.rl.advice.advice import Advice
from tutelage.rl.tasks.base import Task, encode_plans
from tutelage.rl.teaching.teacher_check import TeacherCheck
from tutelage.rl.teaching.weight_schedule import WeightSchedule

Phase = Literal["teaching", "alone", "finished"]
"""With a teacher; after its removal, or without one from the start; done."""

Update = dict[str, Any]
"""What a node changes of the state."""

PlanRows = list[dict[str, Any]]
"""Advice as plain lists and strings (`Advice.to_json`)."""


class TeachState(TypedDict):
    """The state of a run between two nodes.

    iteration, env_steps: rollouts and environment steps done. until_iteration: where this call of
    the graph stops; paused: whether it does. phase: see `Phase`. situations: the situation ids that
    advice is wanted on, of the last rollout or ahead of it. missing: those without advice so far;
    unsettled: those that the planner could not answer. advice: what the teacher said, by situation
    id; stand_ins: what the fallback said in its place. teacher_weight: in force for the next
    update; weaning: where it stands (`rl.teaching.weight_schedule.Weaning`); trial: how good the
    teacher itself is (`rl.teaching.teacher_check.TeacherCheck`). teacher_removed_at_step: None
    while it teaches. train_success: share of successes among recent training episodes. steps_to_95,
    last_eval: the first of two consecutive evaluations at or above 0.95, and (steps, success) of
    the latest. report: the figures of this iteration, on their way to metrics.jsonl.
    """

    iteration: int
    env_steps: int
    until_iteration: int
    paused: bool
    phase: Phase
    situations: list[int]
    missing: list[int]
    unsettled: list[int]
    advice: dict[str, PlanRows]
    stand_ins: dict[str, PlanRows]
    teacher_weight: float
    weight_schedule: dict[str, Any]
    teacher_check: dict[str, Any]
    teacher_removed_at_step: int | None
    train_success: float | None
    steps_to_95: int | None
    last_eval: tuple[int, float] | None
    report: dict[str, float | None]


_STATE: Final = TypeAdapter(TeachState)


def checked_state(values: Mapping[str, Any], task: Task) -> TeachState:
    """A stored state's own values, known to be what the nodes expect.

    Raises KeyError, TypeError or ValueError where they are not, or where the advice is not about
    options of the task.
    """
    found = {name: values[name] for name in TeachState.__annotations__}
    # By way of JSON, which has no tuples: LangGraph's format has none either.
    state = _STATE.validate_json(json.dumps(found), strict=True)
    for advice in known_advice(state).values():
        encode_plans(task, advice.plans)
    WeightSchedule.model_validate(state["weight_schedule"])
    TeacherCheck.model_validate(state["teacher_check"])
    return state


def first_state(teacher_weight: float) -> TeachState:
    """The state in which a run begins."""
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
        advice={},
        stand_ins={},
        teacher_weight=teacher_weight,
        weight_schedule=WeightSchedule().model_dump(),
        teacher_check=TeacherCheck().model_dump(),
        teacher_removed_at_step=None if taught else 0,
        train_success=None,
        steps_to_95=None,
        last_eval=None,
        report={},
    )


def with_update(state: TeachState, update: Update) -> TeachState:
    """The state after a node has changed it, where no graph is between two nodes."""
    return cast(TeachState, {**state, **update})


def known_advice(state: TeachState) -> dict[int, Advice]:
    """The advice in force, by situation_id: the teacher's, else what stands in for it."""
    rows = {**state["stand_ins"], **state["advice"]}
    return {int(situation_id): Advice.from_json(plans) for situation_id, plans in rows.items()}
