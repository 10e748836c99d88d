"""The four levels: what is in them, that they can be solved, and how an episode ends.

Layouts are judged by `level_judge`, a search of its own, whose plans are played in the real
environments.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils import seeding
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from minigrid.core.world_object import Door
from scipy.stats import chisquare

from helpers.level_judge import (
    BLUE,
    RED,
    cells_with,
    door_cells,
    doorway_of,
    from_text,
    judge,
    key_cells,
    room_sides,
)
from tutelage.rl.minigrid.codes import (
    DOOR_LOCKED,
    EMPTY,
    FORWARD,
    KEY,
    LAVA,
    LEFT,
    NUM_COLORS,
    PICKUP,
    RIGHT,
    TOGGLE,
    WALL,
    cell_codes,
)
from tutelage.rl.minigrid.layouts import (
    LAVA_ROOM,
    SIMPLE_ROOM,
    Layout,
    LayoutSpec,
    draw_layout,
    splitmix64,
)
from tutelage.rl.minigrid.levels import (
    LEVELS,
    ColoredDoorKey,
    DivergentDoorKey,
    DoorKeyRoom,
    LavaDoorKey,
    SimpleDoorKey,
    grid_of,
    layout_seed,
    register_levels,
)

ONE_DOOR = (SimpleDoorKey, LavaDoorKey, ColoredDoorKey)
every_level = pytest.mark.parametrize("level", LEVELS)


def start_env(level: type[DoorKeyRoom], layout: Layout) -> DoorKeyRoom:
    """An environment at the start of this very layout."""
    env = level()
    env.reset(seed=0)
    env.grid = grid_of(layout.codes)
    env.agent_pos, env.agent_dir = (layout.x, layout.y), layout.direction
    return env


def play(env: DoorKeyRoom, plan: list[int]) -> tuple[float, bool, bool]:
    """Do all actions; everything before the last must be unrewarded and leave the episode open."""
    for action in plan[:-1]:
        assert env.step(action)[1:4] == (0.0, False, False)
    reward, terminated, truncated = env.step(plan[-1])[1:4]
    return reward, terminated, truncated


def layouts(spec: LayoutSpec, count: int) -> Iterator[Layout]:
    return (draw_layout(spec, seed) for seed in range(count))


def uniform(counts: list[int]) -> bool:
    return bool(chisquare(counts).pvalue > 1e-3)


@every_level
def test_gymnasium_accepts_it(level: type[DoorKeyRoom]) -> None:
    env: gym.Env[Any, Any] = gym.make(f"Tutelage/{level.__name__}-v0", render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="The system font")  # pygame's, for "human"
        check_env(env.unwrapped)
    observation, _ = env.reset(seed=1)
    assert observation["image"].shape == (3, 3, 3)
    frame = env.render()
    assert isinstance(frame, np.ndarray)
    assert frame.std() > 0
    unwrapped = env.unwrapped
    assert isinstance(unwrapped, level)
    assert (unwrapped.max_steps, unwrapped.see_through_walls) == (150, False)
    env.close()


def test_registering_again_changes_nothing() -> None:
    before = dict(gym.registry)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register_levels()
    assert dict(gym.registry) == before
    assert {f"Tutelage/{level.__name__}-v0" for level in LEVELS} <= set(before)


def test_the_mission_is_fixed_for_each_task() -> None:
    missions = [{level().reset(seed=s)[0]["mission"] for s in range(3)} for level in LEVELS]
    assert missions == [{"open the door"}] * 3 + [{"open one of the two doors"}]


@every_level
def test_the_environment_shows_the_layout_of_its_seed(level: type[DoorKeyRoom]) -> None:
    env = level()
    for seed in range(20):
        env.reset(seed=seed)
        layout = draw_layout(level.layout, layout_seed(seeding.np_random(seed)[0]))
        np.testing.assert_array_equal(cell_codes(env.grid.encode()).T, layout.codes)
        assert (*env.agent_pos, env.agent_dir) == layout[1:]


def start_of(env: DoorKeyRoom) -> tuple[bytes, object, int]:
    return env.grid.encode().tobytes(), tuple(env.agent_pos), env.agent_dir


@every_level
def test_same_seed_same_level_and_other_seeds_differ(level: type[DoorKeyRoom]) -> None:
    one, other = level(), level()
    seen = set()
    for seed in range(100):
        one.reset(seed=seed)
        other.reset(seed=seed)
        assert start_of(one) == start_of(other)
        seen.add(start_of(one))
    assert len(seen) > 95
    other.reset()
    assert start_of(one) != start_of(other)


def test_layout_seeds_use_all_63_bits() -> None:
    drawn = {layout_seed(seeding.np_random(seed)[0]) for seed in range(500)}
    assert len(drawn) == 500
    assert np.bitwise_or.reduce(list(drawn)) == 2**63 - 1


@given(seed=st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=50, deadline=None)
def test_any_64_bit_seed_gives_a_layout_and_always_the_same(seed: int) -> None:
    first, second = draw_layout(LAVA_ROOM, seed), draw_layout(LAVA_ROOM, seed)
    np.testing.assert_array_equal(first.codes, second.codes)
    assert first[1:] == second[1:]
    assert first.codes[first.y, first.x] == EMPTY


def test_splitmix64_gives_the_published_sequence() -> None:
    state = np.array([1234567], dtype=np.uint64)
    drawn = [int(splitmix64(state)) for _ in range(3)]
    assert drawn == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@every_level
def test_every_level_holds_what_its_task_says(level: type[DoorKeyRoom]) -> None:
    colors = set()
    for codes, x, y, direction in layouts(level.layout, 2000):
        width, height = room_sides(codes)
        doors, keys = door_cells(codes), key_cells(codes)
        lava = cells_with(codes, LAVA)
        on_floor = {*keys, *lava}
        outer = codes.copy()
        outer[1 : height - 1, 1 : width - 1] = WALL
        assert cells_with(outer, EMPTY) == []
        assert np.count_nonzero(outer != WALL) == len(doors)
        corners = {(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)}
        assert corners.isdisjoint(doors)
        assert all(i in (0, width - 1) or j in (0, height - 1) for i, j in doors)
        inside = codes[1 : height - 1, 1 : width - 1]
        assert np.count_nonzero(inside == EMPTY) == inside.size - len(on_floor)
        assert codes[y, x] == EMPTY
        assert direction in range(4)

        door_colors = {int(codes[j, i]) - DOOR_LOCKED for i, j in doors}
        key_colors = sorted(int(codes[j, i]) - KEY for i, j in keys)
        doorways = {doorway_of(codes, door) for door in doors}
        colors |= door_colors
        assert len(lava) == (level is LavaDoorKey)
        assert doorways.isdisjoint(lava)
        if level is ColoredDoorKey:
            assert (door_colors, key_colors) == ({BLUE}, [RED, BLUE])
            assert doorways.isdisjoint(keys)
        else:
            assert door_colors == set(key_colors)
            assert len(keys) == 1
        if level is DivergentDoorKey:
            (ax, ay), (bx, by) = doors
            assert codes.shape == (20, 20) == (height, width)
            assert abs(ax - bx) == 19 or abs(ay - by) == 19
            assert set(keys) <= {(9, 9), (9, 10), (10, 9), (10, 10)}
        else:
            assert len(doors) == 1
            assert codes.shape == (10, 10)
    assert len(colors) == (1 if level is ColoredDoorKey else NUM_COLORS)


@pytest.mark.parametrize("level", ONE_DOOR)
def test_sides_walls_headings_and_doors_are_drawn_evenly(level: type[DoorKeyRoom]) -> None:
    sides = np.zeros((11, 11), dtype=int)
    walls_headings = np.zeros((4, 4), dtype=int)
    along = [0] * 8
    for codes, _, _, direction in layouts(level.layout, 6000):
        width, height = room_sides(codes)
        ((x, y),) = door_cells(codes)
        wall = [x == width - 1, y == height - 1, x == 0, y == 0].index(True)
        sides[height, width] += 1
        walls_headings[wall, direction] += 1
        if (height if wall % 2 == 0 else width) == 10:
            along[(y if wall % 2 == 0 else x) - 1] += 1
    assert sides[5:, 5:].sum() == 6000
    assert uniform(list(sides[5:, 5:].ravel()))
    assert uniform(list(walls_headings.ravel()))
    assert uniform(along)


@every_level
def test_agent_and_keys_lie_evenly_over_the_floor(level: type[DoorKeyRoom]) -> None:
    """In rooms of the smallest size; things that keep out of each other's way are nearly even."""
    smallest = level.layout._replace(min_side=5, max_side=5, central_key=False)
    agents, keys = np.zeros((5, 5), int), np.zeros((5, 5), int)
    for codes, x, y, _ in layouts(smallest, 5000):
        agents[y, x] += 1
        for i, j in key_cells(codes):
            keys[j, i] += 1
    assert uniform(list(agents[1:4, 1:4].ravel()))
    if level is ColoredDoorKey:  # the middle is no doorway, so keys lie there more often
        assert keys[1:4, 1:4].min() > 0
    else:
        assert uniform(list(keys[1:4, 1:4].ravel()))


