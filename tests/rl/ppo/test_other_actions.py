"""Learning with actions of every kind: by labels alone, by reward alone, and going on as before."""

from __future__ import annotations

import copy
import json
from typing import Any, Final

import numpy as np
import pytest
import torch

from helpers.ppo_formulas import cross_entropy, distributions, log_prob
from helpers.small_students import ACTIONS, decided, observations_for, student_for, vector
from helpers.steering_task import AWAY, FAST, SLOW, STD, STEERING_ACTIONS, Steering
from tutelage.rl.advice.advice import Advice
from tutelage.rl.advice.labels import Labels, label
from tutelage.rl.policy.heads import GaussianHead
from tutelage.rl.policy.policy import Policy, make_policy
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.ppo.gradients import OBSERVED, AutogradGradient, flat_weights, views_of
from tutelage.rl.ppo.loss import normalised
from tutelage.rl.ppo.ppo import PPO, UpdateReport
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.rollouts.buffer import flat
from tutelage.rl.rollouts.collector import Collector
from tutelage.rl.rollouts.evaluate import evaluate
from tutelage.rl.tasks.seeding import generator

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

_GAMMA: Final = 0.9
FAST_ADVICE = dict.fromkeys((0, 1), Advice(((FAST,),), (1.0,)))


class Learner:
    """The steering task with 16 environments and rollouts of 40 steps."""

    def __init__(self, actions: str, memory: str = "none", cut: bool = False, **more: Any) -> None:
        self.task = Steering(actions, cut)
        self.settings = PPOSettings(
            gamma=_GAMMA,
            **{
                **{"num_steps": 40, "minibatch_size": 160, "entropy_coef": 0.0},
                **{"learning_rate": 5e-3, "final_learning_rate": 5e-3, "epochs": 6},
                **more,
            },
        )
        network = StudentSettings.model_validate({"hidden": 32, "memory": memory})
        self.student = make_policy(self.task, network, "cpu", seed=0)
        self.ppo = PPO(self.student, self.settings, generator(0, "minibatches"))
        envs = self.task.make_envs(16, "train", 0)
        self.collector = Collector(
            self.task, self.student, envs, 40, generator(0, "actions"), _GAMMA
        )

    def update(self, advice: dict[int, Advice] | None = None, reward: bool = True) -> UpdateReport:
        rollout = self.collector.collect()
        labels = None
        if advice is not None:
            labels = label(self.task, self.collector.states(), flat(rollout.situation_ids), advice)
        if not reward:
            rollout.rewards[:] = 0.0
        return self.ppo.update(rollout, labels, 1.0, 0.0)

    def success(self, greedy: bool = False) -> float:
        return evaluate(self.task, self.student, 100, seed=1, greedy=greedy).success_rate


@pytest.mark.parametrize("actions", STEERING_ACTIONS)
def test_a_new_student_cannot_steer(actions: str) -> None:
    assert Learner(actions).success() < 0.5


@pytest.mark.parametrize("memory", ["none", "gru"])
@pytest.mark.parametrize("actions", STEERING_ACTIONS)
def test_it_learns_by_labels_alone(actions: str, memory: str) -> None:
    learner = Learner(actions, memory)
    for _ in range(15):
        learner.update(FAST_ADVICE, reward=False)
    assert learner.success() >= 0.9


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("actions", STEERING_ACTIONS)
def test_it_learns_by_reward_alone(actions: str, cut: bool) -> None:
    learner = Learner(actions, cut=cut)
    for _ in range(40):
        learner.update()
    assert learner.success(greedy=True) >= 0.9


def test_it_learns_by_reward_alone_with_a_memory() -> None:
    learner = Learner("Box", "gru")
    for _ in range(40):
        learner.update()
    assert learner.success(greedy=True) >= 0.9


def test_labels_teach_the_teachers_spread_and_wrong_ones_the_wrong_way() -> None:
    """The standard deviation falls towards that of the labels, which is a tenth of the box's."""
    learner = Learner("Box")
    head = learner.student.head
    assert isinstance(head, GaussianHead)
    before = np.exp(head.log_std.item()) * 0.5
    for _ in range(60):
        learner.update(FAST_ADVICE, reward=False)
    after = np.exp(head.log_std.item()) * 0.5
    assert STD <= after < before / 3
    wrong = Learner("Box")
    for _ in range(20):
        wrong.update(dict.fromkeys((0, 1), Advice(((AWAY,),), (1.0,))), reward=False)
    assert wrong.success(greedy=True) <= 0.02, "but for those that begin at zero"


