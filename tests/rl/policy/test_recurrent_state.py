"""Recurrent policies: the GRU, its state between steps, and PPO over whole sequences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.toy_task import Corridor
from tutelage.graphs.config.config import make_config
from tutelage.graphs.runtime.tasks import task_of
from tutelage.rl.advice.labels import Labels
from tutelage.rl.policy.policy import Policy, make_policy, with_actions
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.ppo.ppo import PPO
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.rollouts.collector import Collector
from tutelage.rl.tasks.base import Observation, ObservationSpec

pytestmark = pytest.mark.usefixtures("one_thread")

SPEC = ObservationSpec(3, 3, 6, 4)
GRU = StudentSettings(memory="gru", hidden=16)


def a_student(seed: int = 0) -> Policy:
    student = make_policy("a task", SPEC, 3, GRU, "cpu", seed)
    with torch.no_grad():
        student.network.policy_head.weight *= 100
    return student


def sequence(steps: int, rows: int, seed: int = 0) -> list[Observation]:
    rng = np.random.default_rng(seed)
    return [
        Observation(
            rng.integers(0, 6, (rows, 3, 3), dtype=np.uint8),
            rng.normal(size=(rows, 4)).astype(np.float32),
        )
        for _ in range(steps)
    ]


def test_unrolled_steps_are_the_single_ones_and_pytorchs_own_gru_agrees() -> None:
    """Episodes that start within the sequence forget; the others go on from the given state."""
    student, steps, rows = a_student(), 9, 5
    rng = np.random.default_rng(1)
    starts = rng.random((steps, rows)) < 0.3
    starts[0] = False
    state = student.initial_state(rows)
    state.hidden = rng.normal(size=state.hidden.shape).astype(np.float32)
    state.previous = rng.integers(0, 3, rows)
    before, seen = state[:], sequence(steps, rows)
    expected, previous = [], []
    for t, observation in enumerate(seen):
        state.forget(starts[t])
        previous.append(state.previous)
        logits, values = student.policy_and_value(observation, state)
        expected.append((logits, values))
        state.previous = rng.integers(0, 3, rows)
    features = with_actions(np.stack([o.features for o in seen]), np.stack(previous), 3)
    logits, values = student.network.unroll(
        torch.from_numpy(np.stack([o.codes for o in seen])),
        torch.from_numpy(features),
        torch.from_numpy(starts),
        torch.from_numpy(before.hidden),
    )
    np.testing.assert_allclose(
        logits.detach(), np.concatenate([e[0] for e in expected]), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        values.detach(), np.concatenate([e[1] for e in expected]), rtol=1e-4, atol=1e-5
    )


def test_memory_tells_two_pasts_apart_until_it_is_forgotten() -> None:
    student = a_student()
    first, second = sequence(2, 2)
    same_now = Observation(second.codes[[0, 0]], second.features[[0, 0]])
    state = student.initial_state(2)
    student.policy_and_value(first, state)
    logits, _ = student.policy_and_value(same_now, state[:])
    assert np.abs(logits[0] - logits[1]).max() > 0.01
    state.forget(np.array([True, True]))
    logits, _ = student.policy_and_value(same_now, state)
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-5)


def test_the_previous_action_is_known() -> None:
    student = a_student()
    (observation,) = sequence(1, 1)
    found = []
    for previous in (-1, 0, 1, 2):
        state = student.initial_state(1)
        state.previous = np.array([previous])
        found.append(student.policy_and_value(observation, state)[0].tolist())
    assert len({str(logits) for logits in found}) == 4


def test_a_recurrent_policy_asks_for_its_state() -> None:
    with pytest.raises(ValueError, match="initial_state"):
        a_student().policy_and_value(sequence(1, 1)[0])


def corridor_collector(seed: int = 0) -> tuple[Collector, Policy]:
    task = Corridor()
    student = make_policy(
        "corridor", task.observation_spec, len(task.action_names), GRU, "cpu", seed
    )
    envs = task.make_envs(4, "train", seed)
    return Collector(task, student, envs, 40, np.random.default_rng(seed)), student


def test_a_recorded_rollout_is_what_the_unrolled_network_says() -> None:
    """Memory at the first step, previous actions and starts: all that PPO needs to go over it."""
    collector, student = corridor_collector()
    for _ in range(2):
        rollout = collector.collect()
    ended = rollout.terminated | rollout.truncated
    assert ended[:-1].any(), "no episode ends within the rollout: nothing is tested"
    starts = np.zeros_like(ended)
    starts[1:] = ended[:-1]
    features = with_actions(rollout.features, rollout.previous, student.num_actions)
    _, values = student.network.unroll(
        torch.from_numpy(rollout.codes),
        torch.from_numpy(features),
        torch.from_numpy(starts),
        torch.from_numpy(rollout.hidden),
    )
    np.testing.assert_allclose(
        values.detach().numpy().reshape(rollout.values.shape), rollout.values, rtol=1e-4, atol=1e-5
    )
    assert (rollout.previous[starts] == -1).all()
    later = ~starts[1:]
    assert (rollout.previous[1:][later] == rollout.actions[:-1][later]).all()


def test_a_restored_collector_goes_on_as_the_unbroken_one() -> None:
    unbroken, student = corridor_collector()
    unbroken.collect()
    arrays, record = unbroken.snapshot()
    restored, other = corridor_collector()
    other.network.load_state_dict(student.network.state_dict())
    restored.restore({name: array.copy() for name, array in arrays.items()}, record)
    one, two = unbroken.collect(), restored.collect()
    for name in ("features", "actions", "values", "previous", "hidden", "last_values"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_another_students_memory_is_refused() -> None:
    collector, _ = corridor_collector()
    arrays, record = collector.snapshot()
    arrays["collector.memory.hidden"] = arrays["collector.memory.hidden"][:, :3]
    with pytest.raises(ValueError, match="memory"):
        corridor_collector()[0].restore(arrays, record)


def test_minibatches_hold_whole_sequences() -> None:
    """Every step of every environment once an epoch; those of one environment together."""
    collector, student = corridor_collector()
    rollout = collector.collect()
    ppo = PPO(student, PPOSettings(minibatch_size=80), np.random.default_rng(0))
    numbers = {"row": torch.arange(160), "hidden": torch.arange(4)}
    batches = list(ppo._minibatches(numbers, rollout))
    rows = [batch["row"].numpy() for batch in batches]
    assert [batch.shape for batch in rows] == [(40, 2), (40, 2)]
    assert sorted(np.concatenate([b.ravel() for b in rows])) == list(range(160))
    for batch, whole in zip(rows, batches, strict=True):
        envs = batch % 4
        assert (envs == whole["hidden"].numpy()).all()
        assert (np.diff(batch // 4, axis=0) == 1).all()


def test_a_gru_learns_from_advice() -> None:
    """Cross-entropy alone, over whole sequences: the advised action becomes the likeliest."""
    collector, student = corridor_collector()
    ppo = PPO(student, PPOSettings(learning_rate=1e-2), np.random.default_rng(0))
    for _ in range(5):
        rollout = collector.collect()
        targets = np.zeros((rollout.size, student.num_actions), np.float32)
        wanted = (rollout.features.reshape(rollout.size, -1)[:, 0] > 0.4).astype(int)
        targets[np.arange(rollout.size), wanted] = 1.0
        labels = Labels(targets, np.ones(rollout.size, np.float32))
        report = ppo.update(rollout, labels, 10.0, 0.0)
    assert report.advice_loss < 0.4


@pytest.mark.parametrize(("sees", "side", "features"), [("map", 7, 73), ("view", 3, 4)])
def test_a_run_shows_its_student_what_the_settings_say(sees: str, side: int, features: int) -> None:
    config = make_config(None, [f"student.sees={sees}"], {})
    spec = task_of(config).observation_spec
    assert (spec.height, spec.width, spec.features) == (side, side, features)