def test_divergent_uses_both_pairs_of_walls_and_all_central_cells() -> None:
    sideways, central = [0, 0], np.zeros((20, 20), int)
    for layout in layouts(DivergentDoorKey.layout, 2000):
        (left, _), (right, _) = door_cells(layout.codes)
        sideways[int(abs(left - right) == 19)] += 1
        ((x, y),) = key_cells(layout.codes)
        central[y, x] += 1
    assert uniform(sideways)
    assert uniform(list(central[9:11, 9:11].ravel()))


@pytest.mark.parametrize(
    ("level", "count"),
    [(SimpleDoorKey, 1000), (LavaDoorKey, 1000), (ColoredDoorKey, 1000), (DivergentDoorKey, 200)],
)
def test_every_level_can_be_solved_in_the_real_environment(
    level: type[DoorKeyRoom], count: int
) -> None:
    lengths = []
    for layout in layouts(level.layout, count):
        plan = judge(layout)
        assert plan is not None
        lengths.append(len(plan))
        if len(lengths) <= 100:
            reward, terminated, truncated = play(start_env(level, layout), plan)
            assert reward == pytest.approx(1 - 0.9 * len(plan) / 150)
            assert (terminated, truncated) == (True, False)
    assert max(lengths) < 75
    if level is SimpleDoorKey:  # about 12 steps on average in the original task
        assert 11 < np.mean(lengths) < 13


