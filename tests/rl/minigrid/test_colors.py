"""Renamed colours: situations that differ by colour alone are one, and advice finds its colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.grid_judge import case
from tutelage.rl.minigrid import catalogue
from tutelage.rl.minigrid.codes import DOOR_OPEN, KEY, NUM_CODES, NUM_COLORS
from tutelage.rl.minigrid.colors import order_colors, ranks_of, recolored
from tutelage.rl.minigrid.situations import GridSituation
from tutelage.rl.minigrid.task import GridTask
from tutelage.rl.minigrid.vector import GridVectorEnv
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.options import PADDING
from tutelage.rl.tasks.registry import make_task

RENAMING = [info.name for info in catalogue.SHIPPED if info.renamed]
COLOURS = st.permutations(list(range(NUM_COLORS)))


def painted(code: int, colours: list[int]) -> int:
    """The code in another colour: `colours[c]` in place of c."""
    if code < KEY:
        return code
    return code - (code - KEY) % NUM_COLORS + colours[(code - KEY) % NUM_COLORS]


def called(situation: GridSituation) -> dict[int, int]:
    """By which colour's name each colour is to be called, told slowly from the module's rule."""

    def rank(colour: int) -> tuple[int, ...]:
        in_hand = situation.carried >= KEY and (situation.carried - KEY) % NUM_COLORS == colour
        kinds = range(DOOR_OPEN + 2 * NUM_COLORS + colour, KEY - 1, -NUM_COLORS)
        held = [int(code in situation.kinds) for code in kinds]
        return (-int(in_hand), *(-bit for bit in held), colour)

    return {colour: j for j, colour in enumerate(sorted(range(NUM_COLORS), key=rank))}


def steps(task: GridTask, num_steps: int) -> Iterator[GridVectorEnv]:
    """Random play, a vector environment before each of its steps."""
    envs = task.make_envs(8, "train", seed=5)
    envs.reset()
    rng = np.random.default_rng(1)
    for _ in range(num_steps):
        yield envs
        envs.step(rng.choice([0, 1, 2, 2, 2, 3, 4, 5], size=8))


@given(
    cells=st.lists(st.integers(0, NUM_CODES - 1), min_size=1, max_size=12),
    carried=st.sampled_from([0, *range(KEY, DOOR_OPEN)]),
    colours=COLOURS,
)
def test_an_order_of_all_colours_that_repainting_only_moves(
    cells: list[int], carried: int, colours: list[int]
) -> None:
    grid = np.array([cells], dtype=np.uint8)
    order = order_colors(grid, carried, True)
    assert sorted(order) == list(range(NUM_COLORS))
    assert [int(ranks_of(order)[colour]) for colour in order] == list(range(NUM_COLORS))
    repainted = np.array([[painted(code, colours) for code in cells]], dtype=np.uint8)
    other = order_colors(repainted, painted(carried, colours) if carried else 0, True)

    def told(map_: IntArray, order: IntArray) -> set[int]:
        return {int(recolored(int(code), ranks_of(order))) for code in map_.flat}

    assert told(grid, order) == told(repainted, other)


def test_without_renaming_every_colour_is_itself() -> None:
    grid = np.array([[KEY + 3, KEY + 1]], dtype=np.uint8)
    assert list(order_colors(grid, KEY + 5, False)) == list(range(NUM_COLORS))


@pytest.mark.parametrize("name", RENAMING)
def test_a_situation_is_the_plain_one_with_its_colours_renamed(name: str) -> None:
    plain, renaming = case(name).task, make_task(name, crop=9)
    seen_plain, seen = set(), set()
    for envs in steps(plain, 400):
        before, after = plain.situation_ids(envs.states()), renaming.situation_ids(envs.states())
        for situation_id, renamed in zip(before.tolist(), after.tolist(), strict=True):
            situation = GridSituation.of(situation_id)
            names = called(situation)
            colours = [names[colour] for colour in range(NUM_COLORS)]
            expected = replace(
                situation,
                kinds=tuple(sorted(painted(code, colours) for code in situation.kinds)),
                carried=painted(situation.carried, colours) if situation.carried else 0,
            )
            assert GridSituation.of(renamed) == expected
        seen_plain |= set(before.tolist())
        seen |= set(after.tolist())
    assert len(seen) * 2 < len(seen_plain)


@pytest.mark.parametrize("name", RENAMING)
def test_advice_is_carried_out_on_the_colour_that_was_meant(name: str) -> None:
    plain, renaming = case(name).task, make_task(name, crop=9)
    compared = 0
    for envs in steps(plain, 300):
        states = envs.states()
        own = [GridSituation.of(s) for s in plain.situation_ids(states).tolist()]
        for row, situation_id in enumerate(renaming.situation_ids(states).tolist()):
            real = {j: colour for colour, j in called(own[row]).items()}
            offered = [renaming.encode(option) for option in renaming.options(situation_id)]
            meant = [
                code // 64 * 64 + painted(code % 64, [real[j] for j in range(6)])
                for code in offered
            ]
            asked = np.full((2, 8, len(offered)), PADDING, dtype=np.int64)
            asked[0, row], asked[1, row] = offered, meant
            told, done = renaming.act(asked[0], states), plain.act(asked[1], states)
            np.testing.assert_array_equal(told.targets, done.targets)
            np.testing.assert_array_equal(told.feasible, done.feasible)
            np.testing.assert_array_equal(told.finished, done.finished)
            compared += any(code % 64 >= KEY for code in offered)
    assert compared > 100


def test_the_picture_names_colours_as_the_situation_does() -> None:
    task = make_task("SimpleDoorKey", crop=9)
    assert isinstance(task, GridTask)
    named = 0
    for envs in steps(task, 200):
        for row, situation_id in enumerate(task.situation_ids(envs.states()).tolist()):
            legend = task.picture(envs.states(), row).splitlines()[-1]
            for option in task.options(situation_id):
                if option.name == "go_to":
                    assert str(option.target) in legend
                    named += 1
    assert named
