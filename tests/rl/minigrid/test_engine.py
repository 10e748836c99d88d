"""The batched engine against Farama's MiniGrid: the same levels, the same actions, no difference.

`Pair` plays an environment by both. Images are compared as MiniGrid encodes them, type, colour and
state, so that the codes in between are tested too.
"""

from __future__ import annotations

import zlib
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from minigrid.core.world_object import Ball, Box, Door, Goal, Key, Lava, Wall, WorldObj
from minigrid.minigrid_env import MiniGridEnv

from helpers.grid_judge import CODES, COLORS, JUMBLES, case, word_of
from tutelage.rl.minigrid import catalogue
from tutelage.rl.minigrid.codes import DONE, FORWARD, IDLE, LEFT, NUM_CODES, cell_codes
from tutelage.rl.minigrid.engine.families import Family, family_of
from tutelage.rl.minigrid.engine.simulator import BatchedSimulator
from tutelage.rl.minigrid.engine.world import CONTENT_BITS, Rules, World, make_world
from tutelage.rl.minigrid.levels import LEVELS, register_levels
from tutelage.rl.minigrid.simulator import (
    GymnasiumSimulator,
    make_minigrid,
    minigrid_maker,
    missions_of,
)
from tutelage.rl.tasks.arrays import BoolArray, CodeArray, IntArray
from tutelage.rl.tasks.base import UnknownTaskError
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.seeding import episode_seed
from tutelage.rl.tasks.settings import TaskSettings

register_levels()
FAMILIES = (
    "Empty",
    "DoorKey",
    "FourRooms",
    "MultiRoom",
    "Unlock-v0",
    "UnlockPickup",
    "KeyCorridor",
    "LavaGap",
    "LavaCrossing",
    "SimpleCrossing",
    "Dynamic-Obstacles",
)
OURS = tuple(f"Tutelage/{level.__name__}-v0" for level in LEVELS)
EVERY_ID = OURS + tuple(
    env_id
    for env_id in gym.registry
    if env_id.startswith(tuple(f"MiniGrid-{family}" for family in FAMILIES))
    and env_id != "MiniGrid-MultiRoom-N4-S5-v0"  # out of date, as Gymnasium warns
)
ONE_OF_EACH = (
    *OURS,
    "MiniGrid-Empty-Random-6x6-v0",
    "MiniGrid-DoorKey-6x6-v0",
    "MiniGrid-FourRooms-v0",
    "MiniGrid-MultiRoom-N6-v0",
    "MiniGrid-Unlock-v0",
    "MiniGrid-UnlockPickup-v0",
    "MiniGrid-KeyCorridorS4R3-v0",
    "MiniGrid-LavaGapS6-v0",
    "MiniGrid-LavaCrossingS9N3-v0",
    "MiniGrid-SimpleCrossingS11N5-v0",
    "MiniGrid-Dynamic-Obstacles-Random-6x6-v0",
)
FAST_STEPS, WHOLE_STEPS = 20_000, 1_000_000


def triples() -> CodeArray:
    """uint8 [NUM_CODES, 3]: MiniGrid's own encoding of what each category code stands for."""
    table = np.zeros((NUM_CODES, 3), dtype=np.uint8)
    make: Any = {"wall": Wall, "lava": Lava, "green goal": Goal}
    for word, code in CODES.items():
        color, _, kind = word.partition(" ")
        if word == "floor":
            table[code] = (1, 0, 0)
        elif word in make:
            table[code] = make[word]().encode()
        elif color in COLORS:
            state = kind.partition(" (")[2]
            things: Any = {"key": Key, "ball": Ball, "box": Box}
            thing = (
                Door(color, is_open=state == "open)", is_locked=state == "locked)")
                if state
                else things[kind](color)
            )
            table[code] = thing.encode()
    return table


TRIPLES = triples()


