"""Reads layouts and judges them: a plain search over MiniGrid's full state, for the tests.

It shares nothing with `rl.minigrid` but the category codes and the type of a layout.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from tutelage.rl.minigrid.codes import (
    DIRECTION_DX,
    DIRECTION_DY,
    DOOR_LOCKED,
    DROP,
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
)
from tutelage.rl.minigrid.layouts import Layout
from tutelage.rl.tasks.arrays import CodeArray

RED, BLUE = 0, 2

State = tuple[int, int, int, int, frozenset[tuple[int, int, int]]]
"""x, y, heading, carried colour or -1, keys on the floor as (x, y, colour)."""


def is_key(code: int) -> bool:
    return KEY <= code < KEY + NUM_COLORS


def is_locked_door(code: int) -> bool:
    return DOOR_LOCKED <= code < DOOR_LOCKED + NUM_COLORS


def cells_with(codes: CodeArray, low: int, count: int = 1) -> list[tuple[int, int]]:
    """The (x, y) of all cells whose code is in low..low+count-1."""
    return [(int(x), int(y)) for y, x in np.argwhere((codes >= low) & (codes < low + count))]


def key_cells(codes: CodeArray) -> list[tuple[int, int]]:
    return cells_with(codes, KEY, NUM_COLORS)


def door_cells(codes: CodeArray) -> list[tuple[int, int]]:
    return cells_with(codes, DOOR_LOCKED, NUM_COLORS)


def doorway_of(codes: CodeArray, door: tuple[int, int]) -> tuple[int, int]:
    """The only cell beside a door that is no wall."""
    x, y = door
    around = [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
    height, width = codes.shape
    inside = [(i, j) for i, j in around if 0 <= i < width and 0 <= j < height]
    (doorway,) = [(i, j) for i, j in inside if codes[j, i] != WALL]
    return doorway


def room_sides(codes: CodeArray) -> tuple[int, int]:
    """Width and height of the room, walls included: the floor's extent and one wall each side."""
    inner = (codes != WALL) & (codes < DOOR_LOCKED)
    return int(np.flatnonzero(inner.any(0)).max()) + 2, int(np.flatnonzero(inner.any(1)).max()) + 2


def after(codes: CodeArray, state: State, action: int) -> State | None:
    """MiniGrid's rules for one action; None where it opens a locked door (the aim)."""
    x, y, heading, carried, keys = state
    if action == LEFT:
        return x, y, (heading - 1) % 4, carried, keys
    if action == RIGHT:
        return x, y, (heading + 1) % 4, carried, keys
    i, j = x + int(DIRECTION_DX[heading]), y + int(DIRECTION_DY[heading])
    cell = int(codes[j, i])
    if action == TOGGLE:
        opens = is_locked_door(cell) and cell - DOOR_LOCKED == carried
        return None if opens else state
    if not (cell == EMPTY or is_key(cell)):
        return state
    lying = next((key for key in keys if key[:2] == (i, j)), None)
    if action == FORWARD and lying is None:
        return i, j, heading, carried, keys
    if action == PICKUP and lying is not None and carried < 0:
        return x, y, heading, lying[2], keys - {lying}
    if action == DROP and lying is None and carried >= 0:
        return x, y, heading, -1, keys | {(i, j, carried)}
    return state


def search(layout: Layout, actions: tuple[int, ...]) -> list[int] | None:
    """The shortest list of these actions that ends with opening a locked door."""
    codes, x, y, heading = layout
    keys = frozenset((i, j, int(codes[j, i]) - KEY) for i, j in key_cells(codes))
    start: State = (x, y, heading, -1, keys)
    came_from: dict[State, tuple[State, int] | None] = {start: None}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        for action in actions:
            following = after(codes, state, action)
            if following is None:
                plan = [action]
                while (step := came_from[state]) is not None:
                    state = step[0]
                    plan.append(step[1])
                return plan[::-1]
            if following not in came_from:
                came_from[following] = (state, action)
                queue.append(following)
    return None


WITHOUT_DROP = (FORWARD, PICKUP, TOGGLE, LEFT, RIGHT)


def judge(layout: Layout) -> list[int] | None:
    """A plan that opens a door, if there is any; dropping keys is tried last, as it is rare."""
    return search(layout, WITHOUT_DROP) or search(layout, (*WITHOUT_DROP, DROP))


def from_text(picture: str) -> CodeArray:
    """A hand-made layout: # wall, D blue locked door, b blue key, r red key, ~ lava."""
    code = {"#": WALL, ".": EMPTY, "D": DOOR_LOCKED + BLUE, "b": KEY + BLUE, "r": KEY + RED}
    rows = [[{**code, "~": LAVA}[sign] for sign in row] for row in picture.split()]
    return np.array(rows, dtype=np.uint8)
