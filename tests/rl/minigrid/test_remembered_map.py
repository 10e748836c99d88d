"""The wrapper for students that have left: what it shows is what they saw in training."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Discrete
from hypothesis import given, settings
from hypothesis import strategies as st
from minigrid.envs import EmptyEnv

from helpers.small_students import student_for, vector
from tutelage.rl.minigrid.catalogue import SHIPPED
from tutelage.rl.minigrid.remembered_map import RememberedMap
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.seeding import episode_seed
from tutelage.rl.tasks.spaces import Tokens

ENV_IDS = {info.name: info.env_id for info in SHIPPED}
NAMES = (
    "LavaDoorKey",
    "MiniGrid-DoorKey-5x5-v0",
    "MiniGrid-MultiRoom-N2-S4-v0",
    "BabyAI-PickupLoc-v0",
    "BabyAI-GoToObjMazeS4-v0",
)


@pytest.mark.parametrize("crop", [7, 3, None])
@pytest.mark.parametrize("name", NAMES)
@given(
    seed=st.integers(0, 2**40),
    actions=st.lists(
        st.tuples(st.sampled_from([0, 1, 2, 2, 2, 3, 4, 5, 6]), st.sampled_from([1, 1, 1, 2, 40])),
        min_size=1,
        max_size=40,
    ),
)
@settings(max_examples=6, deadline=None)
def test_it_shows_what_the_student_sees_in_training(
    name: str, crop: int | None, seed: int, actions: list[tuple[int, int]]
) -> None:
    """Through the end of an episode, its last sight included, into the next one.

    actions: each with how often it is done in a row, most of the time in vain.
    """
    task = make_task(name, crop)
    envs = task.make_envs(1, "train", seed)
    envs.reset()
    env = RememberedMap.for_student(
        gym.make(ENV_IDS.get(name, name), disable_env_checker=True), task
    )
    assert env.observation_space == gym.spaces.Dict(task.observation_space)
    seen, _ = env.reset(seed=episode_seed(seed, "train", 0, 0))
    episode = 0
    for action in [action for action, times in actions for _ in range(times)]:
        expected = envs.observe()
        assert list(seen) == list(expected)
        for key, array in expected.items():
            np.testing.assert_array_equal(seen[key], array[0])
            assert seen[key].dtype == array.dtype
        assert env.observation_space.contains(seen)
        result = envs.step(np.array([action]))
        seen, reward, terminated, truncated, _ = env.step(action)
        assert np.float32(reward) == result.rewards[0]
        assert (terminated, truncated) == (result.terminated[0], result.truncated[0])
        if truncated:
            assert result.final is not None
            for key, array in result.final.items():
                np.testing.assert_array_equal(seen[key], array[0])
        if terminated or truncated:
            episode += 1
            seen, _ = env.reset(seed=episode_seed(seed, "train", 0, episode))


def test_what_was_shown_does_not_change_any_more() -> None:
    env = RememberedMap(gym.make("MiniGrid-DoorKey-5x5-v0"), crop=7)
    seen, _ = env.reset(seed=0)
    kept = {key: array.copy() for key, array in seen.items()}
    for _ in range(5):
        env.step(0)
    for key, array in kept.items():
        np.testing.assert_array_equal(seen[key], array)


def test_the_last_step_is_told_until_the_next_episode() -> None:
    env = RememberedMap(gym.make("MiniGrid-Empty-5x5-v0"), crop=7)
    told = [env.reset(seed=0)[0]] + [env.step(action)[0] for action in (3, 3, 1, 2)]
    told.append(env.reset(seed=0)[0])
    last = [np.flatnonzero(seen["features"][73:]).tolist() for seen in told]
    # Nothing to pick up, twice; then a turn, which shows the room's corner, and a step ahead.
    assert last[:3] == [[], [7 + 3, 14], [7 + 3, 14, 15]]
    assert [numbers[0] for numbers in last[3:5]] == [1, 2]
    assert last[5] == []


def test_the_mission_is_shown_where_its_length_is_given() -> None:
    env = RememberedMap(gym.make("BabyAI-GoToObj-v0"), crop=7, mission_words=24)
    seen, _ = env.reset(seed=0)
    assert seen["mission"].shape == (24,)
    assert seen["mission"].any()
    assert env.observation_space["mission"] == Tokens(24)


def test_the_maps_side_may_be_given() -> None:
    """It is what distances of the sides are measured by."""
    whole = RememberedMap(gym.make("MiniGrid-Empty-16x16-v0"), crop=3)
    larger = RememberedMap(gym.make("MiniGrid-Empty-16x16-v0"), crop=3, map_side=61)
    known, less = (env.reset(seed=0)[0]["features"] for env in (whole, larger))
    assert known[:56].any()
    np.testing.assert_array_equal(known[:56], less[:56])
    np.testing.assert_allclose(known[56:64:2], less[56:64:2] * 2, rtol=1e-6)


@given(width=st.integers(5, 12), height=st.integers(5, 12), half=st.integers(1, 14))
@settings(max_examples=30)
def test_a_map_that_cannot_hold_the_grid_is_refused(width: int, height: int, half: int) -> None:
    env = EmptyEnv(size=12)
    env.width, env.height = width, height
    side = 2 * half + 1
    if half >= max(width, height) - 1:
        RememberedMap(env, 3, side)
    else:
        with pytest.raises(ValueError, match=f"{width} x {height} cells needs .* has {side}$"):
            RememberedMap(env, 3, side)


def test_so_is_a_student_of_smaller_grids() -> None:
    """The other way about it has the map of its training, with room to spare."""
    student = make_task("MiniGrid-Empty-5x5-v0", 3)
    with pytest.raises(ValueError, match=r"16 x 16 cells needs a remembered map of 31 .* has 9$"):
        RememberedMap.for_student(gym.make("MiniGrid-Empty-16x16-v0"), student)
    larger = make_task("MiniGrid-Empty-16x16-v0", 3)
    RememberedMap.for_student(gym.make("MiniGrid-Empty-5x5-v0"), larger).reset(seed=0)


def test_a_student_of_the_bare_view_is_at_home_in_any_grid() -> None:
    small = make_task("MiniGrid-Empty-5x5-v0", None)
    envs = (gym.make("MiniGrid-Empty-16x16-v0") for _ in range(2))
    given, whole = RememberedMap.for_student(next(envs), small), RememberedMap(next(envs), None)
    steps = [env.reset(seed=0)[0] for env in (given, whole)]
    for action in [2] * 14 + [1] + [2] * 14 + [1, 2]:
        np.testing.assert_equal(*steps)
        steps = [env.step(action)[0] for env in (given, whole)]


def test_students_and_environments_that_do_not_fit_are_refused() -> None:
    env = gym.make("MiniGrid-Empty-5x5-v0", agent_view_size=5)
    with pytest.raises(ValueError, match="sees 7 cells to a side, the environment shows 5"):
        RememberedMap.for_student(env, make_task("MiniGrid-Empty-5x5-v0", None))
    other = student_for({"observation": Tokens(3)}).spec
    with pytest.raises(ValueError, match="no student of a MiniGrid level"):
        RememberedMap.for_student(env, other)
    older = {"grid": make_task("MiniGrid-Empty-5x5-v0", 5).observation_space["grid"]}
    with pytest.raises(ValueError, match=r"shape \(73,\); .* \(95,\) .* \(4,\): it"):
        RememberedMap.for_student(env, student_for(older | {"features": vector(73)}).spec)
    for crop, side in ((4, 9), (5, 8), (5, 2**31 - 1)):
        with pytest.raises(ValueError, match="must be odd"):
            RememberedMap(env, crop, side)
    with pytest.raises(ValueError, match="is not a MiniGrid environment"):
        RememberedMap(gym.make("CartPole-v1"), 7)


def test_actions_stay_minigrids_own() -> None:
    assert RememberedMap(gym.make("MiniGrid-Empty-5x5-v0"), crop=7).action_space == Discrete(7)
