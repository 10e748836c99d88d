"""Draws the layouts of the paper's four tasks from an integer seed, compiled with numba.

A layout is where walls, doors, keys, lava and the agent are when an episode starts. It is a pure
function of (what the task puts into a room, seed), so that the Gymnasium environments and a batched
engine get exactly the same levels. Arrays are indexed [y, x] and hold the category codes of
`rl.minigrid.codes`; colours are MiniGrid's indices.

The tasks are those of Zhou et al. (IJCAI 2024, arXiv 2311.13373). A layout in which no door can be
opened is drawn again.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from minigrid.core.constants import COLOR_TO_IDX
from numba import njit
from numpy.typing import NDArray

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
from tutelage.rl.tasks.arrays import BoolArray, CodeArray, IntArray

MAX_PROPOSALS: Final = 10_000
"""Layouts drawn before giving up. In the four tasks the first proposal is always solvable: the
floor is at least 3x3, one lava cell does not cut it apart, and keys can be picked up."""

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
    """The layout of a seed: in it a door can be opened.

    seed: any signed 64-bit integer. Raises ValueError for room sides that do not fit into the grid,
    and RuntimeError where no solvable layout comes up in MAX_PROPOSALS.
    """
    if not 3 <= spec.min_side <= spec.max_side <= spec.grid_side:
        raise ValueError("room sides must satisfy 3 <= min_side <= max_side <= grid_side")
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed)
    for _ in range(MAX_PROPOSALS):
        layout = propose_layout(spec, state)
        if layout.x > 0 and solvable(layout.codes, layout.x, layout.y):
            return layout
    raise RuntimeError("no solvable layout found: the room leaves too little free floor")


@njit(cache=True)
def propose_layout(spec: LayoutSpec, state: WordArray) -> Layout:
    """A layout that may be unsolvable; its x is 0 where the floor had no place for everything.

    state: uint64 [1], advanced. Things are placed in the order doors, agent, keys, lava, each
    uniformly over the cells still open to it.
    """
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
    placed = agent_x > 0
    placed &= _lay_keys(codes, free, doorway, state, spec, width, height, color)
    if spec.lava:
        y, x = _take_cell(_outside(free, doorway), state)
        codes[y, x] = LAVA
        placed &= x > 0
    return Layout(codes, agent_x if placed else 0, agent_y, direction)


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
) -> bool:
    """Place the door's key and the other one, if there is one; False where there is no room."""
    open_to_key = _outside(free, doorway) if spec.clear_doorway else free.copy()
    if spec.central_key:
        top, left = height // 2 - 1, width // 2 - 1
        for y in range(free.shape[0]):
            for x in range(free.shape[1]):
                open_to_key[y, x] &= 0 <= y - top < 2 and 0 <= x - left < 2
    placed = True
    for key_color in (color, spec.other_key_color):
        if key_color >= 0:
            y, x = _take_cell(open_to_key, state)
            codes[y, x] = KEY + key_color
            free[y, x] = False
            placed &= x > 0
    return placed


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
def _outside(free: BoolArray, taken: BoolArray) -> BoolArray:
    """The free cells that are not taken, in an array of their own."""
    left = free.copy()
    for y in range(free.shape[0]):
        for x in range(free.shape[1]):
            left[y, x] &= not taken[y, x]
    return left


@njit(cache=True)
def _take_cell(free: BoolArray, state: WordArray) -> tuple[int, int]:
    """Draw one of the free cells and mark it taken: (y, x), or (0, 0), a wall, if none is free."""
    height, width = free.shape
    count = 0
    for y in range(height):
        for x in range(width):
            count += free[y, x]
    if count == 0:
        return 0, 0
    rank = _below(state, count)
    for y in range(height):
        for x in range(width):
            if free[y, x]:
                if rank == 0:
                    free[y, x] = False
                    return y, x
                rank -= 1
    return 0, 0


