"""The learner on tasks of one ability each; and with one part of it broken, the task shows it.

Each fault is one that learning codes really have: it leaves a run that goes on, learns something,
and is quietly worse. A diagnostic counts only if the whole learner solves it and the broken one
does not, so both are tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import numpy as np
import pytest
from torch import Tensor

from helpers.diagnostic_tasks import (
    Beginning,
    Delay,
    Diagnostic,
    Din,
    Echo,
    Password,
    Pasture,
    Patience,
    Recall,
    Whisper,
)
from tutelage.rl.policy.policy import Policy, RecurrentState, make_policy
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.ppo import loss, ppo
from tutelage.rl.ppo.gae import advantages_of
from tutelage.rl.ppo.ppo import PPO
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.rollouts.actors import PolicyActor
from tutelage.rl.rollouts.buffer import Rollout
from tutelage.rl.rollouts.collector import Collector
from tutelage.rl.rollouts.evaluate import evaluate
from tutelage.rl.tasks.arrays import BoolArray, FloatArray
from tutelage.rl.tasks.seeding import generator

pytestmark = pytest.mark.usefixtures("one_thread")

Break = Callable[[pytest.MonkeyPatch], None]
ENVS: Final = 32


@dataclass(frozen=True)
class Exercise:
    """How a task is learned. settings: PPO's, besides the common ones."""

    task: Diagnostic
    iterations: int
    settings: dict[str, Any] = field(default_factory=dict)
    memory: str = "none"

    def learner(self, seed: int = 0) -> tuple[Collector, PPO]:
        """A new student with all that it learns with."""
        common = {
            "num_steps": 16,
            "minibatch_size": 128,
            "learning_rate": 5e-3,
            "final_learning_rate": 5e-3,
            "entropy_coef": 0.01,
        }
        chosen = PPOSettings(**common | self.settings)
        gamma = chosen.gamma_for(self.task.max_episode_steps)
        network = StudentSettings(hidden=16, memory=self.memory)
        student = make_policy(self.task, network, "cpu", seed)
        envs = self.task.make_envs(ENVS, "train", seed)
        drawn = generator(seed, "actions")
        collector = Collector(self.task, student, envs, chosen.num_steps, drawn, gamma)
        return collector, PPO(
            student, chosen.model_copy(update={"gamma": gamma}), generator(seed, "minibatches")
        )

    def learned(self) -> Policy:
        """The student after learning."""
        collector, ppo = self.learner()
        for _ in range(self.iterations):
            ppo.update(collector.collect(), None, 0.0, 0.0)
        return ppo._policy

    def success(self, student: Policy) -> float:
        """The share of successes, actions drawn from the policy; two episodes an environment."""
        return evaluate(self.task, student, 200, seed=1).success_rate


SEQUENCES: Final = {"num_steps": 20, "minibatch_size": 160}
EXERCISES: Final[dict[str, Exercise]] = {
    "seeing": Exercise(Echo(), 20),
    "credit": Exercise(Delay(), 10),
    "ends": Exercise(Patience(), 10),
    "cut rollouts": Exercise(Patience(), 40, {"num_steps": 2, "minibatch_size": 16}),
    "time-outs": Exercise(Pasture(), 15),
    "scale": Exercise(Whisper(), 25),
    "noise": Exercise(Din(), 25, {"gae_lambda": 0.2}),
    "exploration": Exercise(Password(), 40, {"entropy_coef": 0.3}),
    "memory": Exercise(Recall(), 20, SEQUENCES, memory="gru"),
    "forgetting": Exercise(Beginning(), 20, SEQUENCES, memory="gru"),
}


@cache
def able_student(ability: str) -> Policy:
    return EXERCISES[ability].learned()


# --- the faults


