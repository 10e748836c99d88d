"""Writing down what happened: the graph's nodes hand it over, the run's trace keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.graphs.config.events import Advised
from tutelage.graphs.records.trace.records import (
    AdviceRecord,
    EventRecord,
    ExampleRecord,
    VisitRecord,
)
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.state import TeachState
from tutelage.rl.advice.decisions import Decision, options_at
from tutelage.rl.advice.labels import Labels, agreement
from tutelage.rl.rollouts.buffer import Rollout, flat
from tutelage.rl.rollouts.episodes import EpisodeOutcomes
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import States
from tutelage.rl.tasks.lookups import full_text
from tutelage.rl.tasks.plan_outcomes import PlanOutcome, PlanOutcomeTask
from tutelage.rl.tasks.spaces import space_to_json
from tutelage.rl.tasks.watching import Watchable
from tutelage.rl.tasks.wrappers import find_ability


def trace_texts(context: RunContext, situation_ids: Sequence[int]) -> None:
    """What the situations say that the trace does not have yet."""
    texts = {s: full_text(context.task, s) for s in situation_ids if context.trace.lacks(s)}
    context.trace.situations(texts)


def trace_answers(context: RunContext, state: TeachState, answers: Sequence[PlannerAnswer]) -> None:
    """Every request with all that went in and out, the advice that was made of it, every failure.

    Answers from the cache bring the requests of the run that stored them.
    """
    if not answers:
        return
    step = (state["iteration"], state["env_steps"])
    _tell_last(context, answers)
    with context.timers.phase("record"):
        # Some were asked in advance, about situations that no rollout has come to yet.
        trace_texts(context, [answer.situation_id for answer in answers])
        context.trace.calls(
            call.record(*step, _node(answer), answer.situation_id)
            for answer in answers
            for call in answer.calls
        )
        context.trace.advice(
            AdviceRecord(*step, a.situation_id, a.source, a.advice.to_json(), a.key)
            for a in answers
            if a.advice is not None
        )
        context.trace.events(
            EventRecord(*step, _node(a), a.failure, _whom(a), a.situation_id)
            for a in answers
            if a.failure is not None
        )
        happened = [] if context.teacher is None else context.teacher.take_events()
        context.trace.events(
            EventRecord(*step, "fallback", each.kind, each.message, each.situation_id)
            for each in happened
        )


def _tell_last(context: RunContext, answers: Sequence[PlannerAnswer]) -> None:
    """Tell watchers of one answer, the last that brought advice: nobody could read them all."""
    advised = [(each.situation_id, each.advice) for each in answers if each.advice is not None]
    if advised:
        situation_id, advice = advised[-1]
        context.tell(Advised(context.task.describe(situation_id), advice.hardened().plans[0]))


def _whom(answer: PlannerAnswer) -> str:
    """What was asked about, and where it was not the teacher that was asked, who was."""
    kind, _, who = answer.source.partition(":")
    return f"situation {answer.situation_id}" + (f", asked of {who}" if kind == "fallback" else "")


def _node(answer: PlannerAnswer) -> str:
    """The node that an answer was asked for, whichever takes it in."""
    kind = answer.source.partition(":")[0]
    return "planner" if kind == "model" else kind


@dataclass(frozen=True)
class Visits:
    """The visits of a rollout to each of its S situations, and the outcomes of episodes there.

    situations: int64 [S], ascending. Of the visits: visits, int64 [S], how many; coverage, advised,
    agreements: float64 [S], the sum of the coverage, how many had advice, and in how many of
    these the student did as advised. outcomes: of the episodes that ended, by situation id.
    """

    situations: IntArray
    visits: IntArray
    coverage: NDArray[np.float64]
    advised: NDArray[np.float64]
    agreements: NDArray[np.float64]
    outcomes: Mapping[int, EpisodeOutcomes]

    @property
    def agreement(self) -> float | None:
        """Over all advised steps, None where there are none."""
        return float(self.agreements.sum() / self.advised.sum()) if self.advised.any() else None

    def __iter__(self) -> Iterator[tuple[int, PlanOutcome]]:
        """Each situation with its steps, advice and episodes."""
        none = EpisodeOutcomes()
        columns = (self.situations, self.visits, self.coverage, self.agreements)
        for situation_id, visits, coverage, agreed in zip(
            *(c.tolist() for c in columns), strict=True
        ):
            outcome = self.outcomes.get(situation_id, none)
            yield (
                situation_id,
                PlanOutcome(visits, coverage, agreed, outcome.episodes, outcome.successes),
            )


def count_visits(context: RunContext, labels: Labels | None) -> Visits:
    """Count the last rollout's steps by their situations, and take its episodes from the log."""
    rollout = context.collector.rollout
    situation_ids = rollout.situation_ids.reshape(-1)
    situations = np.unique(situation_ids)
    which = np.searchsorted(situations, situation_ids)
    visits = np.bincount(which)
    sums = np.zeros((3, len(visits)))
    if labels is not None:
        kind = action_targets(context.task.action_space)
        agreed = agreement(kind, labels, flat(rollout.greedy))
        sums[:] = [
            np.bincount(which, each) for each in (labels.coverage, labels.coverage > 0, agreed)
        ]
    coverage, advised, agreements = sums
    outcomes = context.collector.log.take_outcomes()
    return Visits(situations, visits, coverage, advised, agreements, outcomes)


