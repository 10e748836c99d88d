"""The learner nodes: the teacher's advice is tried out, turned into labels, and learned from."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final, Literal, Protocol

from langgraph.runtime import Runtime

from tutelage.graphs.nodes.advise import lacks_advice
from tutelage.graphs.nodes.assess import assessed, ends_call, write_rows
from tutelage.graphs.nodes.collect import collect
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.runtime.recording import (
    Visits,
    count_visits,
    note_visits,
    trace_examples,
    trace_visits,
)
from tutelage.graphs.state import TeachState, Update, known_advice, with_update
from tutelage.rl.advice.labels import Labels, label, mixed_with_uniform, with_retention_targets
from tutelage.rl.policy.policy import softmax
from tutelage.rl.tasks.arrays import FloatArray
from tutelage.rl.teaching.shaping import potentials, shaping_rewards
from tutelage.rl.teaching.teacher_check import TeacherCheck

_PASS_S: Final = 1.0
"""How long the student practises before the graph and the record are brought up to date."""


def after_training_loop(state: TeachState) -> Literal["cache", "assess"]:
    """A rollout in which the teacher has to be asked is not learned from yet."""
    return "assess" if state["report"] else "cache"


class Node(Protocol):
    """A node that is made for a graph; the others are functions as they stand."""

    __name__: str

    def __call__(self, state: TeachState, runtime: Runtime[RunContext]) -> Update: ...


UpdateRule = Callable[[RunContext, TeachState], tuple[Update, Visits]]
"""Learns from the last rollout; what that changes, and what is to be written down."""


def imitation(context: RunContext, state: TeachState) -> tuple[Update, Visits]:
    """Label the whole rollout in one call, then do the PPO update at the teacher's weight."""
    labels = imitated = _labels(context, state)
    if labels is not None:
        imitated = with_retention_targets(
            labels, _retention_policy(context, state), context.config.weaning.hold
        )
    return _learn(context, state, labels, imitated)


def shaping(context: RunContext, state: TeachState) -> tuple[Update, Visits]:
    """Label the whole rollout in one call, shape its rewards by that, then do the PPO update."""
    labels = _labels(context, state)
    if labels is not None:
        rollout, settings = context.collector.rollout, context.config
        scale = state["teacher_weight"] * settings.shaping.scale
        phi = potentials(labels, rollout.actions.reshape(-1), scale)
        ended = rollout.terminated | rollout.truncated
        rollout.rewards += shaping_rewards(phi.reshape(ended.shape), ended, settings.ppo.gamma)
    return _learn(context, state, labels, imitated=None)


def learner_of(update_rule: UpdateRule) -> Node:
    """The node `learner`: one lesson, written down. It is described as the lesson is."""

    def learner(state: TeachState, runtime: Runtime[RunContext]) -> Update:
        context = runtime.context
        update, visits = update_rule(context, state)
        with context.timers.phase("record"):
            trace_visits(context, state, visits)
        return update

    learner.__doc__ = update_rule.__doc__
    return learner


def training_loop_of(update_rule: UpdateRule) -> Node:
    """The node `training_loop`: the same, many times.

    The graph and the record each take a per cent or two of an iteration's time where they come in
    between: what they need has then left the processor's caches. So they come once in a while.
    """

    def training_loop(state: TeachState, runtime: Runtime[RunContext]) -> Update:
        """Whole iterations in a row, for as long as there is nothing to ask of the teacher."""
        context, began = runtime.context, monotonic()
        check = TeacherCheck.model_validate(state["teacher_check"])
        now, rows, met = state, [], []
        while True:
            now = with_update(now, collect(now, runtime))
            if lacks_advice(now):
                break  # the teacher comes first; the lesson follows
            update, visits = update_rule(context, now)
            now = with_update(now, update)
            met.append((now, visits))
            if ends_call(context, now) or monotonic() - began > _PASS_S:
                break
            row, update = assessed(context, now, check)
            rows.append(row)
            now = with_update(now, update)
        with context.timers.phase("record"):
            for then, visits in met:
                trace_visits(context, then, visits)
        write_rows(context, rows)
        return {name: value for name, value in now.items() if value is not state.get(name)}

    return training_loop


def _retention_policy(context: RunContext, state: TeachState) -> FloatArray:
    """What it is to hold on to where there is no advice, float32 [B, A]: its own policy."""
    rollout = context.collector.rollout
    num_actions = rollout.logits.shape[-1]
    policy = softmax(rollout.logits.reshape(-1, num_actions))
    if not TeacherCheck.model_validate(state["teacher_check"]).falls_short:
        return policy
    allowed = None if rollout.allowed is None else rollout.allowed.reshape(-1, num_actions)
    return mixed_with_uniform(policy, allowed, context.config.weaning.chance)


def _labels(context: RunContext, state: TeachState) -> Labels | None:
    """The advice on the last rollout's states that is worth following; None where there is none."""
    if state["teacher_weight"] == 0:
        return None
    with context.timers.phase("advice"):
        followed = TeacherCheck.model_validate(state["teacher_check"]).followed(known_advice(state))
        if not followed:
            return None
        situation_ids = context.collector.rollout.situation_ids.reshape(-1)
        return label(context.task, context.collector.states(), situation_ids, followed)


def _learn(
    context: RunContext, state: TeachState, labels: Labels | None, imitated: Labels | None
) -> tuple[Update, Visits]:
    """The PPO update, its figures, and what the rollout was to the teacher.

    labels: the advice; imitated: what of it is a term of the loss.
    """
    with context.timers.phase("update"):
        rollout, progress = context.collector.rollout, state["env_steps"] / context.steps
        done = context.ppo.update(rollout, imitated, state["teacher_weight"], progress)
    with context.timers.phase("record"):
        visits = count_visits(context, labels)
        note_visits(context, state, visits)
        trace_examples(context, state, visits)
    report = {
        "train_return": context.collector.log.mean_return,
        "advised_share": 0.0 if labels is None else float(labels.coverage.mean()),
        "agreement": visits.agreement,
        "policy_loss": done.policy_loss,
        "value_loss": done.value_loss,
        "entropy": done.entropy,
        "approx_kl": done.approx_kl,
        "clip_fraction": done.clip_fraction,
        "explained_variance": done.explained_variance,
    }
    return {"train_success": context.collector.log.success, "report": report}, visits
