"""From advice on plans to labels for actions, for a batch of states in one call.

Through the options, advice on plans becomes advice on primitive actions, for discrete ones:

    pi_T(a | s) = sum over feasible plans p of  P(p | situation) * pi_option(p, s)(a | s)  / m(s)
    m(s)        = sum over feasible plans p of  P(p | situation),   the coverage

where the option of a plan in a state is its first feasible step that is not finished. A plan with
no such step cannot be carried out there and gives up its share of m(s).

In a Box the mean of two plans' actions may be worse than both. There one of the plans that can be
carried out is drawn for each episode and situation, and the label is what that one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage.rl.advice.advice import Advice
from tutelage.rl.tasks.action_targets import ActionTargets, action_targets
from tutelage.rl.tasks.arrays import ActionArray, BoolArray, FloatArray, IntArray
from tutelage.rl.tasks.base import States, Task, encode_plans
from tutelage.rl.tasks.lookups import TextHashes
from tutelage.rl.tasks.options import PADDING
from tutelage.rl.tasks.seeding import pick, uniform


@dataclass(frozen=True)
class Labels:
    """The teacher's advice for B states.

    targets: float32 [B, D], pi_T(.|s) (`rl.tasks.action_targets`), zero where the coverage is;
    coverage: float32 [B], m(s).
    """

    targets: FloatArray
    coverage: FloatArray


@dataclass(frozen=True)
class PlanActions:
    """What P plans do in each of B states.

    shares: float32 [B, P], P(plan | situation) where the plan can be carried out in the state, else
    0. targets: float32 [B, P, D], its action distribution there; zero where the share is.
    """

    shares: FloatArray
    targets: FloatArray


def carry_out(
    task: Task, states: States, situation_ids: IntArray, advice: Mapping[int, Advice]
) -> PlanActions:
    """What the plans of each state's situation do there, for a batch of states in one call.

    situation_ids: int64 [B], each state's situation; where `advice` lacks it, all shares are 0.
    Plan p of a state is plan p of its situation's advice.
    """
    situations, which = np.unique(situation_ids, return_inverse=True)
    plans, weights = _plan_table(task, [advice.get(int(s)) for s in situations])
    num_states, (_, num_plans, num_steps) = len(situation_ids), plans.shape
    options = plans[which].reshape(num_states, num_plans * num_steps)
    done = task.act(options, states)
    runnable = (done.feasible & ~done.finished).reshape(num_states, num_plans, num_steps)
    carried_out = runnable.any(axis=2)
    current = runnable.argmax(axis=2)
    targets = done.targets.reshape(*runnable.shape, done.targets.shape[2])
    chosen = np.take_along_axis(targets, current[:, :, None, None], axis=2)[:, :, 0]
    shares: FloatArray = weights[which] * carried_out
    return PlanActions(shares, chosen * (shares > 0)[:, :, None])


def label(
    task: Task,
    states: States,
    situation_ids: IntArray,
    advice: Mapping[int, Advice],
    episodes: IntArray | None = None,
) -> Labels:
    """Turn advice on situations into advice on actions, for a batch of states in one call.

    situation_ids: int64 [B], each state's situation; where `advice` lacks it, m(s) = 0. episodes:
    int64 [B], a number for each state's episode, by which plans are drawn for a Box; None takes all
    states for those of one episode.
    """
    done = carry_out(task, states, situation_ids, advice)
    coverage = done.shares.sum(axis=1)
    kind = action_targets(task.action_space)
    shares = done.shares
    if not kind.blends:
        drawn = episodes if episodes is not None else np.zeros(len(situation_ids), dtype=np.int64)
        shares = _one_plan(shares, TextHashes(task).of(situation_ids), drawn)
    targets = kind.mix(shares, done.targets)
    return Labels(targets.astype(np.float32), coverage.astype(np.float32))


def _one_plan(shares: FloatArray, situations: NDArray[np.uint64], episodes: IntArray) -> FloatArray:
    """One of the plans of each state that has some, float32 [B, P].

    situations: uint64 [B], hashes of their texts.
    """
    drawn = pick(shares, uniform(situations, episodes.astype(np.uint64)))
    alone = np.arange(shares.shape[1]) == drawn[:, None]
    chosen: FloatArray = np.where(alone, shares, np.float32(0))
    return chosen


def with_retention_targets(labels: Labels, policy: FloatArray, share: float) -> Labels:
    """The labels, with retention targets in states without advice: the student's own policy there.

    Learning from advice in some states changes the policy in others. Before the student has found
    out for itself what to do there, that would leave it sure of nothing but the teacher's favourite
    actions. So its own policy of the rollout is a target there, as in learning without forgetting
    (Li & Hoiem 2016): at first it pulls nowhere, and then back.

    policy: float32 [B, D], the student's when it acted. share: the coverage of such a target, 0..1.
    """
    silent = labels.coverage == 0
    if share == 0 or not silent.any():
        return labels
    return Labels(
        np.where(silent[:, None], policy, labels.targets),
        np.where(silent, np.float32(share), labels.coverage),
    )


def mixed_with_uniform(
    kind: ActionTargets, policy: FloatArray, mask: BoolArray | None, share: float
) -> FloatArray:
    """The policy mixed with the uniform one over the allowed actions, float32 [B, D].

    A retention target for states where the right action is still to be found: otherwise a student
    that is advised elsewhere gives up, a little in each rollout, actions that have not succeeded
    yet.

    policy: float32 [B, D]. mask: bool [B, D], None for all. share: of the uniform policy, 0..1.
    """
    anything = kind.uniform(mask, len(policy))
    if not kind.blends:
        # The mode stays, as that of discrete actions does: a mean that moved towards the middle of
        # the box with each rollout would give up what it holds on to.
        mean, variance = np.split(policy, 2, axis=1)
        wider = (1 - share) * variance + share * np.split(anything, 2, axis=1)[1]
        return np.concatenate((mean, wider), axis=1, dtype=np.float32)
    mixed: FloatArray = (1 - np.float32(share)) * policy + np.float32(share) * anything
    return mixed


def agreement(kind: ActionTargets, labels: Labels, greedy: ActionArray) -> FloatArray:
    """1 where the student's likeliest action is the teacher's, float32 [B]; 0 without advice."""
    same: BoolArray = kind.agree(labels.targets, greedy) & (labels.coverage > 0)
    return same.astype(np.float32)


def _plan_table(task: Task, advice: list[Advice | None]) -> tuple[IntArray, FloatArray]:
    """Option codes int64 [S, P, L], padded, and plan probabilities float32 [S, P]."""
    known = [row for row in advice if row is not None]
    most_plans = max((len(row.plans) for row in known), default=1)
    longest = max((len(plan) for row in known for plan in row.plans), default=1)
    plans = np.full((len(advice), most_plans, longest), PADDING, dtype=np.int64)
    weights = np.zeros((len(advice), most_plans), dtype=np.float32)
    for s, row in enumerate(advice):
        if row is not None:
            weights[s, : len(row.probs)] = row.probs
            for p, codes in enumerate(encode_plans(task, row.plans)):
                plans[s, p, : len(codes)] = codes
    return plans, weights