@pytest.mark.parametrize(
    ("picture", "x", "y", "expected"),
    [
        ("##### #...# #.b.D #...# #####", 1, 1, True),
        ("####### #.b...D #######", 1, 1, True),  # the only key is in the way: picked up
        ("####### #.b.~.D #######", 1, 1, False),  # lava bars the passage
        ("####### #b...~D #######", 2, 1, False),  # lava in the doorway
        ("####### #...r.D #######", 1, 1, False),  # no key of the door's colour
        ("####### #.b..rD #######", 1, 1, False),  # the other key locks the doorway
        ("####### #.r.b.D #######", 1, 1, True),  # the other key comes first: put down behind
        ("####### #r..b.D #######", 2, 1, True),  # the other key lies behind
        ("####### #.r.b.D #.##### #######", 1, 1, True),  # put down in a niche
        ("####### #.b.r.D ###.### #######", 1, 1, True),  # swapped with the help of a niche
        ("####### #.#b..D #######", 1, 1, False),  # walled in
        ("####### #~b...D #.##### #######", 1, 2, False),  # lava at the only way out
    ],
)
def test_the_judge_knows_what_can_be_solved(picture: str, x: int, y: int, expected: bool) -> None:
    layout = Layout(from_text(picture), x, y, 0)
    plan = judge(layout)
    assert (plan is not None) is expected
    if plan is not None:
        reward, terminated, _ = play(start_env(ColoredDoorKey, layout), plan)
        assert reward > 0
        assert terminated


def test_a_room_without_enough_floor_is_refused() -> None:
    with pytest.raises(ValueError, match="too little free floor"):
        draw_layout(SIMPLE_ROOM._replace(min_side=3, max_side=3), 0)


@pytest.mark.parametrize("sides", [(2, 5), (5, 11), (6, 5)])
def test_impossible_sides_are_refused(sides: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="min_side <= max_side <= grid_side"):
        draw_layout(SIMPLE_ROOM._replace(min_side=sides[0], max_side=sides[1]), 0)


def test_a_code_that_no_layout_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="code 0 is not"):
        grid_of(np.zeros((3, 3), dtype=np.uint8))


def test_lava_ends_the_episode_with_nothing() -> None:
    env = start_env(LavaDoorKey, Layout(from_text("###### #.b..D #..~.# ######"), 1, 1, 0))
    assert play(env, [RIGHT, FORWARD, LEFT, FORWARD, FORWARD]) == (0.0, True, False)


def test_only_the_key_of_the_doors_colour_opens_it() -> None:
    env = start_env(ColoredDoorKey, Layout(from_text("###### #br.D# ######"), 3, 1, 2))
    assert play(env, [PICKUP, RIGHT, RIGHT, TOGGLE]) == (0.0, False, False)
    env = start_env(ColoredDoorKey, Layout(from_text("###### #rb.D# ######"), 3, 1, 2))
    assert play(env, [PICKUP, RIGHT, RIGHT, TOGGLE])[1:] == (True, False)


@pytest.mark.parametrize("turns", [1, 3])
def test_either_of_two_doors_ends_the_episode(turns: int) -> None:
    env = start_env(DivergentDoorKey, Layout(from_text("##D## #..b# ##D##"), 2, 1, 0))
    reward, terminated, _ = play(env, [PICKUP, *[RIGHT] * turns, TOGGLE])
    assert reward == pytest.approx(1 - 0.9 * (turns + 2) / 150)
    assert terminated


@pytest.mark.parametrize(
    ("idle", "heading", "reward", "terminated"), [(146, 2, 0.1, True), (147, 3, 0.0, False)]
)
def test_the_door_counts_up_to_the_150th_step(
    idle: int, heading: int, reward: float, terminated: bool
) -> None:
    env = start_env(SimpleDoorKey, Layout(from_text("##### #.b.D #####"), 1, 1, heading))
    plan = [*[LEFT] * idle, PICKUP, FORWARD, FORWARD, TOGGLE]
    last_reward, *end = play(env, plan[:150])
    assert last_reward == pytest.approx(reward)
    assert end == [terminated, True]


def test_a_door_that_was_not_locked_is_not_rewarded() -> None:
    env = start_env(SimpleDoorKey, Layout(from_text("#### #b.D ####"), 2, 1, 0))
    door = env.grid.get(3, 1)
    assert isinstance(door, Door)
    door.is_locked = False
    assert play(env, [TOGGLE]) == (0.0, False, False)
    assert door.is_open