@njit(cache=True)
def solvable(codes: CodeArray, x: int, y: int) -> bool:
    """Whether an agent that starts at (x, y) can open one of the locked doors.

    codes: uint8 [H, W], the whole grid: floor, walls, lava, keys and locked doors, no floor on its
    edge. Memory grows as (H * W) ** (keys + 1) / 8 bytes. The search is exact under MiniGrid's
    rules: lava is death, one key is carried at a time, a key in the way can be picked up, and put
    down on any empty cell. A state is (agent's cell, each key's cell or "carried"); headings do not
    matter, as turning is always possible. States that need fewer keys put down are visited first,
    because hardly any level needs one put down.
    """
    width = codes.shape[1]
    floor, colors, places = _lift_keys(codes)
    start = y * width + x
    for k in range(len(places)):
        start += places[k] * _stride(k, floor.size)
    seen = np.zeros(_stride(len(places), floor.size) // 8 + 1, np.uint8)

    entries = [start]
    while len(entries) > 0:
        after_drop = [start]
        after_drop.clear()
        while len(entries) > 0:
            entry = entries.pop()
            if _flood(entry, floor, width, colors, places, seen, entries, after_drop):
                return True
        entries = after_drop
    return False


@njit(cache=True)
def _lift_keys(codes: CodeArray) -> tuple[CodeArray, IntArray, IntArray]:
    """The flattened grid without its keys, the keys' colours and their cells, int64 [keys]."""
    floor = np.empty(codes.size, np.uint8)
    places = np.empty(codes.size, np.int64)
    count = 0
    for cell in range(codes.size):
        floor[cell] = codes[cell // codes.shape[1], cell % codes.shape[1]]
        if KEY <= floor[cell] < KEY + NUM_COLORS:
            places[count] = cell
            count += 1
    colors = np.empty(count, np.int64)
    for k in range(count):
        colors[k] = floor[places[k]] - KEY
        floor[places[k]] = EMPTY
    return floor, colors, places[:count]


@njit(cache=True)
def _stride(key: int, cells: int) -> int:
    """What one step in a key's place adds to a state's number; place `cells` is "carried"."""
    return int(cells * (cells + 1) ** key)


@njit(cache=True)
def _flood(
    entry: int,
    floor: CodeArray,
    width: int,
    colors: IntArray,
    places: IntArray,
    seen: CodeArray,
    after_pickup: list[int],
    after_drop: list[int],
) -> bool:
    """Walk wherever the agent can from a state, the keys staying where they are.

    True where a locked door can be opened on the way. Otherwise the states that follow by picking
    up or putting down a key are appended to the two lists. seen: one bit for each state.
    places: int64 [keys], overwritten with the state's key cells.
    """
    cells = floor.size
    keys_part = entry - entry % cells
    carried = -1
    for k in range(len(places)):
        places[k] = entry // _stride(k, cells) % (cells + 1)
        if places[k] == cells:
            carried = k

    walked = [entry % cells]
    if not _mark(entry, seen):
        walked.clear()
    while len(walked) > 0:
        agent = walked.pop()
        for direction in range(4):
            front = agent + DIRECTION_DY[direction] * width + DIRECTION_DX[direction]
            if carried >= 0 and floor[front] == DOOR_LOCKED + colors[carried]:
                return True
            if floor[front] != EMPTY:
                continue
            lying = _key_at(front, places)
            if lying < 0:
                if _mark(keys_part + front, seen):
                    walked.append(front)
                if carried >= 0:
                    put_down = (cells - front) * _stride(carried, cells)
                    after_drop.append(keys_part + agent - put_down)
            elif carried < 0:
                picked_up = (cells - front) * _stride(lying, cells)
                after_pickup.append(keys_part + agent + picked_up)
    return False


@njit(cache=True)
def _key_at(cell: int, places: IntArray) -> int:
    """Which key lies in a cell, or -1."""
    for k in range(len(places)):
        if places[k] == cell:
            return k
    return -1


@njit(cache=True)
def _mark(number: int, seen: CodeArray) -> bool:
    """Set a state's bit; False where it was set before."""
    bit = np.uint8(1 << (number & 7))
    if seen[number >> 3] & bit:
        return False
    seen[number >> 3] |= bit
    return True