def trace_visits(context: RunContext, state: TeachState, visits: Visits) -> None:
    """Write a rollout's situations down."""
    context.trace.visits(
        VisitRecord(
            state["iteration"],
            situation_id,
            outcome.steps,
            outcome.carried_out / outcome.steps,
            outcome.agreed / advised if advised else None,
            outcome.episodes,
            outcome.successes,
        )
        for (situation_id, outcome), advised in zip(visits, visits.advised.tolist(), strict=True)
    )


def note_visits(context: RunContext, state: TeachState, visits: Visits) -> None:
    """Tell the task how its plans ended, where it keeps that for the teacher's look-ups."""
    if isinstance(context.task, PlanOutcomeTask):
        for situation_id, outcome in visits:
            if situation_id in state["advice"]:
                context.task.note(situation_id, outcome)


def trace_examples(context: RunContext, state: TeachState, visits: Visits) -> None:
    """A state of each situation of the last rollout that has too few drawn so far."""
    situation_ids = [s for s in visits.situations.tolist() if context.trace.wants_example(s)]
    if not situation_ids:
        return
    states, task, rollout = context.collector.states(), context.task, context.collector.rollout
    met = rollout.situation_ids.reshape(-1)
    rows = [int(np.flatnonzero(met == situation_id)[0]) for situation_id in situation_ids]
    decisions = _decisions(context, states, rows, situation_ids, rollout)
    num_envs = rollout.rewards.shape[1]
    watchable = find_ability(task, Watchable)
    context.trace.examples(
        ExampleRecord(
            state["iteration"],
            situation_id,
            row % num_envs,
            task.picture(states, row),
            None if watchable is None else watchable.inks(states, row),
            decision.to_json(),
        )
        for row, situation_id, decision in zip(rows, situation_ids, decisions, strict=True)
    )


def _decisions(
    context: RunContext,
    states: States,
    rows: list[int],
    situation_ids: list[int],
    rollout: Rollout,
) -> list[Decision]:
    """Some states of a rollout with the teacher's options and the student's policy there."""
    task, student = context.task, context.student
    steps, envs = np.divmod(rows, rollout.rewards.shape[1])
    policy: list[list[float]] = student.head.as_targets(rollout.params[steps, envs]).tolist()
    observed = {key: array[steps, envs] for key, array in rollout.observations.items()}
    space = space_to_json(task.action_space)
    return [
        Decision(
            space,
            task.action_names,
            options,
            # With a memory, it depends on what came before.
            None if student.network.memory_size else tuple(policy[i]),
            {key: array[i].tolist() for key, array in observed.items()},
        )
        for i, options in enumerate(options_at(task, states, rows, situation_ids))
    ]
