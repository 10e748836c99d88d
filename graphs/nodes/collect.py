"""The node `collect`: the student acts alone for one rollout."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from langgraph.runtime import Runtime

from tutelage.graphs.config.events import Doing
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.runtime.recording import trace_texts
from tutelage.graphs.state import TeachState, Update
from tutelage.rl.tasks.arrays import IntArray


def collect(state: TeachState, runtime: Runtime[RunContext]) -> Update:
    """The student acts alone for one rollout; the situations that it met are noted."""
    context = runtime.context
    if state["iteration"] == 0:
        context.tell(Doing("the first rollout"))
    with context.timers.phase("collect"):
        rollout = context.collector.collect(_at_each_step(context, state))
        met, counts = np.unique(rollout.situation_ids, return_counts=True)
        situations = met.tolist()
    with context.timers.phase("record"):
        trace_texts(context, situations)
    return {
        "iteration": state["iteration"] + 1,
        "env_steps": state["env_steps"] + rollout.env_steps,
        "situations": situations,
        "visits": _with_visits(state, dict(zip(situations, counts.tolist(), strict=True))),
        "missing": [],
        "unsettled": [],
        "report": {},
    }


def _with_visits(state: TeachState, met: Mapping[int, int]) -> dict[int, int]:
    """The visits so far with those of a rollout, as long as there is a teacher to be asked."""
    before = state["visits"]
    if state["phase"] != "teaching":
        return before
    return before | {s: before.get(s, 0) + count for s, count in met.items()}


def _at_each_step(context: RunContext, state: TeachState) -> Callable[[IntArray], None]:
    """What happens at each step of a rollout, given the situation ids: it ends if the run is to
    stop.

    And where nothing is known yet, the teacher is asked as soon as a situation is met: it is going
    to be waited for, and its time runs while the rollout is made.
    """
    begins = state["iteration"] == 0 and state["teacher_weight"] > 0
    teacher = context.teacher if begins and not context.wait else None
    met: set[int] = set()

    def on_step(situation_ids: IntArray) -> None:
        context.leave_if_late()
        fresh = set() if teacher is None else set(situation_ids.tolist()) - met
        if teacher is not None and fresh:
            met.update(fresh)
            teacher.ask_ahead(sorted(fresh), state["iteration"] + 1)

    return on_step