def with_advantages(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Break:
    """Another GAE. change: gets its arguments by their names, and gives those that differ."""
    names = advantages_of.__code__.co_varnames[: advantages_of.__code__.co_argcount]

    def broken(*given: Any) -> FloatArray:
        arguments = dict(zip(names, given, strict=True))
        return advantages_of(**arguments | change(arguments))

    return lambda patch: patch.setattr(ppo, "advantages_of", broken)


def nothing(ended: BoolArray) -> BoolArray:
    return np.zeros_like(ended)


def observations_of_the_next_step(patch: pytest.MonkeyPatch) -> None:
    collect = Collector.collect

    def shifted(self: Collector) -> Rollout:
        rollout = collect(self)
        for seen in rollout.observations.values():
            seen[:-1] = seen[1:].copy()
        return rollout

    patch.setattr(Collector, "collect", shifted)


def advantages_only_centred(patch: pytest.MonkeyPatch) -> None:
    def centred(advantages: Tensor) -> Tensor:
        return advantages - advantages.mean()

    patch.setattr(loss, "normalised", centred)


def no_memory_while_learning(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ppo, "_starts", lambda rollout: np.ones_like(rollout.terminated))


def no_reset_while_learning(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ppo, "_starts", lambda rollout: nothing(rollout.terminated))


def no_reset_while_collecting(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RecurrentState, "forget", lambda *_: None)


def no_reset_at_all(patch: pytest.MonkeyPatch) -> None:
    no_reset_while_learning(patch)
    no_reset_while_collecting(patch)


def memory_lost_between_rollouts(patch: pytest.MonkeyPatch) -> None:
    collect = Collector.collect

    def lost(self: Collector) -> Rollout:
        rollout = collect(self)
        rollout.hidden[:] = 0.0
        return rollout

    patch.setattr(Collector, "collect", lost)


FAULTS: Final[dict[str, tuple[str, Break]]] = {
    "observations of the next step": ("seeing", observations_of_the_next_step),
    "lambda taken for 0": ("credit", with_advantages(lambda _: {"gae_lambda": 0.0})),
    "lambda taken for 1": ("noise", with_advantages(lambda _: {"gae_lambda": 1.0})),
    "episodes run into each other": (
        "ends",
        with_advantages(
            lambda given: {name: nothing(given[name]) for name in ("terminated", "truncated")}
        ),
    ),
    "nothing after a rollout's end": (
        "cut rollouts",
        with_advantages(lambda given: {"last_values": np.zeros_like(given["last_values"])}),
    ),
    "a time-out taken for an end": (
        "time-outs",
        with_advantages(
            lambda given: {
                "terminated": given["terminated"] | given["truncated"],
                "truncated": nothing(given["truncated"]),
            }
        ),
    ),
    "no value at a time-out": (
        "time-outs",
        with_advantages(lambda given: {"final_values": np.zeros_like(given["final_values"])}),
    ),
    "advantages only centred": ("scale", advantages_only_centred),
    "no memory while learning": ("memory", no_memory_while_learning),
    "no reset while collecting": ("forgetting", no_reset_while_collecting),
    "no reset at all": ("forgetting", no_reset_at_all),
}


@pytest.mark.parametrize("ability", EXERCISES)
def test_the_learner_has_the_ability(ability: str) -> None:
    assert EXERCISES[ability].success(able_student(ability)) >= 0.9


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen_in_the_task_that_is_there_for_it(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ability, broken = FAULTS[fault]
    broken(monkeypatch)
    assert EXERCISES[ability].success(EXERCISES[ability].learned()) <= 0.7


@pytest.mark.parametrize(
    ("ability", "settings", "memory"),
    [
        ("exploration", {"entropy_coef": 0.0}, "none"),
        ("memory", {}, "none"),
        ("forgetting", {}, "none"),
    ],
)
def test_a_task_cannot_be_solved_without_what_it_is_there_for(
    ability: str, settings: dict[str, Any], memory: str
) -> None:
    whole = EXERCISES[ability]
    without = Exercise(whole.task, whole.iterations, {**whole.settings, **settings}, memory)
    assert without.success(without.learned()) <= 0.7


def test_a_student_that_is_tested_must_forget_too(monkeypatch: pytest.MonkeyPatch) -> None:
    student = able_student("forgetting")
    monkeypatch.setattr(PolicyActor, "ended", lambda *_: None)
    assert EXERCISES["forgetting"].success(student) <= 0.7


# --- collecting and learning see the same policy


def policy_moved(memory: str = "gru") -> float:
    """KL between the policy that collected a second rollout and the one that is to learn from it.

    Nothing is learned between: the step size is next to nothing.
    """
    still = {**SEQUENCES, "learning_rate": 1e-12, "final_learning_rate": 1e-12, "epochs": 1}
    collector, ppo = Exercise(Beginning(), 0, still, memory).learner()
    for parameter in ppo._policy.network.policy_head.parameters():
        parameter.data *= 1000.0  # else all is alike to it, and no difference shows
    collector.collect()
    rollout = collector.collect()
    assert (rollout.terminated[:-1]).any(), "no episode begins within the rollout"
    return ppo.update(rollout, None, 0.0, 0.0).approx_kl


def test_what_was_collected_is_what_is_learned_from() -> None:
    assert abs(policy_moved()) < 1e-6
    assert abs(policy_moved("none")) < 1e-6


@pytest.mark.parametrize(
    "broken",
    [no_reset_while_learning, no_reset_while_collecting, memory_lost_between_rollouts],
)
def test_memory_that_is_reset_in_one_place_only_is_seen(
    broken: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    assert policy_moved() > 1e-4
