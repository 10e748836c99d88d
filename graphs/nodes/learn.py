"""The nodes `learner` and `training_loop`: advice becomes labels, and the student learns from them.

The update rules here label a rollout and update the policy; what is written down of it is apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

import numpy as np
from langgraph.runtime import Runtime

from tutelage.graphs.config.events import Doing
from tutelage.graphs.nodes.assess import assessed, ends_call, write_rows
from tutelage.graphs.nodes.collect import collect
from tutelage.graphs.nodes.routes import lacks_advice
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.runtime.recording import (
    Visits,
    count_visits,
    note_visits,
    trace_examples,
    trace_visits,
)
from tutelage.graphs.state import TeachState, Update, advice_in_force, with_update
from tutelage.rl.advice.labels import Labels, label, mixed_with_uniform, with_retention_targets
from tutelage.rl.ppo.ppo import UpdateReport
from tutelage.rl.rollouts.buffer import flat
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.arrays import FloatArray
from tutelage.rl.teaching.shaping import potentials, shaping_rewards

_PASS_S: Final = 1.0
"""Seconds of the training loop after which the graph and the record are brought up to date."""


class Node(Protocol):
    """A node that is made for a graph; the others are functions as they stand."""

    __name__: str

    def __call__(self, state: TeachState, runtime: Runtime[RunContext]) -> Update: ...


@dataclass(frozen=True)
class Learned:
    """What an update has learned from. labels: the advice on the rollout; None without advice.

    report: PPO's figures.
    """

    labels: Labels | None
    report: UpdateReport


UpdateRule = Callable[[RunContext, TeachState], Learned]
"""Labels the last rollout and learns from it. It writes nothing down."""


def imitation(context: RunContext, state: TeachState) -> Learned:
    """Label the whole rollout in one call, then do the PPO update at the teacher's weight."""
    labels = imitated = _labels(context, state)
    if labels is not None:
        retained, weight = _retention_policy(context, state), context.config.weaning.hold
        imitated = with_retention_targets(labels, retained, weight)
    return Learned(labels, _update(context, state, imitated))


def shaping(context: RunContext, state: TeachState) -> Learned:
    """Label the whole rollout in one call, shape its rewards by that, then do the PPO update."""
    labels = _labels(context, state)
    if labels is not None:
        rollout, settings = context.collector.rollout, context.config
        scale = state["teacher_weight"] * settings.shaping.scale
        kind = action_targets(context.task.action_space)
        phi = potentials(kind, labels, flat(rollout.actions), scale)
        ended = rollout.terminated | rollout.truncated
        gamma = settings.ppo.gamma_for(context.task.max_episode_steps)
        rollout.rewards += shaping_rewards(phi.reshape(ended.shape), ended, gamma)
    return Learned(labels, _update(context, state, labels=None))


def learner_of(update_rule: UpdateRule) -> Node:
    """The node `learner`: one update, written down. It is described as its rule is."""

    def learner(state: TeachState, runtime: Runtime[RunContext]) -> Update:
        context = runtime.context
        context.tell(Doing("learning from the rollout"))
        update, visits = _noted(context, state, update_rule(context, state))
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
        now, rows, met = state, [], []
        while True:
            now = with_update(now, collect(now, runtime))
            if lacks_advice(now):
                break  # the teacher comes first; the update follows
            update, visits = _noted(context, now, update_rule(context, now))
            now = with_update(now, update)
            met.append((now, visits))
            if ends_call(context, now) or monotonic() - began > _PASS_S:
                break
            row, update = assessed(context, now)
            rows.append(row)
            now = with_update(now, update)
        with context.timers.phase("record"):
            for then, visits in met:
                trace_visits(context, then, visits)
        write_rows(context, rows)
        return {name: value for name, value in now.items() if value is not state.get(name)}

    return training_loop


def _retention_policy(context: RunContext, state: TeachState) -> FloatArray:
    """What it is to hold on to where there is no advice, float32 [B, D]: its own policy."""
    rollout = context.collector.rollout
    policy = context.student.head.as_targets(flat(rollout.params))
    if not state["teacher_check"].falls_short:
        return policy
    kind = action_targets(context.task.action_space)
    mask = None if rollout.mask is None else flat(rollout.mask)
    return mixed_with_uniform(kind, policy, mask, context.config.weaning.chance)


def _labels(context: RunContext, state: TeachState) -> Labels | None:
    """The advice on the last rollout's states that is worth following; None where there is none."""
    if state["teacher_weight"] == 0:
        return None
    with context.timers.phase("advice"):
        followed = state["teacher_check"].followed(advice_in_force(state))
        if not followed:
            return None
        rollout, states = context.collector.rollout, context.collector.states()
        num_envs = rollout.rewards.shape[1]
        episodes = rollout.episodes * num_envs + np.arange(num_envs)
        return label(context.task, states, flat(rollout.situation_ids), followed, flat(episodes))


def _update(context: RunContext, state: TeachState, labels: Labels | None) -> UpdateReport:
    """The PPO update. labels: what is a term of the loss."""
    with context.timers.phase("update"):
        progress = state["env_steps"] / context.steps
        return context.ppo.update(
            context.collector.rollout,
            labels,
            state["teacher_weight"],
            progress,
            context.collector.log.success or 0.0,
        )


def _noted(context: RunContext, state: TeachState, learned: Learned) -> tuple[Update, Visits]:
    """What an update changes of the state, and what its rollout was in each situation."""
    with context.timers.phase("record"):
        visits = count_visits(context, learned.labels)
        note_visits(context, state, visits)
        trace_examples(context, state, visits)
    done, labels = learned.report, learned.labels
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
    followed = 0 if labels is None else int(np.count_nonzero(labels.coverage))
    return {
        "train_success": context.collector.log.success,
        "advised_steps": state["advised_steps"] + followed,
        "report": report,
    }, visits
