"""Evaluation, against a corridor that is played slowly; and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.slow_corridor import TASK, SlowEpisode, lively_student, policy_and_value
from helpers.toy_task import EXIT, Corridor, CorridorEnvs
from tutelage.rl.policy.policy import Policy
from tutelage.rl.ppo.ppo import PPO
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.rollouts import evaluate as evaluation
from tutelage.rl.rollouts.collector import Collector
from tutelage.rl.rollouts.evaluate import evaluate
from tutelage.rl.rollouts.results import Evaluation
from tutelage.rl.tasks.arrays import ActionArray, BoolArray
from tutelage.rl.tasks.base import Split, StepResult
from tutelage.rl.tasks.seeding import generator

pytestmark = pytest.mark.usefixtures("one_thread")


def slow_evaluation(student: Policy, episodes: int, seed: int, most_envs: int) -> Evaluation:
    """The student's likeliest actions, each environment's episodes one after the other."""
    num_envs = min(episodes, most_envs)
    successes, returns, lengths = 0, [], []
    for i in range(num_envs):
        for number in range(episodes // num_envs + (i < episodes % num_envs)):
            episode = SlowEpisode(seed, "evaluation", i, number)
            over = False
            while not over:
                log_pi, _ = policy_and_value(student, episode.features)
                _, terminated, truncated = episode.step(int(log_pi.argmax()))
                over = terminated or truncated
            successes += episode.position == EXIT
            returns.append(episode.return_)
            lengths.append(episode.steps)
    return Evaluation(successes, episodes, float(np.mean(returns)), float(np.mean(lengths)))


@pytest.mark.parametrize("episodes", [1, 2, 7, 8, 9, 15, 16, 30])
def test_a_greedy_evaluation_against_a_slow_one(
    episodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "MAX_ENVS", 8)
    student = half_trained_student()
    found = evaluate(TASK, student, episodes, seed=5, greedy=True)
    expected = slow_evaluation(student, episodes, 5, most_envs=8)
    assert (found.successes, found.episodes) == (expected.successes, episodes)
    assert found.mean_return == pytest.approx(expected.mean_return, abs=1e-5)
    assert found.mean_length == pytest.approx(expected.mean_length)


def half_trained_student() -> Policy:
    """It reaches the exit now and then, and ends in all three ways."""
    student = lively_student(1, scale=1.0)
    settings = PPOSettings(gamma=0.97, num_steps=32, minibatch_size=128, learning_rate=5e-3)
    ppo = PPO(student, settings, np.random.default_rng(0))
    envs = TASK.make_envs(16, "train", 0)
    collector = Collector(TASK, student, envs, 32, np.random.default_rng(0), settings.gamma)
    for _ in range(3):
        ppo.update(collector.collect(), None, 0.0, 0.0)
    return student


class Watched(Corridor):
    """A corridor that remembers what its evaluation environments were asked to do."""

    def __init__(self) -> None:
        self.envs: list[WatchedEnvs] = []

    def make_envs(self, num_envs: int, split: Split, seed: int) -> CorridorEnvs:
        self.envs.append(WatchedEnvs(num_envs, split, seed))
        return self.envs[-1]


class WatchedEnvs(CorridorEnvs):
    """Counts the episodes that ended and the steps of each environment."""

    def __init__(self, num_envs: int, split: Split, seed: int) -> None:
        super().__init__(num_envs, split, seed)
        self.ended, self.steps = np.zeros(num_envs, np.int64), np.zeros(num_envs, np.int64)
        self.made_for, self.closed = (split, seed), 0

    def step(self, actions: ActionArray, active: BoolArray | None = None) -> StepResult:
        result = super().step(actions, active)
        assert active is not None, "an evaluation says who still plays"
        self.ended += result.terminated | result.truncated
        self.steps += active
        return result

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("episodes", [1, 2, 99, 100, 101, 137, 250])
def test_every_environment_plays_its_fixed_share(episodes: int) -> None:
    task, told = Watched(), list[int]()
    result = evaluate(task, lively_student(), episodes, seed=3, on_progress=told.append)
    (envs,) = task.envs
    share = [len(part) for part in np.array_split(np.arange(episodes), min(episodes, 100))]
    assert envs.ended.tolist() == share
    assert result.episodes == episodes
    assert result.mean_length == pytest.approx(envs.steps.sum() / episodes)
    assert told == sorted(set(told))
    assert told[-1] == episodes
    assert envs.made_for == ("evaluation", 3)
    assert envs.closed == 1


def test_an_evaluation_is_a_function_of_seed_and_student() -> None:
    student = lively_student()
    one = evaluate(TASK, student, 120, seed=3)
    assert evaluate(TASK, student, 120, seed=3) == one
    assert evaluate(TASK, student, 120, seed=4) != one
    assert evaluate(TASK, lively_student(seed=1), 120, seed=3) != one


def test_actions_are_drawn_unless_greedy() -> None:
    student = half_trained_student()
    assert evaluate(TASK, student, 100, 3) != evaluate(TASK, student, 100, 3, greedy=True)


def test_an_evaluation_does_not_disturb_training() -> None:
    """Weights, the running episodes and every random stream go on as if there had been none."""

    def trained(evaluated: bool) -> list[torch.Tensor]:
        student, rng = lively_student(), generator(0, "actions")
        ppo = PPO(student, PPOSettings(gamma=0.97, minibatch_size=64), generator(0, "minibatches"))
        collector = Collector(TASK, student, TASK.make_envs(4, "train", 0), 16, rng, 0.97)
        for _ in range(3):
            ppo.update(collector.collect(), None, 0.0, 0.0)
            if evaluated:
                evaluate(TASK, student, 30, seed=0)
                evaluate(TASK, student, 30, seed=0, greedy=True)
        return list(student.network.parameters())

    state, legacy = torch.get_rng_state(), numpy_state()
    for with_it, without in zip(trained(True), trained(False), strict=True):
        assert torch.equal(with_it, without)
    assert torch.equal(torch.get_rng_state(), state)
    assert numpy_state() == legacy


def numpy_state() -> list[int]:
    """What the global NumPy generator would draw from."""
    key: list[int] = np.random.get_state(legacy=False)["state"]["key"].tolist()
    return key


def test_environments_are_closed_when_an_evaluation_breaks() -> None:
    task = Watched()

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(task, lively_student(), 3, seed=0, on_progress=stop)
    assert task.envs[0].closed == 1


def test_rates_and_intervals() -> None:
    result = Evaluation(successes=45, episodes=50, mean_return=0.0, mean_length=1.0)
    assert result.success_rate == 0.9
    # Wilson's interval for 45 of 50, from the formula by hand.
    assert result.ci95 == pytest.approx((0.78640, 0.95652), abs=1e-4)
