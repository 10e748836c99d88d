"""Writing down what happened: the graph's nodes hand it over, the run's trace keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.calls import PlannerAnswer
from graphs.context import RunContext
from graphs.state import TeachState
from rl.advice import Labels, agreement
from rl.decisions import Decision, options_at
from rl.lookups import full_text
from rl.plan_record import RecordedTask, Tally
from rl.rollout import Passage, Rollout
from rl.student import Student, softmax
from rl.task import Observation, States, Watchable
from rl.trace import AdviceRecord, EventRecord, ExampleRecord, VisitRecord


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


def trace_visits(
    context: RunContext, state: TeachState, rollout: Rollout, labels: Labels | None
) -> float | None:
    """What the rollout was in each situation, and what became of the episodes that passed through.

    Returns the agreement over all advised steps, None where there are none.
    """
    passages = context.collector.log.take_passages()
    situations, which = np.unique(rollout.signatures.reshape(-1), return_inverse=True)
    visits = np.bincount(which)
    sums = np.zeros((3, len(visits)))
    if labels is not None:
        agreed = agreement(labels, rollout.greedy.reshape(-1))
        sums[:] = [np.bincount(which, each) for each in (labels.mass, labels.mass > 0, agreed)]
    mass, advised, agreements = sums
    context.trace.visits(
        VisitRecord(
            state["iteration"],
            int(signature),
            int(visits[i]),
            float(mass[i] / visits[i]),
            float(agreements[i] / advised[i]) if advised[i] else None,
            passages.get(int(signature), Passage()).episodes,
            passages.get(int(signature), Passage()).successes,
        )
        for i, signature in enumerate(situations)
    )
    for i, signature in enumerate(situations.tolist()):
        passage = passages.get(signature, Passage())
        if isinstance(context.task, RecordedTask) and str(signature) in state["advice"]:
            came = Tally(
                int(visits[i]),
                float(mass[i]),
                float(agreements[i]),
                passage.episodes,
                passage.successes,
            )
            context.task.note(signature, came)
    _trace_examples(context, state, situations, which, rollout)
    return float(agreements.sum() / advised.sum()) if advised.any() else None


def _trace_examples(
    context: RunContext,
    state: TeachState,
    situations: np.ndarray[Any, Any],
    which: np.ndarray[Any, Any],
    rollout: Rollout,
) -> None:
    """A state of each situation that has too few drawn so far."""
    wanted = [i for i, s in enumerate(situations) if context.trace.wants_example(int(s))]
    if not wanted:
        return
    states, task = context.collector.states(), context.task
    rows = [int(np.flatnonzero(which == i)[0]) for i in wanted]
    signatures = [int(situations[i]) for i in wanted]
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