class Pair:
    """N worlds of one environment in the batched engine, and the same by MiniGrid alone."""

    def __init__(self, envs: list[MiniGridEnv], family: Family) -> None:
        self.envs, self.engine = envs, BatchedSimulator(family, len(envs))
        self.missions = missions_of(envs[0])
        self.seen: list[dict[str, Any]] = [{} for _ in envs]

    @classmethod
    def of(cls, env_id: str, num_envs: int) -> Pair:
        envs = [make_minigrid(env_id) for _ in range(num_envs)]
        family = family_of(envs[0])
        assert family is not None, env_id
        return cls(envs, family)

    def restart(self, rows: IntArray, seeds: IntArray) -> None:
        self.engine.restart(rows, seeds)
        world = self.engine.snapshot()
        for row, seed in zip(rows, seeds, strict=True):
            self.seen[row] = self.envs[row].reset(seed=int(seed))[0]
            cells = self.envs[row].grid.encode().transpose(1, 0, 2)
            np.testing.assert_array_equal(TRIPLES[world.cells[row]], cells)

    def step(self, actions: IntArray) -> BoolArray:
        """Play an action in each world and compare all that comes of it; where an episode ended."""
        rewards, terminated, truncated = self.engine.step(actions)
        for row, env in enumerate(self.envs):
            result: tuple[float, bool, bool] = (0.0, False, False)
            if actions[row] != IDLE:
                self.seen[row], reward, ended, cut, _ = env.step(int(actions[row]))
                result = float(np.float32(reward)), ended, cut and not ended
            assert (rewards[row], terminated[row], truncated[row]) == result
        self.compare()
        return np.asarray(terminated | truncated)

    def compare(self) -> None:
        frames = self.engine.frames
        for row, seen in enumerate(self.seen):
            image = seen["image"].transpose(1, 0, 2)
            np.testing.assert_array_equal(TRIPLES[frames.views[row]], image)
            assert frames.headings[row] == seen["direction"]
            assert self.missions[frames.missions[row]] == seen["mission"]


def seed_of(name: str) -> int:
    return zlib.crc32(name.encode())


