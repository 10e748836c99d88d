"""Recurrent policies: the GRU, its state between steps, and PPO over whole sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from helpers.small_students import ACTIONS, decided, observations_for, student_for, vector
from helpers.toy_task import Corridor
from tutelage.graphs.config.config import make_config
from tutelage.graphs.runtime.tasks import task_of
from tutelage.rl.advice.labels import Labels
from tutelage.rl.policy.policy import Policy, make_policy
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.ppo.ppo import PPO
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.rollouts.buffer import flat
from tutelage.rl.rollouts.collector import Collector
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.base import select_rows
from tutelage.rl.tasks.spaces import CategoryGrid, ObservationSpace

pytestmark = pytest.mark.usefixtures("one_thread")

SPACE: ObservationSpace = {"grid": CategoryGrid(3, 3, 6), "features": vector(4)}
GRU = StudentSettings(memory="gru", hidden=16)


def a_student(seed: int = 0, actions: str = "Discrete") -> Policy:
    return decided(student_for(SPACE, ACTIONS[actions], GRU, seed))


def sequence(steps: int, rows: int, seed: int = 0) -> list[dict[str, Any]]:
    return [observations_for(SPACE, rows, 100 * seed + t) for t in range(steps)]


def stacked(observations: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """[T, B, ...] for each key."""
    return {key: torch.from_numpy(np.stack([o[key] for o in observations])) for key in SPACE}


@pytest.mark.parametrize("actions", ACTIONS)
def test_unrolled_steps_are_the_single_ones_and_pytorchs_own_gru_agrees(actions: str) -> None:
    """Episodes that start within the sequence forget; the others go on from the given state."""
    student, steps, rows = a_student(actions=actions), 9, 5
    rng = np.random.default_rng(1)
    starts = rng.random((steps, rows)) < 0.3
    starts[0] = False
    state = student.initial_state(rows)
    state.hidden = rng.normal(size=state.hidden.shape).astype(np.float32)
    student.did(state, any_actions(actions, rows, rng))
    before, seen = state[:], sequence(steps, rows)
    expected, previous = [], []
    for t, observation in enumerate(seen):
        state.forget(starts[t])
        previous.append(state.previous)
        params, values = student.policy_and_value(observation, state)
        expected.append((params, values))
        student.did(state, any_actions(actions, rows, rng))
    params, values = student.network.unroll(
        stacked(seen),
        torch.from_numpy(np.stack(previous)),
        torch.from_numpy(starts),
        torch.from_numpy(before.hidden),
    )
    np.testing.assert_allclose(
        params.detach(), np.concatenate([e[0] for e in expected]), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        values.detach(), np.concatenate([e[1] for e in expected]), rtol=1e-4, atol=1e-5
    )


def any_actions(actions: str, rows: int, rng: np.random.Generator) -> Any:
    targets = action_targets(ACTIONS[actions])
    return targets.draw(targets.uniform(None, rows), rng)


def test_memory_tells_two_pasts_apart_until_it_is_forgotten() -> None:
    student = a_student()
    first, second = sequence(2, 2)
    same_now = select_rows(second, np.array([0, 0]))
    state = student.initial_state(2)
    student.policy_and_value(first, state)
    logits, _ = student.policy_and_value(same_now, state[:])
    assert np.abs(logits[0] - logits[1]).max() > 0.01
    state.forget(np.array([True, True]))
    logits, _ = student.policy_and_value(same_now, state)
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-5)


PREVIOUS: dict[str, list[Any]] = {
    "Discrete": [0, 1, 2],
    "MultiDiscrete": [[0, 0, 0], [1, 0, 0], [0, 0, 1]],
    "Box": [[1.0, 3.0, 0.5], [-1.0, 3.0, 0.5], [1.0, 3.0, -0.5]],
}


@pytest.mark.parametrize("actions", ACTIONS)
def test_the_previous_action_is_known(actions: str) -> None:
    """And that there is none at an episode's first step."""
    student = a_student(actions=actions)
    (observation,) = sequence(1, 1)
    found = [student.policy_and_value(observation, student.initial_state(1))[0].tolist()]
    for previous in PREVIOUS[actions]:
        state = student.initial_state(1)
        student.did(state, np.array([previous], dtype=ACTIONS[actions].dtype))
        found.append(student.policy_and_value(observation, state)[0].tolist())
    assert len({str(params) for params in found}) == 4


