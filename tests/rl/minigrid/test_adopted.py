"""Any environment on MiniGrid's rules as a task: MiniGrid's ids, BabyAI's, one's own classes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import minigrid
import numpy as np
import pytest
from minigrid.wrappers import FullyObsWrapper

from helpers import own_levels
from tutelage.rl.minigrid.adopted import AdoptedGridTask, LevelError
from tutelage.rl.minigrid.catalogue import SHIPPED, adopt
from tutelage.rl.minigrid.codes import ACTION_NAMES, UncodedObjectError
from tutelage.rl.minigrid.simulator import mission_text
from tutelage.rl.minigrid.vector import GridVectorEnv
from tutelage.rl.tasks.arrays import ActionArray
from tutelage.rl.tasks.base import Episode, LookupTask, Remembers, Task, UnknownTaskError
from tutelage.rl.tasks.gymnasium_ids import known_ids
from tutelage.rl.tasks.lookups import full_text, with_lookups
from tutelage.rl.tasks.options import PADDING, Option, OptionActions
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.seeding import episode_seed
from tutelage.rl.tasks.settings import TaskSettings
from tutelage.rl.tasks.spaces import Tokens, tokens_of
from tutelage.rl.tasks.watching import Watchable
from tutelage.rl.tasks.wrappers import find_ability, missing_from

PATTERNS = Path(minigrid.__file__).parent / "envs" / "wfc" / "patterns"
"""What WFC's levels are made after; MiniGrid's wheels lack it."""
LOOKUPS = ("objects", "inventory", "record")
SOME = (
    "BabyAI-GoToObj-v0",
    "BabyAI-PickupLoc-v0",
    "BabyAI-PutNextS5N2Carrying-v0",
    "BabyAI-Synth-v0",
    "BabyAI-BossLevel-v0",
    "MiniGrid-Fetch-5x5-N2-v0",
    "MiniGrid-Dynamic-Obstacles-5x5-v0",
    "MiniGrid-ObstructedMaze-1Dlhb-v0",
    "MiniGrid-Playground-v0",
    "MiniGrid-RedBlueDoors-6x6-v0",
    "helpers.own_levels:Hall",
    "helpers.own_levels:Changing",
)


def adopted(name: str, **arguments: Any) -> AdoptedGridTask:
    task = make_task(name, 7, None, arguments)
    assert isinstance(task, AdoptedGridTask)
    return task


def played(task: Task, num_steps: int, num_envs: int = 2, seed: int = 3) -> Iterator[GridVectorEnv]:
    """A vector of the task before each step; it follows options, and errs."""
    envs: Any = task.make_envs(num_envs, "train", seed)
    envs.reset()
    rng = np.random.default_rng(seed)
    for _ in range(num_steps):
        yield envs
        envs.step(some_actions(task, envs, rng))


def some_actions(task: Task, envs: GridVectorEnv, rng: np.random.Generator) -> ActionArray:
    done = what_options_do(task, envs)
    actions = rng.integers(len(task.action_names), size=envs.num_envs)
    for row in range(envs.num_envs):
        possible = np.flatnonzero(done.feasible[row] & ~done.finished[row])
        if len(possible) and rng.random() < 0.7:
            actions[row] = done.targets[row, rng.choice(possible)].argmax()
    return actions


def what_options_do(task: Task, envs: GridVectorEnv) -> OptionActions:
    """Of all that are on offer in each row."""
    offered = [task.options(s) for s in task.situation_ids(envs.states()).tolist()]
    codes = np.full((len(offered), max(1, *map(len, offered))), PADDING, dtype=np.int64)
    for row, options in zip(codes, offered, strict=True):
        row[: len(options)] = [task.encode(option) for option in options]
    return task.act(codes, envs.states())


def check(name: str, num_steps: int) -> None:
    """Play a task, and hold it to its protocol at every step."""
    plain = adopted(name)
    task = with_lookups(plain, LOOKUPS)
    assert not missing_from(task, Task)
    assert find_ability(task, Remembers) is task
    texts: dict[int, str] = {}
    for step, envs in enumerate(played(task, num_steps)):
        seen, states = envs.observe(), envs.states()
        assert list(seen) == list(task.observation_space)
        for key, space in task.observation_space.items():
            assert all(space.contains(row) for row in seen[key]), key
        situation_ids = task.situation_ids(states)
        for situation_id in situation_ids.tolist():
            text = full_text(task, situation_id)
            assert texts.setdefault(situation_id, text) == text
            assert task.read(text) == situation_id
            assert task.describe(task.read(task.describe(situation_id))) == task.describe(
                situation_id
            )
        done = what_options_do(task, envs)
        assert done.targets.shape[2] == len(task.action_names)
        acting = done.feasible & ~done.finished
        assert (done.targets.sum(axis=2)[acting] == 1).all()
        missions = [envs.states().missions[row] for row in range(2)]
        for row, mission in enumerate(missions):
            words = plain.describe(int(plain.situation_ids(states)[row])).splitlines()[0]
            assert words == f"mission: {plain._missions.key(int(mission))}"
            told = tokens_of(words.removeprefix("mission: "), len(seen["mission"][row]))
            assert seen["mission"][row].tolist() == told.tolist()
        if step % 50 == 0:
            assert task.picture(states, 0)
    assert len(set(texts.values())) == len(texts)


@pytest.mark.parametrize("name", SOME)
def test_it_is_a_task(name: str) -> None:
    check(name, 60)


@pytest.mark.slow
@pytest.mark.parametrize("name", [i for i in known_ids() if i.startswith(("MiniGrid", "BabyAI"))])
def test_so_is_every_id_that_gymnasium_knows(name: str) -> None:
    if name in {info.name for info in SHIPPED}:
        assert not isinstance(make_task(name, 7), AdoptedGridTask)
        return
    if "WFC" in name and not PATTERNS.exists():
        with pytest.raises(UnknownTaskError, match=r"imageio|networkx|FileNotFound") as caught:
            make_task(name, 7)
        assert "\n" not in str(caught.value)
        return
    logging.getLogger("gymnasium").setLevel(logging.ERROR)
    check(name, 250)


@pytest.mark.parametrize("name", SOME)
def test_an_episode_is_a_function_of_its_seed(name: str) -> None:
    """Whatever the environment has played before, and after a resume of the task."""
    task = adopted(name)
    actions = np.random.default_rng(1).integers(len(task.action_names), size=(40, 2))

    def traced(task: Task, before: int) -> list[list[Any]]:
        envs = task.make_envs(2, "train", 9)
        envs.reset()
        for row in actions[:before]:
            envs.step(row)
        envs.reset(np.array([4, 5]))
        rows = []
        for row in actions:
            seen, states = envs.observe(), envs.states()
            texts = [task.describe(s) for s in task.situation_ids(states).tolist()]
            rows.append([*(array.tolist() for array in seen.values()), texts])
            result = envs.step(row)
            rows[-1] += [result.rewards.tolist(), result.terminated.tolist()]
        return rows

    assert traced(task, 0) == traced(task, 30) == traced(adopted(name), 0)


class TestMissions:
    def test_there_may_be_any_number_of_any_text(self) -> None:
        task = adopted("helpers.own_levels:Hall")
        missions = set()
        for envs in played(task, 200, num_envs=8):
            text = task.describe(int(task.situation_ids(envs.states())[0]))
            assert len(text.splitlines()) == 4
            missions.add(text.splitlines()[0])
        assert len(missions) > 4
        assert all(m.startswith("mission: reach the goal, visitor ") for m in missions)

    def test_an_empty_one_is_none(self) -> None:
        task = adopted("MiniGrid-Playground-v0")
        envs = next(played(task, 1))
        assert task.describe(int(task.situation_ids(envs.states())[0])).startswith("mission: none")

    def test_the_teacher_is_told_it_in_words_and_the_student_too(self) -> None:
        task = adopted("BabyAI-GoToObj-v0")
        assert task.observation_space["mission"] == Tokens(24)
        for row, envs in enumerate(played(task, 3, num_envs=3)):
            seed = episode_seed(3, "train", row, 0)
            own = gym.make("BabyAI-GoToObj-v0").reset(seed=seed)[0]["mission"]
            if row == 0:
                lines = [
                    task.describe(s).splitlines()[0]
                    for s in task.situation_ids(envs.states()).tolist()
                ]
                words = envs.observe()["mission"]
            assert lines[row] == f"mission: {own}"
            assert words[row].tolist() == tokens_of(own, 24).tolist()

    def test_long_ones_are_told_whole(self) -> None:
        assert adopted("BabyAI-BossLevel-v0").observation_space["mission"] == Tokens(64)

    def test_one_may_change_within_an_episode(self) -> None:
        task = adopted("helpers.own_levels:Changing")
        told = [
            task.describe(int(task.situation_ids(envs.states())[0])).splitlines()[0]
            for envs in played(task, 4)
        ]
        assert told[1:] == [f"mission: be at step {step}" for step in (1, 2, 3)]

    def test_the_last_sight_of_an_episode_has_its_own(self) -> None:
        task = adopted("helpers.own_levels:Hall", max_steps=3)
        envs = task.make_envs(2, "train", 0)
        envs.reset()
        before = envs.observe()["mission"]
        for _ in range(3):
            result = envs.step(np.array([0, 0]))
        assert result.final is not None
        assert result.final["mission"].tolist() == before.tolist()
        assert envs.observe()["mission"].tolist() != before.tolist()

    @pytest.mark.parametrize("text", ["", " a  b ", "a\u2028b", "mission: x"])
    def test_its_line_is_one(self, text: str) -> None:
        line = mission_text(text)
        assert line == " ".join(text.split()) or (line == "none" and not text.split())
        assert len(line.splitlines()) == 1
        assert mission_text(line) == line


class TestMemory:
    def test_a_restored_task_knows_all_by_the_same_numbers(self) -> None:
        task, other = (with_lookups(adopted("BabyAI-PickupLoc-v0"), LOOKUPS) for _ in range(2))
        for envs in played(task, 40):
            ids = task.situation_ids(envs.states())
        for _ in played(other, 7, seed=8):
            pass
        kept = find_ability(task, Remembers), find_ability(other, Remembers)
        assert kept[0] is not None
        assert kept[1] is not None
        kept[1].restore(json.loads(json.dumps(kept[0].snapshot())))
        for situation_id in range(0, int(ids.max()) + 1, 4):
            assert full_text(other, situation_id) == full_text(task, situation_id)
        again = with_lookups(adopted("BabyAI-PickupLoc-v0"), LOOKUPS)
        assert again.read(task.describe(int(ids[0]))) == 0, "a text of another run is numbered anew"

    @pytest.mark.parametrize(
        "bad",
        [
            {},
            {"missions": ["go"]},
            {"missions": ["go", "go"], "situations": []},
            {"missions": [3], "situations": []},
            {"missions": ["go \ud800"], "situations": []},
            {"missions": ["go\nthere"], "situations": []},
            {"missions": ["go"], "situations": [[1, 1]]},
            {"missions": ["go"], "situations": [[1, -1]]},
            {"missions": ["go"], "situations": [[1, 0], [1, 0]]},
            {"missions": ["go"], "situations": [[-1, 0]]},
            {"missions": ["go"], "situations": [[1 << 44, 0]]},
            {"missions": ["go"], "situations": [[1]]},
            {"missions": ["go"], "situations": ["x"]},
        ],
    )
    def test_a_record_that_is_none_is_refused_and_nothing_changed(self, bad: Any) -> None:
        task = adopted("BabyAI-GoToObj-v0")
        for envs in played(task, 5):
            task.situation_ids(envs.states())
        before = task.snapshot()
        with pytest.raises((KeyError, TypeError, ValueError)):
            task.restore(bad)
        assert task.snapshot() == before

    def test_what_stands_for_no_situation_is_refused(self) -> None:
        task = adopted("BabyAI-GoToObj-v0")
        envs = next(played(task, 1))
        text = task.describe(int(task.situation_ids(envs.states())[0]))
        for wrong in (
            "",
            "mission: go",
            text.replace("mission: ", "mission: \ud800"),
            text + "\nmore: yes",
            text.replace("mission: ", "mission:  "),
        ):
            with pytest.raises(ValueError, match="no situation's text"):
                task.read(wrong)
        for situation_id in (-1, 10**6):
            with pytest.raises(KeyError):
                task.describe(situation_id)

    def test_look_ups_make_other_situations(self) -> None:
        task = adopted("MiniGrid-Fetch-5x5-N2-v0")
        told = with_lookups(task, ["objects"])
        offering = find_ability(told, LookupTask)
        assert offering is not None
        for envs in played(task, 60):
            for plain, more in zip(
                task.situation_ids(envs.states()).tolist(),
                told.situation_ids(envs.states()).tolist(),
                strict=True,
            ):
                assert task.describe(plain) == told.describe(more)
                assert offering.look_up("objects", more).startswith("places: ")


class TestPlaying:
    def test_an_environment_with_fewer_actions_has_no_options_that_need_others(self) -> None:
        task = adopted("MiniGrid-Dynamic-Obstacles-5x5-v0")
        assert task.action_names == ACTION_NAMES[:3]
        assert {option.name for option in task.all_options()} == {"explore", "go_to"}
        names = set()
        for envs in played(task, 40):
            for situation_id in task.situation_ids(envs.states()).tolist():
                names |= {option.name for option in task.options(situation_id)}
            codes = np.tile([task.encode(Option("pick_up", "blue ball"))], (2, 1))
            done = task.act(codes, envs.states())
            assert (done.targets.any(axis=2) | ~done.feasible).all()
        assert names == {"explore", "go_to"}

    def test_who_is_held_up_unseen_stays_on_the_map(self) -> None:
        """Obstacles step in the agent's way after it has looked, so it misjudges where it is."""
        task = adopted("MiniGrid-Dynamic-Obstacles-16x16-v0", n_obstacles=60)
        rng = np.random.default_rng(0)
        envs = task.make_envs(16, "train", 0)
        envs.reset()
        side = envs.states().maps.shape[1]
        for _ in range(300):
            actions = np.where(rng.random(16) < 0.1, rng.integers(2, size=16), 2)
            envs.step(actions)
            assert (envs.states().poses[:, :2] >= 0).all()
            assert (envs.states().poses[:, :2] < side).all()

    def test_arguments_reach_the_environment(self) -> None:
        task = adopted("MiniGrid-Fetch-8x8-N3-v0", size=6, max_steps=33, agent_view_size=5)
        assert task.max_episode_steps == 33
        envs = next(played(task, 1))
        assert envs.states().views.shape == (2, 5, 5)
        assert envs.states().maps.shape == (2, 11, 11)
        assert adopted("BabyAI-GoToObj-v0", max_episode_steps=10).max_episode_steps == 10

    def test_a_limit_of_gymnasiums_cuts_episodes(self) -> None:
        envs = adopted("BabyAI-GoToObj-v0", max_episode_steps=3).make_envs(1, "train", 0)
        envs.reset()
        cut = [envs.step(np.array([0])).truncated.tolist() for _ in range(3)]
        assert cut == [[False], [False], [True]]

    def test_the_longest_episode_of_levels_of_many_lengths(self) -> None:
        assert adopted("BabyAI-BossLevel-v0").max_episode_steps >= 4 * 576

    def test_success_is_what_it_is_in_shipped_tasks(self) -> None:
        task = adopted("MiniGrid-Fetch-5x5-N2-v0")
        assert task.success(Episode(0.4, 9, terminated=True, truncated=False))
        assert not task.success(Episode(0.0, 9, terminated=True, truncated=False))
        assert not task.success(Episode(0.4, 9, terminated=False, truncated=True))

    def test_a_shipped_id_is_the_shipped_task(self) -> None:
        task = make_task("MiniGrid-DoorKey-5x5-v0", 7)
        assert not isinstance(task, AdoptedGridTask)
        assert list(task.observation_space) == ["grid", "features"]

    def test_babyai_prints_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It tells of rejected levels on stdout, where a command writes its JSON."""
        adopted("BabyAI-GoToSeq-v0")
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("name", ["BabyAI-GoToLocal-v0", "helpers.own_levels:Hall"])
    def test_people_can_watch_it(self, name: str) -> None:
        task = adopted(name)
        envs = task.make_envs(1, "evaluation", 4)
        envs.reset()
        watchable = find_ability(task, Watchable)
        assert watchable is not None
        world = watchable.world("evaluation", 4, 0, 0)
        rng = np.random.default_rng(0)
        for _ in range(20):
            states = envs.states()
            truth, known = world.truth(), world.remembered(states, 0)
            agent = [(x, y) for y, line in enumerate(truth.inks) for x in range(len(line))]
            for x, y in agent:
                assert known.letters[y][x] in ("?", truth.letters[y][x])
            assert world.truth_image(8).shape == world.remembered_image(states, 0, 8).shape
            action = int(rng.integers(3))
            if envs.step(np.array([action])).terminated[0]:
                break
            world.step(action)
        world.close()


class Told(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper that changes nothing."""