def test_reward_narrows_the_spread_and_an_entropy_bonus_widens_it() -> None:
    narrow, wide = Learner("Box"), Learner("Box", entropy_coef=1.0)
    for learner in (narrow, wide):
        for _ in range(30):
            learner.update()
    deviations = [float(np.exp(x.student.head.log_std.item())) for x in (narrow, wide)]  # type: ignore[operator,union-attr]
    assert deviations[0] < 0.8 * np.exp(-0.5) < np.exp(-0.5) < deviations[1]


# --- gradients ---


@pytest.mark.parametrize("memory", ["none", "gru"])
@pytest.mark.parametrize("actions", ACTIONS)
def test_the_gradient_is_that_of_the_written_loss(actions: str, memory: str) -> None:
    """PyTorch's distributions and its autograd, from the loss to each weight."""
    steps, rows, space = 4, 3, {"a": vector(3), "b": vector(2)}
    settings = StudentSettings.model_validate({"hidden": 8, "memory": memory})
    student = decided(student_for(space, ACTIONS[actions], settings, normalise=True))
    batch = batch_for(student, steps, rows)
    if memory == "none":
        batch = {n: c.flatten(0, 1) for n, c in batch.items() if n not in UNROLLED}
    ppo = PPOSettings(gamma=0.97, entropy_coef=0.05, clip_range=0.3)
    network = student.network
    expected = written_loss(student, batch, ppo, 0.7)
    gradients = dict(
        zip(
            dict(network.named_parameters()),
            torch.autograd.grad(expected, list(network.parameters())),
            strict=True,
        )
    )
    vector_ = torch.full_like(flat_weights(network), torch.nan)
    AutogradGradient(vector_, network)(batch, ppo, 0.7)
    for name, found in views_of(vector_, network).items():
        np.testing.assert_allclose(found, gradients[name], rtol=1e-3, atol=1e-5, err_msg=name)
        if actions == "Box" or "log_std" not in name:
            assert found.abs().max() > 0, name


UNROLLED = ("hidden", "previous", "starts")


def batch_for(student: Policy, steps: int, rows: int) -> dict[str, torch.Tensor]:
    """[T, B, ...] of everything that a minibatch holds."""
    rng = np.random.default_rng(0)
    space = student.spec.observation_space
    seen = [observations_for(space, rows, seed=t) for t in range(steps)]
    params = rng.normal(size=(steps * rows, student.head.num_params)).astype(np.float32)
    actions, log_probs, _ = student.head.sample(params, rng)
    memory = student.network.memory_size
    previous = student.head.encode(actions) if memory else np.zeros((steps * rows, 0), np.float32)
    shape = (steps, rows)

    def made(array: Any) -> torch.Tensor:
        return torch.from_numpy(np.asarray(array).reshape(*shape, *np.shape(array)[1:]))

    floats = rng.normal(size=(4, steps * rows)).astype(np.float32)
    return {
        **{OBSERVED + k: torch.from_numpy(np.stack([s[k] for s in seen])) for k in space},
        "actions": made(actions),
        "log_probs": made(log_probs + 0.3 * floats[0]),
        "advantages": made(floats[1]),
        "returns": made(floats[2]),
        "targets": made(student.head.as_targets(params + 0.5 * floats[3][:, None])),
        "coverage": made(rng.random(steps * rows).astype(np.float32)),
        "previous": made(previous),
        "starts": made(rng.random(steps * rows) < 0.3),
        "hidden": torch.from_numpy(rng.normal(size=(rows, memory)).astype(np.float32)),
    }


def written_loss(
    student: Policy, batch: dict[str, torch.Tensor], settings: PPOSettings, weight: float
) -> torch.Tensor:
    network, space = student.network, student.spec.action_space
    if network.memory_size:
        params, values = stepped(student, batch)
        batch = {n: c.flatten(0, 1) for n, c in batch.items() if n != "hidden"}
    else:
        seen = {n.removeprefix(OBSERVED): c for n, c in batch.items() if n.startswith(OBSERVED)}
        params, values = network(seen)
    actions = batch["actions"].numpy()
    rows = range(len(params))
    log_pi = torch.stack([log_prob(space, params[row], actions[row]) for row in rows])
    ratio = (log_pi - batch["log_probs"]).exp()
    advantages = normalised(batch["advantages"])
    clipped = ratio.clamp(1 - settings.clip_range, 1 + settings.clip_range)
    gain = torch.minimum(ratio * advantages, clipped * advantages).mean()
    entropy = torch.stack(
        [torch.stack([p.entropy() for p in distributions(space, row)]).sum() for row in params]
    )
    taught = [cross_entropy(space, params[row], batch["targets"][row]) for row in rows]
    value_loss = 0.5 * (values - batch["returns"]).square().mean()
    return (
        -gain
        + settings.value_coef * value_loss
        - settings.entropy_coef * entropy.mean()
        + weight * (batch["coverage"] * torch.stack(taught)).mean()
    )


