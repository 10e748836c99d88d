"""The teacher's advice: a distribution over plans in a situation, and its labels for states.

Through the options, advice on plans becomes advice on primitive actions (DESIGN "Words"):

    pi_T(a | s) = sum over feasible plans p of  P(p | situation) * pi_option(p, s)(a | s)  / m(s)
    m(s)        = sum over feasible plans p of  P(p | situation)

where the option of a plan in a state is its first feasible step that is not finished. A plan with
no such step cannot be carried out there and gives up its share of m(s).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rl.task import (
    PADDING,
    BoolArray,
    FloatArray,
    IntArray,
    Option,
    Plan,
    States,
    Task,
    encode_plans,
)


@dataclass(frozen=True)
class Advice:
    """A distribution over plans in one situation.

    plans: at least one; a situation without advice has no `Advice`. probs: P(plan | situation),
    positive, summing to at most 1 (less where samples were unusable). Raises ValueError for others.
    """

    plans: tuple[Plan, ...]
    probs: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.plans:
            raise ValueError("advice needs at least one plan")
        if len(self.plans) != len(self.probs):
            raise ValueError(f"{len(self.plans)} plans but {len(self.probs)} probabilities")
        if any(not math.isfinite(p) or p <= 0.0 for p in self.probs) or sum(self.probs) > 1.0001:
            raise ValueError(f"plan probabilities {self.probs} are not positive, summing to <= 1")
        if any(len(plan) == 0 for plan in self.plans):
            raise ValueError("a plan needs at least one option")

    def hardened(self) -> Advice:
        """All of the probability on the likeliest plan; ties go to the first."""
        best = max(range(len(self.plans)), key=self.probs.__getitem__)
        return Advice((self.plans[best],), (1.0,))

    def to_json(self) -> list[dict[str, Any]]:
        """Plain lists and strings, for the graph's state, the cache and the trace."""
        return [
            {"plan": [[option.name, option.target] for option in plan], "p": p}
            for plan, p in zip(self.plans, self.probs, strict=True)
        ]

    @classmethod
    def from_json(cls, rows: list[dict[str, Any]]) -> Advice:
        """The inverse of `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
        plans = tuple(tuple(_option_of(step) for step in row["plan"]) for row in rows)
        return cls(plans, tuple(float(row["p"]) for row in rows))


def _option_of(step: Any) -> Option:
    """An option from its JSON form, a list of its name and its target."""
    if not isinstance(step, list):
        raise TypeError(f"an option is a list of name and target, not {step!r}")
    name, target = step
    if not isinstance(name, str) or not (target is None or isinstance(target, str)):
        raise TypeError(f"an option's name and target are texts, not {step!r}")
    return Option(name, target)


@dataclass(frozen=True)
class Labels:
    """The teacher's advice for B states.

    targets: float32 [B, A], pi_T(a|s), zero where the mass is; mass: float32 [B], m(s).
    """

    targets: FloatArray
    mass: FloatArray


@dataclass(frozen=True)
class PlanActions:
    """What P plans do in each of B states.

    shares: float32 [B, P], P(plan | situation) where the plan can be carried out in the state, else
    0. probs: float32 [B, P, A], its action distribution there; zero where the share is.
    """

    shares: FloatArray
    probs: FloatArray


def carry_out(
    task: Task, states: States, signatures: IntArray, advice: Mapping[int, Advice]
) -> PlanActions:
    """What the plans of each state's situation do there, for a batch of states in one call.

    signatures: int64 [B], each state's situation; where `advice` lacks it, all shares are 0. Plan p
    of a state is plan p of its situation's advice.
    """
    situations, which = np.unique(signatures, return_inverse=True)
    plans, weights = _plan_table(task, [advice.get(int(s)) for s in situations])
    num_states, (_, num_plans, num_steps) = len(signatures), plans.shape
    options = plans[which].reshape(num_states, num_plans * num_steps)
    done = task.act(options, states)
    runnable = (done.feasible & ~done.finished).reshape(num_states, num_plans, num_steps)
    carried_out = runnable.any(axis=2)
    current = runnable.argmax(axis=2)
    probs = done.probs.reshape(*runnable.shape, done.probs.shape[2])
    chosen = np.take_along_axis(probs, current[:, :, None, None], axis=2)[:, :, 0]
    shares: FloatArray = weights[which] * carried_out
    return PlanActions(shares, chosen * (shares > 0)[:, :, None])


def label(task: Task, states: States, signatures: IntArray, advice: Mapping[int, Advice]) -> Labels:
    """Turn advice on situations into advice on actions, for a batch of states in one call.

    signatures: int64 [B], each state's situation; where `advice` lacks it, m(s) = 0.
    """
    done = carry_out(task, states, signatures, advice)
    mass = done.shares.sum(axis=1)
    mixed = (done.shares[:, :, None] * done.probs).sum(axis=1)
    targets = mixed / np.maximum(mass, np.finfo(np.float32).tiny)[:, None]
    return Labels(targets.astype(np.float32), mass.astype(np.float32))


def held(labels: Labels, policy: FloatArray, share: float) -> Labels:
    """The labels, and where there is no advice what the student did itself, to hold on to.

    What is learned from advice in some states changes what the network does in others. Before the
    student has found out for itself what to do there, that would leave it sure of nothing but the
    teacher's favourite actions. So its own policy of the rollout is a target there, as in learning
    without forgetting (Li & Hoiem 2016): at first it pulls nowhere, and then back.

    policy: float32 [B, A], the student's when it acted. share: the mass of such a target, 0..1.
    """
    silent = labels.mass == 0
    if share == 0 or not silent.any():
        return labels
    return Labels(
        np.where(silent[:, None], policy, labels.targets),
        np.where(silent, np.float32(share), labels.mass),
    )


def curious(policy: FloatArray, allowed: BoolArray | None, share: float) -> FloatArray:
    """A policy that does anything that is allowed with some probability, float32 [B, A].

    To hold on to where something is still to be found out: otherwise a student that is advised
    elsewhere gives up, a little in each rollout, what it has not succeeded with yet.

    policy: float32 [B, A]. allowed: bool [B, A], None for all. share: of chance, 0..1.
    """
    anything = np.ones_like(policy) if allowed is None else allowed.astype(np.float32)
    anything /= anything.sum(axis=1, keepdims=True)
    mixed: FloatArray = (1 - np.float32(share)) * policy + np.float32(share) * anything
    return mixed


def agreement(labels: Labels, greedy: IntArray) -> FloatArray:
    """1 where the student's likeliest action is the teacher's, float32 [B]; 0 without advice."""
    same: BoolArray = (labels.targets.argmax(axis=1) == greedy) & (labels.mass > 0)
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
