"""Writing down what happened: the graph's nodes hand it over, the run's trace keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage.agents.client.records import PlannerAnswer
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
from tutelage.rl.policy.policy import Student, softmax
from tutelage.rl.rollouts.buffer import Rollout
from tutelage.rl.rollouts.episodes import Passage
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import Observation, States
from tutelage.rl.tasks.lookups import full_text
from tutelage.rl.tasks.plan_outcomes import RecordedTask, Tally
from tutelage.rl.tasks.watching import Watchable


def trace_texts(context: RunContext, signatures: Sequence[int]) -> None:
    """What the situations say that the trace does not have yet."""
    texts = {s: full_text(context.task, s) for s in signatures if context.trace.lacks(s)}
    context.trace.situations(texts)


def trace_answers(context: RunContext, state: TeachState, answers: Sequence[PlannerAnswer]) -> None:
    """Every request with all that went in and out, the advice that came of it, every failure.

    Answers from the cache bring the requests of the run that stored them.
    """
    if not answers:
        return
    step = (state["iteration"], state["env_steps"])
    with context.timers.phase("record"):
        # Some were asked in advance, about situations that no rollout has come to yet.
        trace_texts(context, [answer.signature for answer in answers])
        context.trace.calls(
            call.record(*step, _node(answer)) for answer in answers for call in answer.calls
        )
        context.trace.advice(
            AdviceRecord(*step, a.signature, a.source, a.advice.to_json(), a.key)
            for a in answers
            if a.advice is not None
        )
        context.trace.events(
            EventRecord(*step, _node(a), a.failure, _whom(a), a.signature)
            for a in answers
            if a.failure is not None
        )
        news = [] if context.teacher is None else context.teacher.take_news()
        context.trace.events(
            EventRecord(*step, "fallback", each.kind, each.message, each.signature) for each in news
        )


def _whom(answer: PlannerAnswer) -> str:
    """What was asked about, and where it was not the teacher that was asked, who was."""
    kind, _, who = answer.source.partition(":")
    return f"situation {answer.signature}" + (f", asked of {who}" if kind == "fallback" else "")


def _node(answer: PlannerAnswer) -> str:
    """The node that an answer was asked for, whichever takes it in."""
    kind = answer.source.partition(":")[0]
    return "planner" if kind == "model" else kind


@dataclass(frozen=True)
class Visits:
    """What a rollout was in each of its S situations, and what became of the episodes there.

    situations: int64 [S], ascending. Of the visits: visits, int64 [S], how many; mass, advised,
    agreements: float64 [S], the sum of m(s), how many had advice, and in how many of these the
    student did as advised. passages: of the episodes that ended.
    """

    situations: IntArray
    visits: IntArray
    mass: NDArray[np.float64]
    advised: NDArray[np.float64]
    agreements: NDArray[np.float64]
    passages: Mapping[int, Passage]

    @property
    def agreement(self) -> float | None:
        """Over all advised steps, None where there are none."""
        return float(self.agreements.sum() / self.advised.sum()) if self.advised.any() else None

    def __iter__(self) -> Iterator[tuple[int, Tally]]:
        """The situations, and what came of each."""
        none = Passage()
        columns = (self.situations, self.visits, self.mass, self.agreements)
        for signature, visits, mass, agreed in zip(*(c.tolist() for c in columns), strict=True):
            passage = self.passages.get(signature, none)
            yield signature, Tally(visits, mass, agreed, passage.episodes, passage.successes)


def count_visits(context: RunContext, labels: Labels | None) -> Visits:
    """Count the last rollout's steps by their situations; the passages are taken from the log."""
    rollout = context.collector.rollout
    signatures = rollout.signatures.reshape(-1)
    situations = np.unique(signatures)
    which = np.searchsorted(situations, signatures)
    visits = np.bincount(which)
    sums = np.zeros((3, len(visits)))
    if labels is not None:
        agreed = agreement(labels, rollout.greedy.reshape(-1))
        sums[:] = [np.bincount(which, each) for each in (labels.mass, labels.mass > 0, agreed)]
    mass, advised, agreements = sums
    passages = context.collector.log.take_passages()
    return Visits(situations, visits, mass, advised, agreements, passages)


def trace_visits(context: RunContext, state: TeachState, visits: Visits) -> None:
    """Write a rollout's situations down."""
    context.trace.visits(
        VisitRecord(
            state["iteration"],
            signature,
            came.steps,
            came.carried_out / came.steps,
            came.agreed / advised if advised else None,
            came.episodes,
            came.successes,
        )
        for (signature, came), advised in zip(visits, visits.advised.tolist(), strict=True)
    )


def note_visits(context: RunContext, state: TeachState, visits: Visits) -> None:
    """For the look-up of what came of the advice, where the task keeps such a record."""
    if isinstance(context.task, RecordedTask):
        for signature, came in visits:
            if str(signature) in state["advice"]:
                context.task.note(signature, came)


def trace_examples(context: RunContext, state: TeachState, visits: Visits) -> None:
    """A state of each situation of the last rollout that has too few drawn so far."""
    signatures = [s for s in visits.situations.tolist() if context.trace.wants_example(s)]
    if not signatures:
        return
    states, task, rollout = context.collector.states(), context.task, context.collector.rollout
    met = rollout.signatures.reshape(-1)
    rows = [int(np.flatnonzero(met == signature)[0]) for signature in signatures]
    decisions = _decisions(context, states, rows, signatures, rollout)
    num_envs = rollout.actions.shape[1]
    context.trace.examples(
        ExampleRecord(
            state["iteration"],
            signature,
            row % num_envs,
            task.picture(states, row),
            task.inks(states, row) if isinstance(task, Watchable) else None,
            decision.to_json(),
        )
        for row, signature, decision in zip(rows, signatures, decisions, strict=True)
    )


def _policy(student: Student, observation: Observation) -> list[list[float]] | None:
    """The action probabilities; None where they depend on what came before."""
    if student.network.memory_size:
        return None
    probs: list[list[float]] = softmax(student.judge(observation)[0]).tolist()
    return probs


def _decisions(
    context: RunContext,
    states: States,
    rows: list[int],
    signatures: list[int],
    rollout: Rollout,
) -> list[Decision]:
    """Some states of a rollout as those see them who decide in them."""
    actions = tuple(context.task.action_names)
    steps, envs = np.divmod(rows, rollout.actions.shape[1])
    codes, features = rollout.codes[steps, envs], rollout.features[steps, envs]
    policy = _policy(context.student, Observation(codes, features))
    return [
        Decision(
            actions,
            options,
            None if policy is None else tuple(policy[i]),
            tuple(map(tuple, codes[i].tolist())),
            tuple(features[i].tolist()),
        )
        for i, options in enumerate(options_at(context.task, states, rows, signatures))
    ]
