"""Draws the layouts of the paper's four tasks from an integer seed, compiled with numba.

A layout is where walls, doors, keys, lava and the agent are when an episode starts. It is a pure
function of (what the task puts into a room, seed), so that the Gymnasium environments and a batched
engine get exactly the same levels. Arrays are indexed [y, x] and hold the category codes of
`rl.minigrid.codes`; colours are MiniGrid's indices.

The tasks are those of Zhou et al. (IJCAI 2024, arXiv 2311.13373). In each of their layouts a door
can be opened: the floor is at least 3x3, one lava cell does not cut it apart, and keys can be
picked up.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from minigrid.core.constants import COLOR_TO_IDX
from numpy.typing import NDArray

from tutelage.rl.kernels import njit
from tutelage.rl.minigrid.codes import (
    DIRECTION_DX,
    DIRECTION_DY,
    DOOR_LOCKED,
    EMPTY,
    KEY,
    LAVA,
    NUM_COLORS,
    WALL,
)
from tutelage.rl.tasks.arrays import BoolArray, CodeArray

WordArray = NDArray[np.uint64]

ANY_COLOR: Final = -1
NO_KEY: Final = -1


class LayoutSpec(NamedTuple):
    """What a task puts into its room, which lies in the top-left corner of a square grid.

    Sides count the walls. The cell in front of a door is its doorway.
    """

    grid_side: int
    min_side: int
    max_side: int
    door_color: int = ANY_COLOR
    """Colour of the doors and of the key that opens them; ANY_COLOR draws one for each level."""
    other_key_color: int = NO_KEY
    """Colour of a second key, which opens nothing."""
    lava: bool = False
    """One lava cell, never a doorway."""
    opposite_doors: bool = False
    """Two doors, in opposite walls, instead of one."""
    central_key: bool = False
    """The key lies in one of the four central cells."""
    clear_doorway: bool = False
    """No key lies in a doorway."""


SIMPLE_ROOM: Final = LayoutSpec(10, 5, 10)
LAVA_ROOM: Final = LayoutSpec(10, 5, 10, lava=True)
COLORED_ROOM: Final = LayoutSpec(
    10,
    5,
    10,
    door_color=COLOR_TO_IDX["blue"],
    other_key_color=COLOR_TO_IDX["red"],
    clear_doorway=True,
)
DIVERGENT_ROOM: Final = LayoutSpec(20, 20, 20, opposite_doors=True, central_key=True)


class Layout(NamedTuple):
    """The start of an episode: codes uint8 [grid_side, grid_side], the agent's cell and heading."""

    codes: CodeArray
    x: int
    y: int
    direction: int


@njit(cache=True)
def splitmix64(state: WordArray) -> np.uint64:
    """Advance the generator in `state` (uint64 [1]) and return its next 64 bits.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014;
    the constants are those of Vigna's public-domain splitmix64.c.
    """
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    bits: np.uint64 = state[0]
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@njit(cache=True)
def _below(state: WordArray, bound: int) -> int:
    """An integer in 0..bound-1. The remainder's bias is under bound / 2**64."""
    return int(np.int64(splitmix64(state) % np.uint64(bound)))


@njit(cache=True)
def draw_layout(spec: LayoutSpec, seed: int) -> Layout:
    """The layout of a seed.

    seed: any signed 64-bit integer. Things are placed in the order doors, agent, keys, lava, each
    uniformly over the cells still open to it. Raises ValueError where no cell is, and for room
    sides that do not fit into the grid.
    """
    if not 3 <= spec.min_side <= spec.max_side <= spec.grid_side:
        raise ValueError("room sides must satisfy 3 <= min_side <= max_side <= grid_side")
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed)
    codes = np.full((spec.grid_side, spec.grid_side), WALL, np.uint8)
    sides = spec.max_side - spec.min_side + 1
    width = spec.min_side + _below(state, sides)
    height = spec.min_side + _below(state, sides)
    free = np.zeros(codes.shape, np.bool_)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            codes[y, x], free[y, x] = EMPTY, True
    doorway = np.zeros(codes.shape, np.bool_)

    color = spec.door_color if spec.door_color >= 0 else _below(state, NUM_COLORS)
    wall = _below(state, 4)
    _hang_door(codes, doorway, state, wall, width, height, color)
    if spec.opposite_doors:
        _hang_door(codes, doorway, state, (wall + 2) % 4, width, height, color)

    agent_y, agent_x = _take_cell(free, state)
    direction = _below(state, 4)
    _lay_keys(codes, free, doorway, state, spec, width, height, color)
    if spec.lava:
        y, x = _take_cell(_without(free, doorway), state)
        codes[y, x] = LAVA
    return Layout(codes, agent_x, agent_y, direction)


@njit(cache=True)
def _lay_keys(
    codes: CodeArray,
    free: BoolArray,
    doorway: BoolArray,
    state: WordArray,
    spec: LayoutSpec,
    width: int,
    height: int,
    color: int,
) -> None:
    """Place the door's key and the other one, if there is one."""
    open_to_key = _without(free, doorway) if spec.clear_doorway else free.copy()
    if spec.central_key:
        top, left = height // 2 - 1, width // 2 - 1
        for y in range(free.shape[0]):
            for x in range(free.shape[1]):
                open_to_key[y, x] &= 0 <= y - top < 2 and 0 <= x - left < 2
    for key_color in (color, spec.other_key_color):
        if key_color >= 0:
            y, x = _take_cell(open_to_key, state)
            codes[y, x] = KEY + key_color
            free[y, x] = False


@njit(cache=True)
def _without(cells: BoolArray, others: BoolArray) -> BoolArray:
    """A copy of the cells without the others: loops compile much faster than NumPy's operators."""
    left = cells.copy()
    for y in range(cells.shape[0]):
        for x in range(cells.shape[1]):
            left[y, x] = cells[y, x] and not others[y, x]
    return left


@njit(cache=True)
def _hang_door(
    codes: CodeArray,
    doorway: BoolArray,
    state: WordArray,
    wall: int,
    width: int,
    height: int,
    color: int,
) -> None:
    """Put a locked door into the wall that heading `wall` faces, anywhere but in a corner."""
    if wall % 2 == 0:
        x = width - 1 if wall == 0 else 0
        y = 1 + _below(state, height - 2)
    else:
        x = 1 + _below(state, width - 2)
        y = height - 1 if wall == 1 else 0
    codes[y, x] = DOOR_LOCKED + color
    doorway[y - DIRECTION_DY[wall], x - DIRECTION_DX[wall]] = True


@njit(cache=True)
def _take_cell(free: BoolArray, state: WordArray) -> tuple[int, int]:
    """Draw one of the free cells and mark it taken: (y, x). Raises ValueError where none is."""
    count = 0
    for cell in free.flat:
        count += int(cell)
    if count == 0:
        raise ValueError("the room leaves too little free floor")
    left = _below(state, count)
    for y in range(free.shape[0]):
        for x in range(free.shape[1]):
            if free[y, x]:
                if left == 0:
                    free[y, x] = False
                    return y, x
                left -= 1
    raise ValueError("no cell of that number")
