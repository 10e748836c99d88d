"""PPO against its formulas, written out again in float64."""

from __future__ import annotations

import copy
import math
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from helpers.ppo_formulas import (
    NUM_ACTIONS,
    NUM_ENVS,
    NUM_STEPS,
    SIZE,
    STUDENTS,
    by_the_formulas,
    labels_for,
    rollout_for,
    student_with,
)
from helpers.small_students import ACTIONS, student_of
from helpers.tiny_runs import IMPORTABLE
from tutelage.rl.advice.labels import Labels
from tutelage.rl.policy.policy import Policy
from tutelage.rl.ppo import ppo as ppo_module
from tutelage.rl.ppo.gradients import views_of
from tutelage.rl.ppo.loss import normalised
from tutelage.rl.ppo.ppo import (
    ADAM_EPSILON,
    PPO,
    UpdateReport,
    adam_step,
    explained_variance,
    new_moments,
)
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.rollouts.buffer import Rollout, flat

pytestmark = pytest.mark.usefixtures("one_thread")

ONE_STEP = PPOSettings(
    gamma=0.97,
    num_steps=NUM_STEPS,
    epochs=1,
    advised_epochs=1,
    minibatch_size=SIZE,
    entropy_coef=0.02,
    target_kl=1e6,
    max_grad_norm=1e6,
)
"""One gradient step with all rows in it, unclipped."""


def update(
    student: Policy,
    rollout: Rollout,
    labels: Labels | None = None,
    weight: float = 0.0,
    settings: PPOSettings = ONE_STEP,
    progress: float = 0.0,
    success: float = 0.0,
) -> UpdateReport:
    """One update by a PPO of its own."""
    ppo = PPO(student, settings, np.random.default_rng(0))
    return ppo.update(rollout, labels, weight, progress, success)


def weights_of(student: Policy) -> dict[str, Any]:
    """A copy of the weights."""
    return {n: p.detach().numpy().copy() for n, p in student.network.named_parameters()}


def same_weights(one: Policy, other: Policy) -> bool:
    """Bit for bit."""
    pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def same_buffers(one: Policy, other: Policy) -> bool:
    """Bit for bit: means, variances and counts."""
    pairs = zip(one.network.buffers(), other.network.buffers(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# --- one gradient step ---


@pytest.mark.parametrize("weight", [None, 0.7, 10.0], ids=["alone", "advised", "mostly advised"])
@pytest.mark.parametrize(
    ("kind", "actions"),
    [*((kind, "Discrete") for kind in STUDENTS), *product(("dense", "normalised"), ACTIONS)],
)
def test_report_and_gradients_are_the_formulas(
    kind: str, actions: str, weight: float | None
) -> None:
    student = student_with(kind, actions=actions)
    rollout = rollout_for(student)
    labels = None if weight is None else labels_for(SIZE, actions=actions)
    expected = by_the_formulas(student, rollout, labels, weight or 0.0, ONE_STEP)
    assert 0.2 < expected.metrics["clip_fraction"] < 0.9, "both sides of the clip are to be seen"
    ppo = PPO(student, ONE_STEP, np.random.default_rng(0))
    report = ppo.update(rollout, labels, weight or 0.0, 0.0)
    for name, value in expected.metrics.items():
        assert getattr(report, name) == pytest.approx(value, rel=1e-4, abs=1e-5), name
    # After one step Adam's mean is a tenth of the gradient.
    gradient = 10 * ppo.snapshot()[0]["adam.exp_avg"]
    found_by_name = views_of(gradient, student.network)
    assert set(found_by_name) == set(expected.gradients)
    for name, found in found_by_name.items():
        np.testing.assert_allclose(
            found, expected.gradients[name], rtol=1e-3, atol=2e-6, err_msg=name
        )


@pytest.mark.parametrize("max_grad_norm", [0.01, 1e6], ids=["clipped", "free"])
def test_the_step_is_adams_along_the_clipped_gradient(max_grad_norm: float) -> None:
    settings = ONE_STEP.model_copy(
        update={"max_grad_norm": max_grad_norm, "final_learning_rate": 4e-4}
    )
    student = student_with()
    rollout, labels = rollout_for(student), labels_for(SIZE)
    # As the step size, the entropy bonus is that of the progress: a quarter of it is gone.
    now = settings.model_copy(update={"entropy_coef": 0.75 * settings.entropy_coef})
    gradients = by_the_formulas(student, rollout, labels, 0.7, now).gradients
    before = weights_of(student)
    update(student, rollout, labels, 0.7, settings, progress=0.25)
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients.values()))
    assert norm > 0.01, "else nothing is clipped"
    rate = 0.75 * 2e-3 + 0.25 * 4e-4
    for name, after in weights_of(student).items():
        gradient = gradients[name].numpy() * min(1.0, max_grad_norm / norm)
        # Adam's first step: both moments are the gradient's own once the bias is taken out.
        step = rate * gradient / (np.abs(gradient) + ADAM_EPSILON)
        np.testing.assert_allclose(before[name] - after, step, rtol=2e-2, atol=2e-6, err_msg=name)