@pytest.fixture
def wrapped() -> Iterator[tuple[str, str]]:
    """Ids of a level that is registered with a wrapper: one that changes what is seen, and one
    that does not."""
    names = {"TutelageTest/Seen-v0": FullyObsWrapper, "TutelageTest/Told-v0": Told}
    for name, wrapper in names.items():
        gym.register(
            name,
            entry_point="helpers.own_levels:Hall",
            additional_wrappers=(wrapper.wrapper_spec(),),
        )
    seen, told = names
    yield seen, told
    for name in names:
        del gym.registry[name]


class TestMistakes:
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("Strange", "a cell's object has type 6, colour 9 and state 0, for which maps have no"),
            ("Endless", "max_steps = 1000000000; needed: 1 to 100000"),
            ("Sliding", r"its actions are Box.*needs MiniGrid's own, the first ones of left"),
            ("Longer", r"its actions are Discrete\(8\)"),
            ("Bird", "needs MiniGrid's own observation, an image of 7 x 7 x 3"),
        ],
    )
    def test_what_cannot_be_played_is_one_line(self, name: str, message: str) -> None:
        kind = UncodedObjectError if name == "Strange" else UnknownTaskError
        with pytest.raises(kind, match=message) as caught:
            adopted(f"helpers.own_levels:{name}")
        assert "\n" not in str(caught.value)

    def test_a_mission_that_is_no_unicode_is_named(self) -> None:
        with pytest.raises(LevelError, match=r"Garbled': its mission is no Unicode: 'go \\ud800'$"):
            next(played(adopted("helpers.own_levels:Garbled"), 1))

    def test_so_are_its_errors_while_it_is_played(self) -> None:
        task = adopted("helpers.own_levels:Tripping")
        with pytest.raises(LevelError, match=r"step fails: .*own_levels.py, line \d+: ZeroDiv"):
            for _ in played(task, 5):
                pass

    def test_and_a_grid_that_outgrows_the_map(self) -> None:
        task = adopted("helpers.own_levels:Growing")
        envs = task.make_envs(1, "train", 0)
        for _ in range(32):
            envs.reset()
        with pytest.raises(LevelError, match="a level has a side of 37 cells, and none of the"):
            envs.reset()

    def test_a_wrapper_that_changes_what_is_seen(self, wrapped: tuple[str, str]) -> None:
        with pytest.raises(UnknownTaskError, match="FullyObsWrapper changes what is observed"):
            adopted(wrapped[0])
        assert adopted(wrapped[1]).max_episode_steps == 60

    def test_the_batched_engine_is_not_for_them(self) -> None:
        with pytest.raises(UnknownTaskError, match="'batched': that engine plays shipped tasks"):
            make_task("BabyAI-GoToObj-v0", 7, TaskSettings(engine="batched"))

    @pytest.mark.parametrize("named", ["CartPole-v1", own_levels.Ember, dict])
    def test_what_is_no_such_environment_is_left_to_others(self, named: str | type) -> None:
        assert adopt(named, 7, TaskSettings(), {}) is None