def stepped(student: Policy, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Step by step with PyTorch's own cell, in place of `unroll`."""
    hidden, params, values = batch["hidden"], [], []
    for t in range(len(batch["starts"])):
        hidden = torch.where(batch["starts"][t][:, None], 0.0, hidden)
        seen = {n.removeprefix(OBSERVED): c[t] for n, c in batch.items() if n.startswith(OBSERVED)}
        some, value, hidden = student.network.step(seen, batch["previous"][t], hidden)
        params.append(some)
        values.append(value)
    return torch.cat(params), torch.cat(values)


# --- what was collected is what is learned from, and what is gone on with ---


@pytest.mark.parametrize("memory", ["none", "gru"])
@pytest.mark.parametrize("actions", STEERING_ACTIONS)
def test_what_was_collected_is_what_is_learned_from(actions: str, memory: str) -> None:
    """Also where the normaliser has learned from one rollout, and the rewards have a new scale."""
    still = {"learning_rate": 1e-12, "final_learning_rate": 1e-12, "epochs": 1}
    learner = Learner(actions, memory, **still)
    decided(learner.student)
    for _ in range(3):
        report = learner.update()
        assert abs(report.approx_kl) < 1e-5
        assert report.clip_fraction == 0.0


@pytest.mark.parametrize("memory", ["none", "gru"])
@pytest.mark.parametrize("actions", STEERING_ACTIONS)
def test_a_learner_goes_on_from_a_snapshot(actions: str, memory: str) -> None:
    """Weights, moments, means, variances, the rewards' scale, running episodes, all streams."""
    unbroken = Learner(actions, memory)
    for _ in range(3):
        unbroken.update(FAST_ADVICE)
    tensors, record = copy.deepcopy(unbroken.ppo.snapshot())
    arrays, collected = copy.deepcopy(unbroken.collector.snapshot())
    resumed = Learner(actions, memory)
    resumed.ppo.restore(tensors, json.loads(json.dumps(record)))
    resumed.collector.restore(arrays, json.loads(json.dumps(collected)))
    for _ in range(2):
        assert unbroken.update(FAST_ADVICE) == resumed.update(FAST_ADVICE)
    one, two = (x.student.network.state_dict() for x in (unbroken, resumed))
    assert set(one) == set(two)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert unbroken.collector.log.mean_return == resumed.collector.log.mean_return
    rewards = [x.collector.collect().rewards.copy() for x in (unbroken, resumed)]
    np.testing.assert_array_equal(*rewards)


@pytest.mark.parametrize("actions", STEERING_ACTIONS)
def test_the_log_counts_the_tasks_own_rewards(actions: str) -> None:
    """What is learned from is scaled; what is told of is not."""
    learner = Learner(actions)
    scaled = learner.collector.collect().rewards.sum(axis=0)
    mean_return = learner.collector.log.mean_return
    assert mean_return is not None
    assert mean_return < -10
    assert abs(scaled).max() < abs(mean_return) * 8 / 2


def test_two_plans_that_are_both_right_are_learned_as_one_of_them() -> None:
    """The middle between slow and fast would be neither; of a Box one is drawn for each episode."""
    both = dict.fromkeys((0, 1), Advice(((SLOW,), (FAST,)), (0.5, 0.5)))
    learner = Learner("Box")
    rollout = learner.collector.collect()
    states, situations = learner.collector.states(), flat(rollout.situation_ids)
    episodes = rollout.episodes * 16 + np.arange(16)
    labels: Labels = label(learner.task, states, situations, both, flat(episodes))
    each = [
        label(learner.task, states, situations, dict.fromkeys((0, 1), Advice(((o,),), (1.0,))))
        for o in (SLOW, FAST)
    ]
    is_slow, is_fast = ((labels.targets == one.targets).all(axis=1) for one in each)
    assert (is_slow | is_fast).all()
    assert 0.3 < is_fast.mean() < 0.7
    assert (labels.coverage == 0.5).all() or np.allclose(labels.coverage, 1.0)