def test_a_policy_that_has_not_moved_is_not_clipped() -> None:
    student = student_with()
    report = update(student, rollout_for(student, drift=0.0))
    assert report.clip_fraction == 0.0
    assert report.approx_kl == pytest.approx(0.0, abs=1e-6)
    assert report.policy_loss == pytest.approx(0.0, abs=1e-5), "the mean normalised advantage"


def test_entropy_of_a_uniform_policy() -> None:
    student = student_with()
    with torch.no_grad():
        student.network.policy_head.weight.zero_()
    report = update(student, rollout_for(student))
    assert report.entropy == pytest.approx(math.log(NUM_ACTIONS), rel=1e-6)


# --- what success takes out of chance ---


@pytest.mark.parametrize("kind", STUDENTS)
def test_at_the_end_success_is_a_weight_of_the_entropy(kind: str) -> None:
    student = student_with(kind)
    rollout = rollout_for(student)
    settings = ONE_STEP.model_copy(update={"final_entropy_coef": -0.5})
    now = settings.model_copy(update={"entropy_coef": 0.8 * -0.5})
    expected = by_the_formulas(student, rollout, None, 0.0, now)
    ppo = PPO(student, settings, np.random.default_rng(0))
    report = ppo.update(rollout, None, 0.0, 1.0, 0.8)
    assert report.entropy == pytest.approx(expected.metrics["entropy"], rel=1e-4)
    for name, found in views_of(10 * ppo.snapshot()[0]["adam.exp_avg"], student.network).items():
        np.testing.assert_allclose(
            found, expected.gradients[name], rtol=1e-3, atol=2e-6, err_msg=name
        )


