"""Running episodes are played again from actions of every kind; damaged records are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.steering_task import STEERING_ACTIONS, STEPS, Steering, SteeringEnvs
from tutelage.rl.rollouts.replay import EpisodeReplay, ReplayError
from tutelage.rl.tasks.action_targets import action_targets

ENVS = 4
PREFIX = "collector.replay."


def played(actions: str, steps: int, seed: int, longest: int = STEPS) -> Any:
    """A replay and its environments after some random steps, in which some environments wait."""
    task, rng = Steering(actions), np.random.default_rng(seed)
    envs, kind = task.make_envs(ENVS, "train", seed), action_targets(task.action_space)
    envs.reset()
    replay = EpisodeReplay(ENVS, longest, task.action_space)
    for _ in range(steps):
        chosen = kind.draw(kind.uniform(None, ENVS), rng)
        active = rng.random(ENVS) < 0.8
        result = envs.step(chosen, active)
        replay.step(chosen, result.terminated | result.truncated, active)
    return replay, envs


def again(actions: str, arrays: Any, seed: int) -> tuple[EpisodeReplay, SteeringEnvs]:
    task = Steering(actions)
    envs = task.make_envs(ENVS, "train", seed)
    replay = EpisodeReplay(ENVS, STEPS, task.action_space)
    replay.restore(arrays, envs)
    return replay, envs


@pytest.mark.parametrize("actions", STEERING_ACTIONS)
@given(steps=st.integers(0, 17), seed=st.integers(0, 999), longest=st.sampled_from([1, STEPS]))
@settings(max_examples=25)
def test_episodes_are_played_again_to_the_same_states(
    actions: str, steps: int, seed: int, longest: int
) -> None:
    """Also where an episode runs longer than was announced."""
    replay, envs = played(actions, steps, seed, longest)
    arrays = replay.snapshot(envs)
    assert arrays[f"{PREFIX}actions"].dtype == STEERING_ACTIONS[actions].dtype
    found, same = again(actions, arrays, seed)
    np.testing.assert_array_equal(same.states().places, envs.states().places)
    np.testing.assert_array_equal(same.observe()["place"], envs.observe()["place"])
    np.testing.assert_array_equal(found.episodes, replay.episodes)
    for name, array in found.snapshot(same).items():
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)


def damages(actions: str) -> dict[str, Any]:
    wrong = {
        "Box": [np.nan, np.inf],
        "Discrete": [-1, 11],
        "MultiDiscrete": [-1, 6],
    }[actions]
    return {
        **{f"an action {number}": lambda a, n=number: np.full_like(a, n) for number in wrong},
        "of another type": lambda a: a.astype(np.int16),
        "of other environments": lambda a: a[:3],
        "of other parts": lambda a: a[..., None],
        "without steps": lambda a: a[:, 0],
        "too few": lambda a: a[:, :1],
    }


@pytest.mark.parametrize(
    ("actions", "damage"), [(a, d) for a in STEERING_ACTIONS for d in damages(a)]
)
def test_actions_that_are_none_are_refused(actions: str, damage: str) -> None:
    replay, envs = played(actions, 4, seed=0)
    arrays = replay.snapshot(envs)
    assert arrays[f"{PREFIX}lengths"].max() > 1
    arrays[f"{PREFIX}actions"] = damages(actions)[damage](arrays[f"{PREFIX}actions"])
    with pytest.raises(ReplayError, match="not those of this run"):
        again(actions, arrays, seed=0)


def test_each_part_has_its_own_limit() -> None:
    """The sign is 0 or 1, though the other part goes up to 5."""
    replay, envs = played("MultiDiscrete", 3, seed=0)
    arrays = replay.snapshot(envs)
    arrays[f"{PREFIX}actions"][0, 0, 0] = 2
    with pytest.raises(ReplayError, match="not those of this run"):
        again("MultiDiscrete", arrays, seed=0)


def test_a_gaussians_actions_may_lie_beyond_the_box() -> None:
    """They are kept as they were drawn; the environment clips them as it did."""
    task = Steering("Box")
    envs = task.make_envs(ENVS, "train", 0)
    envs.reset()
    replay = EpisodeReplay(ENVS, STEPS, task.action_space)
    wild = np.float32([[7], [-7], [0.2], [0.5]])
    envs.step(wild)
    replay.step(wild, np.zeros(ENVS, np.bool_))
    _, same = again("Box", replay.snapshot(envs), seed=0)
    np.testing.assert_array_equal(same.states().places, envs.states().places)


def test_an_episode_that_ends_early_when_it_is_repeated_is_named() -> None:
    replay, envs = played("Box", 2, seed=0)
    arrays = replay.snapshot(envs)
    arrays[f"{PREFIX}actions"] = np.zeros((ENVS, STEPS, 1), np.float32)
    arrays[f"{PREFIX}lengths"][:] = STEPS
    with pytest.raises(ReplayError, match="ended it early"):
        again("Box", arrays, seed=0)


@pytest.mark.parametrize("actions", STEERING_ACTIONS)
def test_an_environment_that_goes_another_way_is_named(actions: str) -> None:
    """Though no episode ends early: its seed is another's, or what it observes has changed."""
    replay, envs = played(actions, 3, seed=0)
    arrays = replay.snapshot(envs)
    with pytest.raises(ReplayError, match="not deterministic for its seed"):
        again(actions, arrays, seed=1)
    again(actions, arrays, seed=0)


class Watched(SteeringEnvs):
    """Environments that observe what they are told to: floats and numbers of categories."""

    floats, category, key = 1.0, 3, "count"

    def observe(self) -> Any:
        seen = np.full((self.num_envs, 2), self.floats)
        return {"place": seen, self.key: np.full(self.num_envs, self.category)}


@pytest.mark.parametrize(
    ("change", "alike"),
    [
        ({}, True),
        ({"floats": 1 + 1e-6}, True),
        ({"floats": 1.01}, False),
        ({"floats": np.nan}, False),
        ({"category": 4}, False),
        ({"key": "number"}, False),
    ],
    ids=str,
)
def test_floats_may_be_rounded_otherwise_and_nothing_else(
    change: dict[str, Any], alike: bool
) -> None:
    task = Steering()
    envs, after = (Watched(task, ENVS, "train", 0) for _ in range(2))
    vars(after).update(change)
    arrays = EpisodeReplay(ENVS, STEPS, task.action_space).snapshot(envs)
    replay = EpisodeReplay(ENVS, STEPS, task.action_space)
    if alike:
        replay.restore(arrays, after)
    else:
        with pytest.raises(ReplayError, match="not deterministic for its seed"):
            replay.restore(arrays, after)


@pytest.mark.parametrize("name", ["digest", "floats"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda a: a[:1],
        lambda a: a[..., None],
        lambda a: a.astype(np.int16),
        lambda a: a.astype(np.float32),
        lambda a: a + np.full_like(a, 1),
        lambda a: np.full_like(a, np.nan) if a.dtype.kind == "f" else a ^ 1,
        lambda a: np.full_like(a, 1e308) if a.dtype.kind == "f" else a ^ 1,
    ],
)
def test_damaged_observations_are_refused(name: str, damage: Any) -> None:
    replay, envs = played("Box", 4, seed=0)
    arrays = replay.snapshot(envs)
    arrays[PREFIX + name] = damage(arrays[PREFIX + name])
    with pytest.raises(ReplayError):
        again("Box", arrays, seed=0)
