"""The true grid beside the remembered one: one episode, seen whole and as the agent knows it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.rl.minigrid.codes import FORWARD, LEFT, PICKUP, RIGHT, TOGGLE
from tutelage.rl.minigrid.task import GridTask
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.watching import Drawing, Watchable
from tutelage.rl.tasks.wrappers import find_ability

NAMES = ("SimpleDoorKey", "ColoredDoorKey", "LavaDoorKey", "MiniGrid-DoorKey-5x5-v0")
TASKS = {name: make_task(name, 7) for name in NAMES}


def grid_task(name: str) -> GridTask:
    task = TASKS[name]
    assert isinstance(task, GridTask)
    assert find_ability(task, Watchable) is task
    return task


def cells(drawing: Drawing) -> list[tuple[str, str]]:
    """Letter and ink of each cell, row by row."""
    lines = zip(drawing.letters, drawing.inks, strict=True)
    return [cell for letters, inks in lines for cell in zip(letters, inks, strict=True)]


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10_000), episode=st.integers(0, 3), steps=st.integers(0, 40))
@settings(max_examples=12)
def test_what_is_remembered_is_true(name: str, seed: int, episode: int, steps: int) -> None:
    """In the same frame: every known cell is what it is, or what was taken from it since."""
    task = grid_task(name)
    envs = task.make_envs(1, "evaluation", seed)
    envs.reset(np.array([episode]))
    world = task.world("evaluation", seed, 0, episode)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        action = int(rng.choice([LEFT, RIGHT, FORWARD, FORWARD, PICKUP, TOGGLE]))
        result = envs.step(np.array([action]))
        if result.terminated[0] or result.truncated[0]:
            return
        world.step(action)
    remembered, truth = world.remembered(envs.states(), 0), world.truth()
    assert [len(line) for line in remembered.letters] == [len(line) for line in truth.letters]
    for known, real in zip(cells(remembered), cells(truth), strict=True):
        assert known in (("?", "u"), real)
    pixels = world.remembered_image(envs.states(), 0, 8)
    assert pixels.shape == world.truth_image(8).shape
    assert pixels.dtype == np.uint8
    here = cells(truth).index(next(cell for cell in cells(truth) if cell[1] == "a"))
    row, column = divmod(here, len(truth.letters[0]))
    tile = pixels[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
    assert (tile[..., 0] > 200).any(), "MiniGrid's agent is red"


@pytest.mark.parametrize("name", NAMES)
def test_inks_lie_under_the_pictures_letters(name: str) -> None:
    task = grid_task(name)
    envs = task.make_envs(8, "train", 5)
    envs.reset()
    rng = np.random.default_rng(5)
    inks_of: dict[str, set[str]] = {}
    for _ in range(40):
        envs.step(rng.integers(3, size=8))
        for row in range(8):
            letters = task.picture(envs.states(), row).splitlines()
            inks = task.inks(envs.states(), row).splitlines()
            assert [len(line) for line in inks] == [len(line) for line in letters[: len(inks)]]
            assert len(letters) == len(inks) + 1
            for letter, ink in zip("".join(letters[:-1]), "".join(inks), strict=True):
                inks_of.setdefault(letter, set()).add(ink)
    plain = {
        "?": {"u"},
        ".": {"f"},
        "#": {"w"},
        "~": {"l"},
        "G": {"o"},
        **{arrow: {"a"} for arrow in "<>^v"},
    }
    for letter, found in inks_of.items():
        assert found <= plain.get(letter, set("RGBPYE") if letter in "/+L" else set("rgbpye"))
    assert {"?", ".", "#", "L"} <= set(inks_of)


def test_colours_are_those_that_the_situation_names() -> None:
    """SimpleDoorKey renames them, so a picture's first colour is always red."""
    task = grid_task("SimpleDoorKey")
    envs = task.make_envs(16, "train", 1)
    envs.reset()
    renamed = 0
    for row in range(16):
        inks = set(task.inks(envs.states(), row)) & set("rgbpyeRGBPYE")
        aliases = task.aliases(envs.states(), row)
        if inks:
            assert inks & {"r", "R"}
            assert set(aliases.values()) <= {"red", "green"}
            renamed += bool(aliases)
        else:
            assert not aliases
    assert renamed
    other = grid_task("ColoredDoorKey")
    envs = other.make_envs(16, "train", 1)
    envs.reset()
    assert not any(other.aliases(envs.states(), row) for row in range(16))