@pytest.mark.parametrize("progress", [0.0, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("actions", ACTIONS)
def test_success_counts_late_and_for_actions_that_can_be_counted(
    actions: str, progress: float
) -> None:
    """The entropy of a Box has no bottom: its update is the same, bit for bit."""
    students = [student_with("features", actions=actions) for _ in range(3)]
    rollout = rollout_for(students[0])
    rates = (0.0, 0.5, 1.0)
    reports = [
        update(student, rollout, settings=MANY_STEPS, progress=progress, success=rate)
        for student, rate in zip(students, rates, strict=True)
    ]
    same = actions == "Box" or progress <= 0.5
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert same_weights(students[one], students[other]) == same
        assert (reports[one] == reports[other]) == same


@pytest.mark.parametrize("actions", ["Discrete", "MultiDiscrete"])
def test_a_student_that_succeeds_comes_to_act_by_its_likeliest_actions(actions: str) -> None:
    """By nothing but its success: there is no reward, and no advice."""
    settings = ONE_STEP.model_copy(update={"final_learning_rate": 0.01, "epochs": 100})
    entropies = []
    for success in (0.0, 1.0):
        student = student_of("features", action_space=ACTIONS[actions])
        rollout = rollout_for(student, drift=0.0)
        for array in (rollout.rewards, rollout.values, rollout.final_values, rollout.last_values):
            array[:] = 0.0
        ppo = PPO(student, settings, np.random.default_rng(0))
        entropies.append([ppo.update(rollout, None, 0.0, 1.0, success).entropy for _ in range(2)])
    (before, after), (_, certain) = entropies
    assert after == pytest.approx(before, rel=1e-3), "nothing else is to be learned"
    assert certain < 0.1 * after


# --- the advice term ---


def test_rows_without_advice_count_in_the_mean() -> None:
    """Half of the rows unadvised halves the term; it is no mean over the advised ones."""
    student = student_with()
    rollout = rollout_for(student)
    full = labels_for(SIZE, unadvised=0.0)
    coverage, other = full.coverage.copy(), full.coverage.copy()
    coverage[::2] = other[1::2] = 0.0
    losses = [
        update(copy.deepcopy(student), rollout, Labels(full.targets, m), 1.0).advice_loss
        for m in (full.coverage, coverage, other)
    ]
    assert losses[1] + losses[2] == pytest.approx(losses[0], rel=1e-5)
    assert losses[1] < 0.8 * losses[0]


def test_advice_counts_in_proportion_to_its_coverage() -> None:
    student = student_with()
    rollout, full = rollout_for(student), labels_for(SIZE)
    weak = Labels(full.targets, (full.coverage / 4).astype(np.float32))
    strong_loss = update(copy.deepcopy(student), rollout, full, 1.0).advice_loss
    weak_loss = update(copy.deepcopy(student), rollout, weak, 1.0).advice_loss
    assert strong_loss > 0.1
    assert weak_loss == pytest.approx(strong_loss / 4, rel=1e-5)


def test_labels_belong_to_their_rows_in_every_minibatch() -> None:
    """Teach a different action in each row; only rows and labels that match can learn it."""
    student = student_with("features")
    rollout = rollout_for(student)
    wanted = np.random.default_rng(3).integers(0, NUM_ACTIONS, SIZE)
    labels = Labels(np.eye(NUM_ACTIONS, dtype=np.float32)[wanted], np.ones(SIZE, np.float32))
    settings = ONE_STEP.model_copy(
        update={"advised_epochs": 100, "minibatch_size": 7, "learning_rate": 0.01}
    )
    update(student, rollout, labels, 50.0, settings)
    learned = student.act({key: flat(array) for key, array in rollout.observations.items()})
    assert (learned == wanted).mean() > 0.9


MANY_STEPS = ONE_STEP.model_copy(update={"epochs": 3, "advised_epochs": 3, "minibatch_size": 7})


@pytest.mark.parametrize("case", ["no labels", "weight 0", "coverage 0"])
def test_without_a_teacher_it_is_plain_ppo_bit_for_bit(case: str) -> None:
    plain, other = student_with(), student_with()
    one, two = (PPO(s, MANY_STEPS, np.random.default_rng(5)) for s in (plain, other))
    labels = labels_for(SIZE)
    nothing = Labels(np.zeros_like(labels.targets), np.zeros_like(labels.coverage))
    for seed in range(3):
        rollout = rollout_for(plain, seed)
        reports = (
            one.update(rollout, None, 0.0, 0.1),
            two.update(
                rollout,
                {"no labels": None, "weight 0": labels, "coverage 0": nothing}[case],
                {"no labels": 2.0, "weight 0": 0.0, "coverage 0": 2.0}[case],
                0.1,
            ),
        )
        assert reports[0] == reports[1]
        assert same_weights(plain, other)


def test_advice_does_change_the_weights() -> None:
    plain, other = student_with(), student_with()
    update(plain, rollout_for(plain), None, 1.0, MANY_STEPS)
    update(other, rollout_for(other), labels_for(SIZE), 1.0, MANY_STEPS)
    assert not same_weights(plain, other)


# --- epochs, minibatches, step size ---


def seen_rows(student: Policy, settings: PPOSettings, labels: Labels | None) -> list[list[int]]:
    """The rows of each gradient step, in the order in which the network met them."""
    rollout = rollout_for(student)
    rollout.observations["features"][..., 0] = np.arange(SIZE).reshape(NUM_STEPS, NUM_ENVS)
    steps: list[list[int]] = []

    def note(_: torch.nn.Module, inputs: tuple[dict[str, torch.Tensor]]) -> None:
        steps.append([int(number) for number in inputs[0]["features"][:, 0]])

    hook = student.network.register_forward_pre_hook(note)
    update(student, rollout, labels, 1.0, settings)
    hook.remove()
    return steps


@pytest.mark.parametrize("minibatch_size", [1, 7, 8, SIZE, 10 * SIZE])
@pytest.mark.parametrize("advised", [False, True])
def test_every_epoch_is_a_fresh_shuffle_of_all_rows(minibatch_size: int, advised: bool) -> None:
    settings = PPOSettings(
        gamma=0.97, epochs=2, advised_epochs=5, minibatch_size=minibatch_size, target_kl=1e6
    )
    steps = seen_rows(student_with("features"), settings, labels_for(SIZE) if advised else None)
    epochs, per_epoch = 5 if advised else 2, math.ceil(SIZE / minibatch_size)
    assert len(steps) == epochs * per_epoch
    orders = []
    for start in range(0, len(steps), per_epoch):
        epoch = steps[start : start + per_epoch]
        assert all(len(rows) == min(minibatch_size, SIZE) for rows in epoch[:-1])
        orders.append([row for rows in epoch for row in rows])
        assert sorted(orders[-1]) == list(range(SIZE))
    assert all(order != sorted(order) for order in orders)
    assert len({tuple(order) for order in orders}) == epochs


@pytest.mark.parametrize(
    ("progress", "rate"), [(0.0, 1e-2), (0.5, 5.5e-3), (1.0, 1e-3), (1.3, 1e-3)]
)
def test_the_step_size_follows_progress(
    progress: float, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []

    def noted(*tensors: Any) -> None:
        rates.append(tensors[-1])
        adam_step(*tensors)

    monkeypatch.setattr(ppo_module, "adam_step", noted)
    settings = ONE_STEP.model_copy(update={"learning_rate": 1e-2, "final_learning_rate": 1e-3})
    student = student_with()
    rollout = rollout_for(student)
    ppo = PPO(student, settings, np.random.default_rng(0))
    before = weights_of(student)
    ppo.update(rollout, None, 0.0, progress)
    assert rates == pytest.approx([rate])
    # Adam's first steps are of the size of its rate.
    moved = max(np.abs(before[n] - w).max() for n, w in weights_of(student).items())
    assert moved == pytest.approx(rate, rel=0.02)


def test_the_report_is_the_mean_over_the_gradient_steps() -> None:
    """With a step size of next to nothing each epoch's metrics are the first's."""
    student = student_with()
    rollout = rollout_for(student)
    settings = ONE_STEP.model_copy(
        update={"learning_rate": 1e-12, "final_learning_rate": 1e-12, "epochs": 4}
    )
    expected = by_the_formulas(student, rollout, None, 0.0, settings).metrics
    report = update(student, rollout, settings=settings)
    for name, value in expected.items():
        assert getattr(report, name) == pytest.approx(value, rel=1e-4, abs=1e-5), name


# --- Adam, and going on where one was ---


@examples(max_examples=40)
@given(
    size=st.integers(1, 300),
    seed=st.integers(0, 2**31),
    rates=st.lists(st.floats(1e-5, 0.5), min_size=1, max_size=6),
    scale=st.sampled_from([0.0, 1e-12, 1.0, 1e6]),
)
def test_adams_steps_are_those_of_pytorchs_optimiser(
    size: int, seed: int, rates: list[float], scale: float
) -> None:
    draws = torch.from_numpy(np.random.default_rng(seed).normal(size=(len(rates) + 1, size)))
    start, gradients = draws[0].float(), scale * draws[1:].float()
    expected = torch.nn.Parameter(start.clone())
    reference = torch.optim.Adam([expected], eps=ADAM_EPSILON, fused=True)
    weights, moments = start.clone(), new_moments(start)
    for gradient, rate in zip(gradients, rates, strict=True):
        reference.param_groups[0]["lr"] = rate
        expected.grad = gradient.clone()
        reference.step()
        adam_step(weights, gradient, moments, rate)
    assert torch.equal(weights, expected.detach())
    assert {name: t.tolist() for name, t in moments.items()} == {
        name: t.tolist() for name, t in reference.state[expected].items()
    }


@pytest.mark.parametrize(
    ("kind", "actions"),
    [*((kind, "Discrete") for kind in STUDENTS), *product(("normalised", "everything"), ACTIONS)],
)
def test_two_updates_from_the_same_seed_are_equal_bit_for_bit(kind: str, actions: str) -> None:
    one, other = student_with(kind, actions=actions), student_with(kind, actions=actions)
    rollout, labels = rollout_for(one), labels_for(SIZE, actions=actions)
    start = weights_of(one)
    reports = [update(student, rollout, labels, 0.7, MANY_STEPS) for student in (one, other)]
    assert reports[0] == reports[1]
    assert same_weights(one, other)
    assert any((weight != start[name]).any() for name, weight in weights_of(one).items())


@pytest.mark.parametrize(
    ("kind", "actions"), [("dense", "Discrete"), *product(("normalised", "everything"), ACTIONS)]
)
def test_a_restored_ppo_goes_on_as_the_unbroken_one(kind: str, actions: str) -> None:
    """The means and variances of what was seen, and the Gaussian's width, among the rest."""
    student, copied = (student_with(kind, seed, actions) for seed in (0, 1))
    unbroken = PPO(student, MANY_STEPS, np.random.default_rng(0))
    unbroken.update(rollout_for(student), labels_for(SIZE, actions=actions), 0.7, 0.1)
    tensors, record = copy.deepcopy(unbroken.snapshot())
    restored = PPO(copied, MANY_STEPS, np.random.default_rng(9))
    restored.restore(tensors, record)
    rollout = rollout_for(student, seed=1)
    assert unbroken.update(rollout, None, 0.0, 0.2) == restored.update(rollout, None, 0.0, 0.2)
    assert same_weights(student, copied)
    assert same_buffers(student, copied)
    assert float(restored.snapshot()[0]["adam.step"]) == 24


@pytest.mark.parametrize("name", ["adam.step", "adam.exp_avg", "adam.exp_avg_sq", None])
def test_another_networks_moments_are_refused_and_change_nothing(name: str | None) -> None:
    student = student_with()
    ppo = PPO(student, ONE_STEP, np.random.default_rng(0))
    tensors, record = copy.deepcopy(ppo.snapshot())
    for tensor in tensors.values():
        tensor += 1
    if name is None:
        tensors = {key: t for key, t in tensors.items() if not key.startswith("adam.")}
    else:
        tensors[name] = torch.zeros(8)
    with pytest.raises(ValueError, match="another network"):
        ppo.restore(tensors, record)
    assert same_weights(student, student_with())


# --- small parts ---


def test_normalised_advantages() -> None:
    advantages = torch.tensor([3.0, -1.0, 5.0, 9.0, 0.5])
    found = normalised(advantages)
    assert found.mean().item() == pytest.approx(0.0, abs=1e-6)
    assert found.std().item() == pytest.approx(1.0, rel=1e-5)
    assert torch.equal(found.argsort(), advantages.argsort())


@pytest.mark.parametrize("advantages", [[2.5], [2.5, 2.5, 2.5]], ids=["one", "all the same"])
def test_advantages_that_do_not_vary_become_zero(advantages: list[float]) -> None:
    assert normalised(torch.tensor(advantages)).tolist() == [0.0] * len(advantages)


def test_a_minibatch_of_one_row_leaves_finite_weights() -> None:
    student = student_with()
    settings = ONE_STEP.model_copy(update={"minibatch_size": 1})
    report = update(student, rollout_for(student), labels_for(SIZE), 1.0, settings)
    assert all(math.isfinite(value) for value in vars(report).values())
    assert report.policy_loss == 0.0, "each row's advantage is its minibatch's mean"
    assert all(np.isfinite(weight).all() for weight in weights_of(student).values())


def test_explained_variance() -> None:
    returns = np.array([[1.0, 2.0], [3.0, 6.0]], np.float32)
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(returns + 5, returns) == pytest.approx(1.0), "an offset is no noise"
    assert explained_variance(np.zeros_like(returns), returns) == pytest.approx(0.0)
    assert explained_variance(-returns, returns) == pytest.approx(-3.0)
    assert explained_variance(returns, np.ones_like(returns)) == 0.0


def test_without_advice_no_pass_follows_once_the_policy_has_moved_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passes: list[int] = []
    whole = PPO._minibatches

    def counted(self: PPO, *args: Any) -> Any:
        passes.append(1)
        return whole(self, *args)

    monkeypatch.setattr(PPO, "_minibatches", counted)
    far = ONE_STEP.model_copy(
        update={
            **{"epochs": 5, "advised_epochs": 5, "target_kl": 0.03},
            **{"learning_rate": 0.3, "final_learning_rate": 0.3},
        }
    )
    near = far.model_copy(update={"learning_rate": 1e-7, "final_learning_rate": 1e-7})
    for settings, weight, expected in ((far, 0.0, 2), (near, 0.0, 5), (far, 1.0, 5)):
        passes.clear()
        student = student_with("features")
        rollout = rollout_for(student, drift=0.0)
        update(student, rollout, labels_for(SIZE), weight, settings)
        assert len(passes) == expected


def test_numbers_too_small_to_be_normal_are_zero_in_an_update_and_only_there() -> None:
    """The processor is slow with them, and Adam's mean of a weight with no gradient gets stuck."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush them")
    torch.set_flush_denormal(False)
    student = student_with("dense")
    ppo = PPO(student, ONE_STEP, np.random.default_rng(0))
    mean = ppo.snapshot()[0]["adam.exp_avg"]
    mean.fill_(1e-40)
    ppo.update(rollout_for(student), None, 0.0, 0.0)
    assert (mean == 0).any(), "no weight was without a gradient"
    assert not ((mean != 0) & (mean.abs() < torch.finfo(torch.float32).tiny)).any()
    assert float(torch.full((1,), 1e-40) * 1) > 0


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_an_update_loads_neither_compiler_nor_algebra(kind: str) -> None:
    """PyTorch loads them at the first call of some of its functions: a second and more."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
        "from test_ppo import *; "
        f"student = student_with({kind!r}); "
        "update(student, rollout_for(student), labels_for(SIZE), 1.0); "
        "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"
    )
    paths = {"PYTHONPATH": IMPORTABLE}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | paths
    )
    assert done.stdout.strip() == "[]", done.stderr
