"""A teacher that knows of no lava: what it is told, where its options walk, how it then fares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.make import make_chat_model
from tutelage.prompts.library import PromptLibrary
from tutelage.rl.advice.advice import Advice
from tutelage.rl.minigrid.codes import EMPTY, FORWARD, LAVA, NUM_CODES, UNKNOWN
from tutelage.rl.minigrid.memory_map import without_lava
from tutelage.rl.minigrid.task import GridTask
from tutelage.rl.minigrid.vector import GridStates, GridVectorEnv
from tutelage.rl.rollouts.evaluate import evaluate_teacher
from tutelage.rl.tasks.base import UnknownTaskError, notes_of
from tutelage.rl.tasks.options import Option
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.settings import TaskSettings

BLIND = TaskSettings(lava_known=False)


@pytest.fixture(scope="module")
def knowing() -> GridTask:
    return _lava_task(TaskSettings())


@pytest.fixture(scope="module")
def blind() -> GridTask:
    return _lava_task(BLIND)


def _lava_task(settings: TaskSettings) -> GridTask:
    task = make_task("LavaDoorKey", crop=7, settings=settings)
    assert isinstance(task, GridTask)
    return task


def wander(task: GridTask, steps: int, num_envs: int = 16) -> Iterator[GridVectorEnv]:
    """The vector of a task before each of so many random steps."""
    rng = np.random.default_rng(0)
    envs = task.make_envs(num_envs, "train", seed=3)
    envs.reset()
    for _ in range(steps):
        yield envs
        envs.step(rng.choice(6, num_envs, p=[0.2, 0.2, 0.4, 0.1, 0.05, 0.05]).astype(np.int64))
    envs.close()


def corridor(task: GridTask, cells: list[int]) -> GridStates:
    """One state: the agent looks along a corridor of known cells, walls everywhere else."""
    side = task.make_envs(1, "train", 0).states().maps.shape[1]
    middle = side // 2
    maps = np.full((1, side, side), 2, dtype=np.uint8)
    maps[0, middle, middle : middle + 1 + len(cells)] = [EMPTY, *cells]
    return GridStates(
        maps=maps,
        views=np.full((1, 3, 3), UNKNOWN, dtype=np.uint8),
        poses=np.array([[middle, middle, 0]], dtype=np.int64),
        unexplored=np.zeros(1, dtype=np.bool_),
        missions=np.zeros(1, dtype=np.int64),
    )


def test_no_situation_and_no_note_names_lava(knowing: GridTask, blind: GridTask) -> None:
    told: dict[bool, set[str]] = {True: set(), False: set()}
    for task in (knowing, blind):
        for envs in wander(task, 200):
            for situation_id in np.unique(task.situation_ids(envs.states())):
                told[task is blind].add(task.describe(int(situation_id)))
    assert any("lava" in text for text in told[False])
    assert not any("lava" in text for text in told[True])
    assert len(told[True]) < len(told[False])
    assert "lava" in notes_of(knowing)
    assert notes_of(blind)
    assert "lava" not in notes_of(blind)


def test_an_option_walks_straight_over_lava(knowing: GridTask, blind: GridTask) -> None:
    """The only way to the key leads over the lava: known, there is none; unknown, it is taken."""
    key = 5
    states = corridor(knowing, [LAVA, EMPTY, key])
    for task, action in ((knowing, None), (blind, FORWARD)):
        option = np.array([[task.encode(Option("pick_up", "red key"))]], dtype=np.int64)
        done = task.act(option, states)
        assert bool(done.feasible[0, 0]) is (action is not None)
        if action is not None:
            assert done.targets[0, 0, action] == 1.0


def test_the_student_sees_and_the_picture_shows_the_same(
    knowing: GridTask, blind: GridTask
) -> None:
    lava = 0
    for one, other in zip(wander(knowing, 100), wander(blind, 100), strict=True):
        seen, also_seen = one.observe(), other.observe()
        np.testing.assert_array_equal(seen["grid"], also_seen["grid"])
        np.testing.assert_array_equal(seen["features"], also_seen["features"])
        lava += int((seen["grid"] == LAVA).sum())
        assert knowing.picture(one.states(), 0) == blind.picture(other.states(), 0)
    assert lava


def test_whether_there_is_more_to_explore_is_judged_as_explore_does(blind: GridTask) -> None:
    """Else a situation would offer an option that cannot be carried out, or withhold one."""
    explore = np.full((16, 1), blind.encode(Option("explore")), dtype=np.int64)
    answers = set()
    for envs in wander(blind, 300):
        states = envs.states()
        feasible = blind.act(explore, states).feasible[:, 0]
        np.testing.assert_array_equal(feasible, states.unexplored)
        answers |= set(feasible.tolist())
    assert answers == {True, False}


def test_everything_but_lava_stays_on_the_map() -> None:
    codes = np.arange(NUM_CODES, dtype=np.uint8)
    changed = without_lava(codes)
    assert changed.dtype == np.uint8
    assert changed[LAVA] == EMPTY
    np.testing.assert_array_equal(np.delete(changed, LAVA), np.delete(codes, LAVA))


def test_a_world_without_lava_is_told_the_same() -> None:
    plain = make_task("SimpleDoorKey", crop=7)
    told = make_task("SimpleDoorKey", crop=7, settings=BLIND)
    assert notes_of(plain) == notes_of(told) != ""
    assert isinstance(plain, GridTask)
    assert isinstance(told, GridTask)
    for one, other in zip(wander(plain, 50), wander(told, 50), strict=True):
        np.testing.assert_array_equal(
            plain.situation_ids(one.states()), told.situation_ids(other.states())
        )


def test_a_task_of_ones_own_has_no_such_setting() -> None:
    with pytest.raises(
        UnknownTaskError, match=r"environment 'helpers.toy_task:Corridor': the settings task\.\*"
    ):
        make_task("helpers.toy_task:Corridor", crop=7, settings=BLIND)
    assert notes_of(make_task("helpers.toy_task:Corridor", crop=7)) == ""


def test_the_offline_teacher_alone_fails_more_often_without_knowing(
    knowing: GridTask, blind: GridTask
) -> None:
    """Episodes solved by following its advice: what a run's student has to be better than."""
    solved = {task is blind: _solved_alone(task, episodes=48) for task in (knowing, blind)}
    assert solved[False] >= 0.85
    assert 0.2 <= solved[True] <= solved[False] - 0.2


def _solved_alone(task: GridTask, episodes: int) -> float:
    """The share of episodes that the teacher, at its surest, solves by itself."""
    settings = TeacherSettings(temperature=0.0, samples=1)
    planner = Planner(
        task, PromptLibrary(), make_chat_model("offline", None, settings, task), settings
    )

    def advise(situations: Sequence[int]) -> dict[int, Advice]:
        answers = {situation_id: planner.ask(situation_id).advice for situation_id in situations}
        return {situation_id: found for situation_id, found in answers.items() if found is not None}

    played, unadvised = evaluate_teacher(task, advise, episodes, seed=0)
    assert unadvised == 0
    return played.success_rate
