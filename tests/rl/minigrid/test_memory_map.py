"""The remembered map: what it holds, what the student sees of it, and that nothing else gets in.

Vectors are held against `grid_judge.Shadow`: the same episodes replayed by MiniGrid alone, with a
book of its own of what was in view.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minigrid.core.world_object import Ball, Box, Door, Floor, Goal, Key, Lava, Wall, WorldObj

from helpers.grid_judge import (
    CODES,
    COLORS,
    EVERY_TASK,
    JUMBLES,
    SHIPPED,
    WORDS,
    Case,
    Shadow,
    Wanderer,
    case,
    patient_case,
    shadows_of,
    word_of,
)
from tutelage.rl.minigrid.codes import (
    CODE_ATTRIBUTES,
    DONE,
    DROP,
    EMPTY,
    FORWARD,
    LEFT,
    NUM_CODES,
    PICKUP,
    RIGHT,
    cell_codes,
)
from tutelage.rl.minigrid.memory_map import LAST, STALE, begin, track
from tutelage.rl.minigrid.observation import NUM_FEATURES
from tutelage.rl.minigrid.vector import GridStates, GridVectorEnv
from tutelage.rl.tasks.arrays import BoolArray, CodeArray, FloatArray, IntArray
from tutelage.rl.tasks.base import Observation, Split
from tutelage.rl.tasks.seeding import episode_seed
from tutelage.rl.tasks.spaces import CategoryGrid

every_task = pytest.mark.parametrize("name", EVERY_TASK)


def start(name: str, num_envs: int, split: Split, seed: int) -> tuple[Case, GridVectorEnv]:
    tested = case(name)
    envs = tested.task.make_envs(num_envs, split, seed)
    envs.reset()
    return tested, envs


def all_things() -> list[WorldObj | None]:
    """Each object of MiniGrid in each colour and state."""
    make_lava: Any = Lava  # MiniGrid leaves some of them untyped
    make_ball: Any = Ball
    things: list[WorldObj | None] = [None, Wall(), Goal(), make_lava()]
    for color in COLORS:
        things += [Floor(color), Key(color), make_ball(color), Box(color)]
        things += [Door(color, True), Door(color), Door(color, is_locked=True)]
    return things


def test_a_cell_has_one_code_for_each_thing_that_it_can_hold() -> None:
    codes = set()
    for thing in all_things():
        triple = thing.encode() if thing else (1, 0, 0)
        code = int(cell_codes(np.array(triple, dtype=np.uint8)))
        assert WORDS[code] == word_of(thing)
        codes.add(code)
    assert codes == set(range(1, NUM_CODES))
    assert cell_codes(np.zeros(3, dtype=np.uint8)) == 0
    assert len(CODES) == NUM_CODES


def agree(states: GridStates, row: int, shadow: Shadow) -> None:
    """The map, pose and view of one world are those of its shadow, and true."""
    cells = states.maps[row]
    np.testing.assert_array_equal(cells, shadow.map_codes(len(cells)))
    for place, word in shadow.seen.items():
        assert word == shadow.true_word(place)
    (place, heading), middle = shadow.pose, len(cells) // 2
    expected = (place.real + middle, place.imag + middle, heading)
    assert tuple(states.poses[row]) == expected
    carried = int(states.views[row, -1, states.views.shape[2] // 2])
    assert carried == (CODES[shadow.carried] if shadow.carried else EMPTY)


@every_task
def test_the_map_is_what_was_seen_and_true(name: str) -> None:
    """Pickups, drops, doors, idle steps and both ways for an episode to end, at every step."""
    num_envs, seed = 3, 5
    tested, envs = start(name, num_envs, "train", seed)
    shadows = shadows_of(tested.env_id, num_envs, "train", seed)
    wanderer = Wanderer(tested.task, num_envs, seed, noise=0.3)
    rng = np.random.default_rng(seed)
    happened = set()
    for _ in range(300 if name in JUMBLES else 165):
        for i in range(num_envs):
            agree(envs.states(), i, shadows[i])
        actions = wanderer.actions(envs.states())
        active = rng.random(num_envs) >= 0.05
        result = envs.step(actions.copy(), active)
        for i, shadow in enumerate(shadows):
            before = shadow.carried, shadow.ahead()
            real = shadow.step(int(actions[i])) if active[i] else (0.0, False, False)
            assert (result.rewards[i], result.terminated[i], result.truncated[i]) == (
                np.float32(real[0]),
                *real[1:],
            )
            happened |= changes(before, (shadow.carried, shadow.ahead()), int(actions[i]))
            happened |= {end for end, ended in zip(("end", "cut"), real[1:], strict=True) if ended}
        check_final(tested, envs, shadows, result.final, result.truncated)
        for shadow in np.array(shadows)[result.terminated | result.truncated]:
            shadow.begin()
    if name in JUMBLES:
        assert happened >= {"end", "cut", "picked up", "dropped", "opened", "shut", "unboxed"}
    elif "DoorKey" in name:
        assert happened >= {"picked up", "dropped"}
    assert happened & {"end", "cut"}


def changes(before: tuple[str | None, str], after: tuple[str | None, str], action: int) -> set[str]:
    """Names for what an action did to the world ahead."""
    (held, ahead), (holds, now) = before, after
    if action == 3 and held != holds:
        return {"picked up"}
    if action == 4 and held != holds:
        return {"dropped"}
    if action == 5 and ahead != now:
        return {"opened" if "(open)" in now else "shut" if "door" in now else "unboxed"}
    return set()


def check_final(
    tested: Case,
    envs: GridVectorEnv,
    shadows: list[Shadow],
    final: Observation | None,
    truncated: BoolArray,
) -> None:
    """The last observations of truncated episodes, which have no state any more."""
    rows = np.flatnonzero(truncated)
    assert (final is None) == (len(rows) == 0)
    if final is None:
        return
    assert {len(array) for array in final.values()} == {len(rows)}
    side, crop = envs.states().maps.shape[1], tested.task.observation_space["grid"].shape[0]
    for k, row in enumerate(rows):
        codes, features = student_view(shadows[row], side, crop)
        np.testing.assert_array_equal(final["grid"][k], codes)
        np.testing.assert_array_equal(final["features"][k], features)


def student_view(shadow: Shadow, side: int, crop: int) -> tuple[CodeArray, FloatArray]:
    """What the student must see, from a map that is turned as a whole until its heading is up."""
    (place, heading), cells = shadow.pose, shadow.map_codes(side)
    agent = np.zeros_like(cells)
    agent[int(place.imag) + side // 2, int(place.real) + side // 2] = 1
    turns = (heading + 1) % 4
    cells, agent = np.rot90(cells, turns), np.rot90(agent, turns)
    ((row, column),) = np.argwhere(agent)
    half = crop // 2
    codes = np.pad(cells, half)[row : row + crop, column : column + crop].copy()
    codes[half, half] = CODES[shadow.carried] if shadow.carried else EMPTY
    return codes, np.concatenate(
        [
            summary(cells, int(row), int(column), half),
            sides(cells, int(row), int(column)),
            carried_features(shadow.carried),
            last_step_features(shadow),
        ]
    )


def test_reaching_the_aim_with_the_last_step_is_no_truncation() -> None:
    tested, envs = start("MiniGrid-Empty-5x5-v0", 2, "train", 0)
    way = [FORWARD, FORWARD, RIGHT, FORWARD, FORWARD]
    waits = tested.task.max_episode_steps - len(way)
    for action in [DONE] * waits + way:
        result = envs.step(np.array([action, LEFT]))
    assert result.terminated.tolist() == [True, False]
    assert result.truncated.tolist() == [False, True]
    assert result.rewards.tolist() == [np.float32(0.1), 0]
    assert result.final is not None
    assert {len(array) for array in result.final.values()} == {1}


CHANNEL_WORDS = (
    ("green goal",),
    tuple(f"{color} key" for color in COLORS),
    tuple(f"{color} {kind}" for color in COLORS for kind in ("ball", "box")),
    tuple(f"{color} door (open)" for color in COLORS),
    tuple(f"{color} door ({state})" for color in COLORS for state in ("closed", "locked")),
)


def summary(cells: CodeArray, row: int, column: int, half: int) -> FloatArray:
    """Closeness of the nearest cell of each channel in the eight blocks around the crop."""
    shut = [CODES["unknown"], CODES["wall"], CODES["lava"]]
    shut += [CODES[word] for word in CHANNEL_WORDS[4]]
    free = np.pad(~np.isin(cells, shut), 1)
    beside = free[:-2, 1:-1] | free[2:, 1:-1] | free[1:-1, :-2] | free[1:-1, 2:]
    channels = [(cells == CODES["unknown"]) & beside]
    channels += [np.isin(cells, [CODES[word] for word in words]) for words in CHANNEL_WORDS]
    channels.append((cells == CODES["unknown"]) & ends_of_walls(cells))
    y, x = np.indices(cells.shape)
    beyond = np.maximum(abs(y - row), abs(x - column)) - half
    rows = (y < row - half, abs(y - row) <= half, y > row + half)
    columns = (x < column - half, abs(x - column) <= half, x > column + half)
    blocks = [r & c for r in rows for c in columns]
    del blocks[4]
    distances = [beyond[block & channel] for block in blocks for channel in channels]
    return np.array([1 / d.min() if d.size else 0 for d in distances], dtype=np.float32)


def ends_of_walls(cells: CodeArray) -> BoolArray:
    """Where a step along an axis comes from a wall or a shut door, and a king's from open floor."""
    solid = np.isin(cells, [CODES[word] for word in ("wall", *CHANNEL_WORDS[4])])
    closed = solid | np.isin(cells, [CODES["unknown"], CODES["lava"]])
    walls, floors = np.pad(solid, 1), np.pad(~closed, 1)
    steps = [(dy, dx) for dy in range(3) for dx in range(3)]
    high, wide = cells.shape
    beside = [walls[dy : dy + high, dx : dx + wide] for dy, dx in steps if 1 in (dy, dx)]
    around = [floors[dy : dy + high, dx : dx + wide] for dy, dx in steps]
    return np.any(beside, axis=0) & np.any(around, axis=0)


