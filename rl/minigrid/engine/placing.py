"""Where things are put when a level is drawn: walls, and places on free floor."""

from __future__ import annotations

from typing import Final

import numpy as np
from minigrid.core.constants import COLOR_NAMES, COLOR_TO_IDX

from tutelage.rl.kernels import njit
from tutelage.rl.minigrid.codes import EMPTY, NUM_COLORS, WALL
from tutelage.rl.minigrid.engine.streams import WordArray, draw
from tutelage.rl.minigrid.engine.world import World
from tutelage.rl.tasks.arrays import CodeArray, IntArray

NOWHERE: Final = -1
UNBOUNDED: Final = 1 << 62
"""As many tries as MiniGrid makes where it gives no limit."""

COLORS_BY_NAME: Final = np.array([COLOR_TO_IDX[name] for name in COLOR_NAMES], dtype=np.int64)
"""MiniGrid draws colours from their names in alphabetical order."""


@njit(cache=True)
def find_place(
    cells: CodeArray,
    stream: WordArray,
    area: tuple[int, int, int, int],
    agent: tuple[int, int],
    tries: int,
) -> tuple[int, int]:
    """Draw places in an area until one is free floor and not the agent's, as `place_obj` does.

    area: left, top, width, height; it is cut at the grid's edges. Returns (x, y), or
    (NOWHERE, NOWHERE) after so many tries.
    """
    height, width = cells.shape
    left, top = max(area[0], 0), max(area[1], 0)
    for _ in range(tries):
        x = draw(stream, left, min(left + area[2], width))
        y = draw(stream, top, min(top + area[3], height))
        if cells[y, x] == EMPTY and not (x == agent[0] and y == agent[1]):
            return x, y
    return NOWHERE, NOWHERE


@njit(cache=True)
def place_agent(world: World, row: int, area: tuple[int, int, int, int]) -> None:
    """Put the agent on free floor in an area, turned at random."""
    stream = world.streams[row]
    x, y = find_place(world.cells[row], stream, area, (NOWHERE, NOWHERE), UNBOUNDED)
    world.poses[row, 0], world.poses[row, 1] = x, y
    world.poses[row, 2] = draw(stream, 0, 4)


@njit(cache=True)
def place(world: World, row: int, code: int, area: tuple[int, int, int, int]) -> tuple[int, int]:
    """Put a thing on free floor in an area, not where the agent is; where it is now."""
    agent = (world.poses[row, 0], world.poses[row, 1])
    x, y = find_place(world.cells[row], world.streams[row], area, agent, UNBOUNDED)
    world.cells[row, y, x] = code
    return x, y


@njit(cache=True)
def wall_in(cells: CodeArray, left: int, top: int, width: int, height: int) -> None:
    """Walls around a rectangle, which they belong to."""
    cells[top, left : left + width] = WALL
    cells[top + height - 1, left : left + width] = WALL
    cells[top : top + height, left] = WALL
    cells[top : top + height, left + width - 1] = WALL


@njit(cache=True)
def draw_color(stream: WordArray) -> tuple[int, int]:
    """A colour: its place among the names in alphabetical order, and its number."""
    place_in_order = draw(stream, 0, NUM_COLORS)
    return place_in_order, COLORS_BY_NAME[place_in_order]


@njit(cache=True)
def sorted_from(items: IntArray) -> IntArray:
    """A sorted copy of few integers, int64 [n]: compiles much faster than NumPy's sort."""
    made = items.copy()
    for i in range(1, len(made)):
        item, k = made[i], i
        while k > 0 and made[k - 1] > item:
            made[k] = made[k - 1]
            k -= 1
        made[k] = item
    return made