def play(pair: Pair, steps: int, rng: np.random.Generator) -> int:
    """Play that many steps in all, with actions that get around; how many episodes ended."""
    num_envs = len(pair.envs)
    pair.restart(np.arange(num_envs), rng.integers(2**63, size=num_envs))
    pair.compare()
    ends = 0
    for _ in range(steps // num_envs):
        actions = rng.choice(7, num_envs, p=[0.14, 0.14, 0.4, 0.12, 0.05, 0.13, 0.02])
        # Some stop in mid-episode: the state after a restart must not depend on what was before.
        over = np.flatnonzero(pair.step(actions) | (rng.random(num_envs) < 0.01))
        ends += len(over)
        if len(over):
            pair.restart(over, rng.integers(2**63, size=len(over)))
    return ends


@pytest.mark.parametrize("env_id", ONE_OF_EACH)
def test_it_plays_as_minigrid_does(env_id: str) -> None:
    steps = FAST_STEPS // (len(ONE_OF_EACH) + len(JUMBLES))
    assert play(Pair.of(env_id, 4), steps, np.random.default_rng(seed_of(env_id))) > 3


@pytest.mark.slow
@pytest.mark.parametrize("env_id", EVERY_ID)
def test_it_plays_as_minigrid_does_for_long(env_id: str) -> None:
    """A million steps in all, with the jumbles below."""
    steps = WHOLE_STEPS // (len(EVERY_ID) + len(JUMBLES))
    assert play(Pair.of(env_id, 8), steps, np.random.default_rng(seed_of(env_id))) > 30


@pytest.mark.parametrize("env_id", EVERY_ID)
def test_every_registered_level_of_the_families_is_known(env_id: str) -> None:
    env = make_minigrid(env_id)
    family = family_of(env)
    assert family is not None
    assert family.rules[:5] == (
        env.width,
        env.height,
        env.agent_view_size,
        env.see_through_walls,
        env.max_steps,
    )


# --- levels that Farama's MiniGrid made, copied ---


def number_of(thing: WorldObj | None) -> int:
    """A box's content as the engine keeps it."""
    if thing is None:
        return 0
    return CODES[word_of(thing)] | number_of(thing.contains) << CONTENT_BITS


def copied(envs: list[MiniGridEnv], rules: Rules) -> World:
    """The state of MiniGrid's worlds as the engine keeps it; its streams are not used."""
    world = make_world(len(envs), rules)
    for row, env in enumerate(envs):
        world.cells[row] = cell_codes(env.grid.encode()).T
        for x in range(env.width):
            for y in range(env.height):
                thing = env.grid.get(x, y)
                world.contents[row, y, x] = number_of(thing.contains) if thing else 0
        world.poses[row] = (*env.agent_pos, env.agent_dir)
        if env.carrying is not None:
            world.carried[row] = CODES[word_of(env.carrying)], number_of(env.carrying.contains)
        world.steps[row] = env.step_count
        world.missions[row] = missions_of(env).index(env.mission)
    return world


def rules_of(env: MiniGridEnv) -> Rules:
    return Rules(env.width, env.height, env.agent_view_size, env.see_through_walls, env.max_steps)


def no_levels(_world: World, _rows: IntArray) -> None:
    raise AssertionError("levels are copied here")


def play_copies(name: str, steps: int) -> set[str]:
    """Play jumbles that are copied at the start of each episode; what was seen to happen."""
    rng = np.random.default_rng(seed_of(name))
    env_id = case(name).env_id
    num_envs = 8
    envs = [make_minigrid(env_id) for _ in range(num_envs)]
    pair = Pair(envs, Family(rules_of(envs[0]), no_levels))
    over, happened = np.arange(num_envs), set[str]()
    for _ in range(steps // num_envs):
        for row in over:
            pair.seen[row] = envs[row].reset(seed=int(rng.integers(2**31)))[0]
            if rng.random() < 0.3:  # boxes in boxes
                envs[row].carrying = Box("red", Box("blue", Key("green")))
                pair.seen[row] = envs[row].gen_obs()  # type: ignore[no-untyped-call]
        if len(over):
            pair.engine.restore(copied(envs, pair.engine._family.rules))
            pair.compare()
        actions = rng.choice(7, num_envs, p=[0.13, 0.13, 0.3, 0.14, 0.13, 0.15, 0.02])
        over = np.flatnonzero(pair.step(actions))
        world = pair.engine.snapshot()
        np.testing.assert_array_equal(world.cells, copied(envs, pair.engine._family.rules).cells)
        np.testing.assert_array_equal(
            world.contents, copied(envs, pair.engine._family.rules).contents
        )
        happened |= {"carries a full box" for row in range(num_envs) if world.carried[row, 1]}
        happened |= {"ended" for _ in over}
    return happened


@pytest.mark.parametrize("name", JUMBLES)
def test_everything_that_minigrid_knows_behaves_the_same(name: str) -> None:
    """Balls, boxes with contents, doors in all states, glass walls, views of three sizes."""
    steps = FAST_STEPS // (len(ONE_OF_EACH) + len(JUMBLES))
    assert play_copies(name, steps) == {"carries a full box", "ended"}


@pytest.mark.slow
@pytest.mark.parametrize("name", JUMBLES)
def test_everything_that_minigrid_knows_behaves_the_same_for_long(name: str) -> None:
    play_copies(name, WHOLE_STEPS // (len(EVERY_ID) + len(JUMBLES)))


# --- its state ---


@pytest.mark.parametrize(
    "env_id", ["Tutelage/LavaDoorKey-v0", "MiniGrid-Dynamic-Obstacles-Random-6x6-v0"]
)
def test_its_state_is_saved_and_restored_exactly(env_id: str) -> None:
    """Moving obstacles go on drawing where they stopped."""
    rng = np.random.default_rng(3)
    family = family_of(make_minigrid(env_id))
    assert family is not None
    one, other = BatchedSimulator(family, 5), BatchedSimulator(family, 5)
    one.restart(np.arange(5), rng.integers(2**63, size=5))
    for _ in range(7):
        one.step(rng.integers(7, size=5))
    saved = one.snapshot()
    actions = rng.integers(7, size=(20, 5))
    expected = [[*one.step(row), one.frames.views.copy()] for row in actions]
    other.restore(saved)
    for row, parts in zip(actions, expected, strict=True):
        for found, part in zip([*other.step(row), other.frames.views], parts, strict=True):
            np.testing.assert_array_equal(found, part)
    for found, part in zip(one.snapshot(), other.snapshot(), strict=True):
        np.testing.assert_array_equal(found, part)


def test_the_state_of_other_worlds_is_refused() -> None:
    families = [family_of(make_minigrid(f"MiniGrid-Empty-{n}x{n}-v0")) for n in (5, 6)]
    assert families[0] is not None
    assert families[1] is not None
    saved = BatchedSimulator(families[0], 2).snapshot()
    with pytest.raises(ValueError, match=r"cells is uint8 \(2, 5, 5\), needed: uint8 \(2, 6, 6\)"):
        BatchedSimulator(families[1], 2).restore(saved)


def test_walking_off_the_grid_does_nothing() -> None:
    """Farama's MiniGrid stops with an error there; compiled code must not touch other memory."""
    rules = Rules(3, 3, 3, False, 10)
    engine = BatchedSimulator(Family(rules, no_levels), 1)
    world = make_world(1, rules)
    world.cells[:] = CODES["floor"]
    world.poses[0] = (2, 1, 0)
    engine.restore(world)
    for action in range(DONE + 1):
        if action not in (LEFT, 1):
            engine.step(np.array([action]))
            assert engine.snapshot().poses[0].tolist() == [2, 1, 0]
    assert (engine.frames.views[0][1] == CODES["wall"]).all()


# --- which engine plays what ---


@pytest.mark.parametrize(
    ("env_id", "arguments"),
    [
        ("MiniGrid-FourRooms-v0", {"agent_pos": (2, 2)}),
        ("MiniGrid-FourRooms-v0", {"goal_pos": (2, 2)}),
        ("MiniGrid-KeyCorridorS3R1-v0", {"obj_type": "key"}),
        ("MiniGrid-LavaGapS5-v0", {"obstacle_type": Goal}),
        ("MiniGrid-Empty-5x5-v0", {"agent_start_pos": (2, 2)}),
        ("MiniGrid-Empty-5x5-v0", {"agent_start_dir": 1}),
        ("MiniGrid-Dynamic-Obstacles-5x5-v0", {"agent_start_pos": (2, 2)}),
        ("MiniGrid-Fetch-5x5-N2-v0", {}),
    ],
)
def test_what_it_does_not_know_it_leaves_alone(env_id: str, arguments: dict[str, Any]) -> None:
    env = gym.make(env_id, disable_env_checker=True, **arguments).unwrapped
    assert isinstance(env, MiniGridEnv)
    assert family_of(env) is None


def test_a_subclass_may_play_by_other_rules() -> None:
    class Other(LEVELS[0]):  # type: ignore[misc,valid-type]
        pass

    assert family_of(Other()) is None


@pytest.mark.parametrize("name", ["SimpleDoorKey", "MiniGrid-FourRooms-v0"])
def test_both_engines_play_the_same_episodes(name: str) -> None:
    """As a task's vectors, of both splits, restarted at given episodes."""
    tasks = [make_task(name, 5, TaskSettings(engine=e)) for e in ("batched", "gymnasium")]
    rng = np.random.default_rng(0)
    for split in ("train", "evaluation"):
        vectors = [task.make_envs(3, split, seed=11) for task in tasks]
        for envs in vectors:
            envs.reset(np.array([0, 7, 2**33]))
        for _ in range(160):
            one, other = (envs.observe() for envs in vectors)
            np.testing.assert_array_equal(one["grid"], other["grid"])
            np.testing.assert_array_equal(one["features"], other["features"])
            actions = rng.choice(7, 3, p=[0.2, 0.2, 0.4, 0.1, 0, 0.1, 0])
            one, other = (envs.step(actions) for envs in vectors)
            np.testing.assert_array_equal(one.rewards, other.rewards)
            np.testing.assert_array_equal(one.terminated, other.terminated)
            np.testing.assert_array_equal(one.truncated, other.truncated)


def test_every_family_that_it_plays_has_tasks_of_that_name() -> None:
    """Dynamic-Obstacles apart: options that plan on what was seen cannot dodge what moves."""
    shipped = {info.env_id for info in catalogue.SHIPPED}
    unnamed = {env_id for env_id in EVERY_ID if "Dynamic" not in env_id} - shipped
    assert not unnamed
    for info in catalogue.SHIPPED:
        assert family_of(make_minigrid(info.env_id)) is not None


def test_the_engine_is_chosen_by_the_environment() -> None:
    assert getattr(make_task("LavaDoorKey", 5), "engine") == "batched"  # noqa: B009
    assert case("jumble seen 7 wide").task.engine == "gymnasium"
    asked = TaskSettings(engine="gymnasium")
    assert getattr(make_task("LavaDoorKey", 5, asked), "engine") == "gymnasium"  # noqa: B009
    with pytest.raises(UnknownTaskError, match=r"task.engine = 'batched': that engine does not"):
        type(case("jumble seen 7 wide").task)(
            "mine", minigrid_maker(case("jumble seen 7 wide").env_id), 100, 5, asked="batched"
        )


def test_seeds_are_those_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a vector hands its simulator is `rl.tasks.seeding.episode_seed`, to the last bit."""
    handed: dict[tuple[int, int], int] = {}
    restart = GymnasiumSimulator.restart
    counts = dict.fromkeys(range(3), 41)

    def noting(self: GymnasiumSimulator, rows: IntArray, seeds: IntArray) -> None:
        for row, seed in zip(rows.tolist(), seeds.tolist(), strict=True):
            handed[row, counts[row]] = seed
            counts[row] += 1
        restart(self, rows, seeds)

    monkeypatch.setattr(GymnasiumSimulator, "restart", noting)
    task = make_task("MiniGrid-Empty-5x5-v0", 5, TaskSettings(engine="gymnasium"))
    envs = task.make_envs(3, "train", 2**40 + 5)
    envs.reset(np.full(3, 41))
    for _ in range(110):
        envs.step(np.array([FORWARD, LEFT, DONE]))
    assert len(handed) == 6
    assert handed == {key: episode_seed(2**40 + 5, "train", *key) for key in handed}