def test_a_recurrent_policy_asks_for_its_state() -> None:
    with pytest.raises(ValueError, match="initial_state"):
        a_student().policy_and_value(sequence(1, 1)[0])


def corridor_collector(seed: int = 0) -> tuple[Collector, Policy]:
    task = Corridor()
    student = make_policy(task, GRU, "cpu", seed)
    envs = task.make_envs(4, "train", seed)
    return Collector(task, student, envs, 40, np.random.default_rng(seed), 0.97), student


def test_a_recorded_rollout_is_what_the_unrolled_network_says() -> None:
    """Memory at the first step, previous actions and starts: all that PPO needs to go over it."""
    collector, student = corridor_collector()
    for _ in range(2):
        rollout = collector.collect()
    ended = rollout.terminated | rollout.truncated
    assert ended[:-1].any(), "no episode ends within the rollout: nothing is tested"
    starts = np.zeros_like(ended)
    starts[1:] = ended[:-1]
    _, values = student.network.unroll(
        {key: torch.from_numpy(seen) for key, seen in rollout.observations.items()},
        torch.from_numpy(rollout.previous),
        torch.from_numpy(starts),
        torch.from_numpy(rollout.hidden),
    )
    np.testing.assert_allclose(
        values.detach().numpy().reshape(rollout.values.shape), rollout.values, rtol=1e-4, atol=1e-5
    )
    assert not rollout.previous[starts].any()
    later = ~starts[1:]
    done = np.eye(3, dtype=np.float32)[rollout.actions[:-1][later]]
    assert (rollout.previous[1:][later] == done).all()


def test_a_restored_collector_goes_on_as_the_unbroken_one() -> None:
    unbroken, student = corridor_collector()
    unbroken.collect()
    arrays, record = unbroken.snapshot()
    restored, other = corridor_collector()
    other.network.load_state_dict(student.network.state_dict())
    restored.restore({name: array.copy() for name, array in arrays.items()}, record)
    one, two = unbroken.collect(), restored.collect()
    np.testing.assert_array_equal(one.observations["features"], two.observations["features"])
    for name in ("actions", "values", "previous", "hidden", "last_values"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_another_students_memory_is_refused() -> None:
    collector, _ = corridor_collector()
    arrays, record = collector.snapshot()
    for name in ("collector.memory.hidden", "collector.memory.previous"):
        for other, says in (
            (arrays[name][:, :2], "this student's memory"),
            (arrays[name].astype(np.float64), "this student's memory"),
            (arrays[name] + np.float32(np.nan), "not finite"),
        ):
            with pytest.raises(ValueError, match=says):
                corridor_collector()[0].restore(arrays | {name: other}, record)


def test_minibatches_hold_whole_sequences() -> None:
    """Every step of every environment once an epoch; those of one environment together."""
    collector, student = corridor_collector()
    rollout = collector.collect()
    ppo = PPO(student, PPOSettings(gamma=0.97, minibatch_size=80), np.random.default_rng(0))
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
    ppo = PPO(student, PPOSettings(gamma=0.97, learning_rate=1e-2), np.random.default_rng(0))
    for _ in range(5):
        rollout = collector.collect()
        targets = np.zeros((rollout.size, 3), np.float32)
        wanted = (flat(rollout.observations["features"])[:, 0] > 0.4).astype(int)
        targets[np.arange(rollout.size), wanted] = 1.0
        labels = Labels(targets, np.ones(rollout.size, np.float32))
        report = ppo.update(rollout, labels, 10.0, 0.0)
    assert report.advice_loss < 0.4


@pytest.mark.parametrize(("sees", "side", "features"), [("map", 7, 95), ("view", 3, 4)])
def test_a_run_shows_its_student_what_the_settings_say(sees: str, side: int, features: int) -> None:
    config = make_config(None, [f"student.sees={sees}"], {})
    grid, seen = task_of(config).observation_space.values()
    assert isinstance(grid, CategoryGrid)
    assert (grid.height, grid.width, seen.shape) == (side, side, (features,))