def sides(cells: CodeArray, row: int, column: int) -> FloatArray:
    """Ahead, right, behind, left: how far the known map goes, and whether what ends it is solid."""
    solid = np.isin(cells, [CODES[word] for word in ("unknown", "wall", *CHANNEL_WORDS[4])])
    told: list[float] = []
    for _ in range(4):
        outermost = int(np.flatnonzero((cells != CODES["unknown"]).any(axis=1))[0])
        told += [(row - outermost) / (len(cells) // 2), solid[outermost].all()]
        # The right-hand side comes to the top.
        cells, solid = np.rot90(cells), np.rot90(solid)
        row, column = len(cells) - 1 - column, row
    return np.array(told, dtype=np.float32)


def carried_features(carried: str | None) -> FloatArray:
    color, _, kind = (carried or "").partition(" ")
    ones = [kind == k for k in ("key", "ball", "box")] + [color == c for c in COLORS]
    return np.array(ones, dtype=np.float32)


def last_step_features(shadow: Shadow) -> FloatArray:
    """The last action, where it did something and where it did not, and for how long nothing new
    was learned."""
    useful, futile = ([shadow.last == a for a in range(7)] for _ in range(2))
    told = [one and not shadow.futile for one in useful] + [one and shadow.futile for one in futile]
    told += [shadow.stale >= steps for steps in (1, 2, 4, 8, 16, 32, 64, 128)]
    return np.array(told, dtype=np.float32)


LAST_STEP = slice(NUM_FEATURES - 22, NUM_FEATURES)
"""Of the features: those of `last_step_features`, which come last."""


@every_task
def test_the_student_sees_the_map_turned_and_a_summary_of_the_rest(name: str) -> None:
    num_envs, seed = 3, 8
    tested, envs = start(name, num_envs, "train", seed)
    shadows = shadows_of(tested.env_id, num_envs, "train", seed)
    wanderer = Wanderer(tested.task, num_envs, seed, noise=0.2)
    space = tested.task.observation_space
    crop = space["grid"].shape[0]
    assert space["grid"] == CategoryGrid(crop, crop, NUM_CODES, CODE_ATTRIBUTES)
    assert list(space) == ["grid", "features"]
    busy = np.zeros(NUM_FEATURES, dtype=np.bool_)
    rng = np.random.default_rng(seed)
    for _ in range(120 if name in JUMBLES else 30):
        seen = envs.observe()
        for i, shadow in enumerate(shadows):
            codes, features = student_view(shadow, envs.states().maps.shape[1], crop)
            np.testing.assert_array_equal(seen["grid"][i], codes)
            np.testing.assert_array_equal(seen["features"][i], features)
            busy |= features > 0
            assert all(space[key].contains(array[i]) for key, array in seen.items())
        actions = wanderer.actions(envs.states())
        kept = seen["grid"].copy(), seen["features"].copy()
        active = rng.random(num_envs) >= 0.1
        result = envs.step(actions, active)
        np.testing.assert_array_equal(seen["grid"], kept[0])  # what was handed out stays as it was
        np.testing.assert_array_equal(seen["features"], kept[1])
        for i, shadow in enumerate(shadows):
            if active[i]:  # the others keep the last step that they took
                shadow.step(int(actions[i]))
        check_final(tested, envs, shadows, result.final, result.truncated)
        for shadow in np.array(shadows)[result.terminated | result.truncated]:
            shadow.begin()
    if name == "jumble seen 3 wide":  # its crop is 3 wide too: nearly everything is beyond
        assert busy[:64].mean() > 0.9
    if name in JUMBLES:
        told = busy[LAST_STEP][:14].tolist()
        never = {DONE, 7 + LEFT, 7 + RIGHT}  # to be done does nothing, and turning always does
        assert {k for k, happened in enumerate(told) if not happened} == never


def patient_start(seed: int) -> tuple[GridVectorEnv, Shadow]:
    """A world whose episode outlasts every feature of the last step."""
    tested = patient_case("MiniGrid-DoorKey-8x8-v0")
    envs = tested.task.make_envs(1, "train", seed)
    envs.reset()
    return envs, Shadow(tested.env_id, "train", seed, 0)


def test_for_how_long_nothing_new_was_learned_is_told_in_powers_of_two() -> None:
    envs, shadow = patient_start(seed=3)
    told = []
    for action in [LEFT] * 150 + [FORWARD, DONE]:
        envs.step(np.array([action]))
        shadow.step(action)
        features = envs.observe()["features"][0, LAST_STEP]
        np.testing.assert_array_equal(features, last_step_features(shadow))
        told.append(int(features[-8:].sum()))
    # The fourth turn looks where the episode began to look.
    assert shadow.last == DONE
    assert shadow.futile
    assert told[3:150] == [(n - 3 + 1).bit_length() for n in range(3, 150)]


def test_the_same_futile_action_twice_is_not_seen_twice() -> None:
    """Else a student that acts by its likeliest action would do it for ever."""
    envs, _ = patient_start(seed=3)
    seen = [envs.observe()]
    for _ in range(2):
        envs.step(np.array([PICKUP]))
        seen.append(envs.observe())
    before, once, twice = (observation["features"][0] for observation in seen)
    for observation in seen:
        np.testing.assert_array_equal(observation["grid"], seen[0]["grid"])
    rest = slice(0, LAST_STEP.start)
    np.testing.assert_array_equal(once[rest], before[rest])
    np.testing.assert_array_equal(twice[rest], before[rest])
    assert not before[LAST_STEP].any()
    assert np.flatnonzero(once[LAST_STEP]).tolist() == [7 + PICKUP, 14]
    assert np.flatnonzero(twice[LAST_STEP]).tolist() == [7 + PICKUP, 14, 15]


@given(
    st.integers(0, 100),
    st.lists(st.sampled_from([LEFT, RIGHT, FORWARD]), max_size=12),
    st.sampled_from([[LEFT] * 4, [LEFT, RIGHT], [RIGHT, LEFT, DONE], [PICKUP], [DROP], [DONE]]),
)
@settings(max_examples=30, deadline=None)
def test_no_circle_looks_the_same_for_ever(seed: int, way: list[int], circle: list[int]) -> None:
    """It is the map's picture that comes again; by the last step its rounds are told apart."""
    envs, _ = patient_start(seed)
    for action in [*way, LEFT, LEFT, LEFT, LEFT]:
        envs.step(np.array([action]))
    pictures, whole = set(), set()
    for _ in range(128 // len(circle) + 1):
        for action in circle:
            envs.step(np.array([action]))
        seen = envs.observe()
        picture = seen["grid"].tobytes() + seen["features"][0, : LAST_STEP.start].tobytes()
        pictures.add(picture)
        whole.add(picture + seen["features"][0, LAST_STEP].tobytes())
    assert len(pictures) == 1
    assert len(whole) >= 4, "from 20 steps without news to 128"


def test_an_episode_begins_without_a_last_step() -> None:
    """Also after one that was cut, whose last observation still has it."""
    tested, envs = start("MiniGrid-Empty-5x5-v0", 2, "train", 0)
    for _ in range(tested.task.max_episode_steps - 5):
        result = envs.step(np.array([DONE, LEFT]))
    assert envs.observe()["features"][:, LAST_STEP].any(axis=1).all()
    for action in (FORWARD, FORWARD, RIGHT, FORWARD, FORWARD):
        result = envs.step(np.array([action, DONE]))
    assert (result.terminated.tolist(), result.truncated.tolist()) == ([True, False], [False, True])
    assert result.final is not None
    last = result.final["features"][0, LAST_STEP]
    assert np.flatnonzero(last[:14]).tolist() == [7 + DONE]
    assert last[14:].any()
    assert not envs.observe()["features"][:, LAST_STEP].any()
    envs.step(np.array([DONE, DONE]))
    envs.reset()
    assert not envs.observe()["features"][:, LAST_STEP].any()


def test_an_environment_that_is_left_out_keeps_its_last_step() -> None:
    _, envs = start("MiniGrid-Empty-5x5-v0", 2, "train", 0)
    envs.step(np.array([PICKUP, RIGHT]))
    kept = envs.observe()["features"][0].copy()
    for _ in range(3):
        envs.step(np.array([FORWARD, LEFT]), np.array([False, True]))
        np.testing.assert_array_equal(envs.observe()["features"][0], kept)
    envs.step(np.array([PICKUP, LEFT]))
    told = np.flatnonzero(envs.observe()["features"][0, LAST_STEP]).tolist()
    assert told == [7 + PICKUP, 14, 15], "the second step of its own"


def test_what_is_carried_is_news_of_its_own() -> None:
    """By MiniGrid's own rules things go from the map and back to it; levels may have others."""
    maps, poses = np.zeros((1, 9, 9), np.uint8), np.zeros((1, 3), np.int64)
    last_steps, changed = np.zeros((1, 3), np.int64), np.empty(1, np.bool_)
    views, headings = np.full((1, 3, 3), EMPTY, np.uint8), np.zeros(1, np.int64)
    views[0, -1, 1] = CODES["red key"]
    begin(maps, poses, views, headings, last_steps, np.array([0]))
    told = []
    for carried in ("red key", "blue key", "blue key", "floor", "floor"):
        views[0, -1, 1] = CODES[carried]
        track(maps, poses, views, headings, np.array([DONE]), last_steps, changed)
        assert not changed[0]
        told.append((int(last_steps[0, LAST]), int(last_steps[0, STALE])))
    assert told == [(DONE + 7, 1), (DONE, 0), (DONE + 7, 1), (DONE, 0), (DONE + 7, 1)]


DRAWN = {"unknown": "?", "floor": ".", "wall": "#", "lava": "~", "green goal": "G"}
DRAWN |= {
    f"{c} {k}": sign for c in COLORS for k, sign in (("key", "k"), ("ball", "o"), ("box", "b"))
}
DRAWN |= {f"{c} door ({s})": x for c in COLORS for s, x in (("open", "/"), ("closed", "+"))}
DRAWN |= {f"{c} door (locked)": "L" for c in COLORS}


@every_task
def test_the_picture_shows_the_map(name: str) -> None:
    num_envs, seed = 2, 9
    tested, envs = start(name, num_envs, "evaluation", seed)
    shadows = shadows_of(tested.env_id, num_envs, "evaluation", seed)
    wanderer = Wanderer(tested.task, num_envs, seed, noise=0.2)
    for _ in range(50):
        for i, shadow in enumerate(shadows):
            *lines, legend = tested.task.picture(envs.states(), i).split("\n")
            (place, heading), words = shadow.pose, shadow.seen
            side = envs.states().maps.shape[1] // 2
            known = [p for p in words if max(abs(p.real), abs(p.imag)) <= side]
            left, top = min(p.real for p in known), min(p.imag for p in known)
            expected = [
                "".join(
                    ">v<^"[heading]
                    if complex(x, y) == place
                    else DRAWN[words.get(complex(x, y), "unknown")]
                    for x in range(int(left), int(max(p.real for p in known)) + 1)
                )
                for y in range(int(top), int(max(p.imag for p in known)) + 1)
            ]
            assert lines == expected
            things = {words[p] for p in known if " " in words[p] and words[p] != "green goal"}
            drawn = {f"{DRAWN[word]} {word.partition(' (')[0]}" for word in things}
            assert set(legend.split(", ")) == drawn | {f"carrying {shadow.carried or 'nothing'}"}
        actions = wanderer.actions(envs.states())
        result = envs.step(actions)
        for i, shadow in enumerate(shadows):
            shadow.step(int(actions[i]))
            if result.terminated[i] or result.truncated[i]:
                shadow.begin()


def trace(envs: GridVectorEnv, actions: IntArray) -> list[bytes]:
    """Everything that comes out of a vector under these actions, int64 [T, N], a row a step."""
    rows = []
    for row in actions:
        seen, now = envs.observe(), envs.states()
        result = envs.step(row)
        parts = (seen["grid"], seen["features"], now.unexplored, now.missions)
        ends = (result.rewards, result.terminated, result.truncated)
        rows.append(b"".join(np.ascontiguousarray(part).tobytes() for part in (*parts, *ends)))
    return rows


@every_task
def test_the_same_seed_and_actions_give_the_same_experience(name: str) -> None:
    actions = np.random.default_rng(1).choice(7, size=(60, 4), p=[0.2, 0.2, 0.4, 0.1, 0, 0.1, 0])
    first = trace(start(name, 4, "train", 3)[1], actions)
    assert trace(start(name, 4, "train", 3)[1], actions) == first
    if name != "MiniGrid-Empty-5x5-v0":  # that level is always the same
        assert trace(start(name, 4, "train", 4)[1], actions) != first
        assert trace(start(name, 4, "evaluation", 3)[1], actions) != first


@pytest.mark.parametrize("name", SHIPPED)
def test_an_environment_does_not_depend_on_its_neighbours(name: str) -> None:
    actions = np.random.default_rng(2).integers(7, size=(120, 3))
    many, few = start(name, 3, "train", 6)[1], start(name, 2, "train", 6)[1]
    for row in actions:
        many.step(row)
        few.step(row[:2])
        np.testing.assert_array_equal(many.observe()["grid"][:2], few.observe()["grid"])
        np.testing.assert_array_equal(many.observe()["features"][:2], few.observe()["features"])


@every_task
def test_an_idle_environment_is_left_as_it_is(name: str) -> None:
    tested, envs = start(name, 3, "evaluation", 7)
    wanderer = Wanderer(tested.task, 3, 7, noise=0.3)
    for step in range(40):
        now = envs.states()
        arrays = (now.maps, now.views, now.poses, now.unexplored)
        before = [part[step % 3].copy() for part in arrays]
        seen, situation_ids = envs.observe(), tested.task.situation_ids(now)
        actions = wanderer.actions(now)
        idle = step % 3
        result = envs.step(actions, np.arange(3) != idle)
        assert result.rewards[idle] == 0
        assert not (result.terminated | result.truncated)[idle]
        now, again = envs.states(), envs.observe()
        arrays = (now.maps, now.views, now.poses, now.unexplored)
        for part, old in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(part[idle], old)
        np.testing.assert_array_equal(again["grid"][idle], seen["grid"][idle])
        np.testing.assert_array_equal(again["features"][idle], seen["features"][idle])
        assert tested.task.situation_ids(now)[idle] == situation_ids[idle]


@pytest.mark.parametrize("name", ["SimpleDoorKey", *JUMBLES])
def test_a_vector_starts_with_the_given_episodes(name: str) -> None:
    first, seed = (4, 0, 1000), 12
    tested, envs = start(name, len(first), "train", seed)
    envs.step(np.full(len(first), 2))
    envs.reset(np.array(first))
    shadows = [Shadow(tested.env_id, "train", seed, row, k) for row, k in enumerate(first)]
    wanderer, ends = Wanderer(tested.task, len(first), seed, noise=0.1), 0
    for _ in range(60):
        for i, shadow in enumerate(shadows):
            agree(envs.states(), i, shadow)
        actions = wanderer.actions(envs.states())
        result = envs.step(actions)
        for i, shadow in enumerate(shadows):
            shadow.step(int(actions[i]))
            if result.terminated[i] or result.truncated[i]:
                shadow.begin()
                ends += 1
    assert ends > 0


run_seeds = st.integers(0, 2**64)
places = st.tuples(st.integers(0, 10**6), st.integers(0, 10**9))


@given(run_seeds, places, run_seeds, places)
def test_training_never_draws_a_seed_of_the_evaluation(
    seed: int, place: tuple[int, int], other: int, elsewhere: tuple[int, int]
) -> None:
    train = episode_seed(seed, "train", *place)
    evaluation = episode_seed(other, "evaluation", *elsewhere)
    assert 0 <= train < 2**62 <= evaluation < 2**63
    assert train == episode_seed(seed, "train", *place)


@given(run_seeds, st.integers(0, 10**6), st.integers(0, 10**9))
def test_near_episodes_have_seeds_of_their_own(seed: int, env: int, episode: int) -> None:
    near = [(env + i, episode + k) for i in range(4) for k in range(4)]
    assert len({episode_seed(seed, "train", *place) for place in near}) == len(near)
    assert episode_seed(seed, "train", env, episode) != episode_seed(
        seed + 1, "train", env, episode
    )
