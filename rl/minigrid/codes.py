"""One small integer for everything a MiniGrid cell can hold, and its name in words.

MiniGrid encodes a cell as (object type, colour, door state). Here that triple becomes one category
code below `NUM_CODES`, so that a map is a uint8 array and an embedding table needs one row a code.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, IDX_TO_COLOR, OBJECT_TO_IDX
from minigrid.core.world_object import Ball, Box, Door, Goal, Key, Lava, Wall, WorldObj

from tutelage.rl.errors import UserError
from tutelage.rl.tasks.arrays import CodeArray

NUM_COLORS: Final = len(COLOR_TO_IDX)
COLORS: Final = tuple(IDX_TO_COLOR[i] for i in range(NUM_COLORS))

UNKNOWN: Final = 0
EMPTY: Final = 1
"""Free floor, tiled floor included: nothing that an option could be aimed at."""
WALL: Final = 2
LAVA: Final = 3
GOAL: Final = 4
KEY: Final = 5
"""KEY + colour, as for the following; colours are MiniGrid's indices."""
BALL: Final = KEY + NUM_COLORS
BOX: Final = BALL + NUM_COLORS
DOOR_OPEN: Final = BOX + NUM_COLORS
DOOR_CLOSED: Final = DOOR_OPEN + NUM_COLORS
DOOR_LOCKED: Final = DOOR_CLOSED + NUM_COLORS
NUM_CODES: Final = DOOR_LOCKED + NUM_COLORS


def _attributes_of(code: int) -> tuple[int, int]:
    if code < KEY:
        return code, 0
    kind, color = divmod(code - KEY, NUM_COLORS)
    return KEY + kind, 1 + color


CODE_ATTRIBUTES: Final = tuple(_attributes_of(code) for code in range(NUM_CODES))
"""Kind and colour of each code, as small numbers; colour 0 for what has none to tell apart."""

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)
ACTION_NAMES: Final = ("left", "right", "forward", "pickup", "drop", "toggle", "done")
NUM_ACTIONS: Final = len(ACTION_NAMES)
IDLE: Final = -1
"""Tells a simulator to leave a world as it is: it is not stepped."""

NUM_HEADINGS: Final = 4
DIRECTION_DX: Final = np.array([1, 0, -1, 0], dtype=np.int64)
"""x step of headings 0..3 = right, down, left, up (MiniGrid's order)."""
DIRECTION_DY: Final = np.array([0, 1, 0, -1], dtype=np.int64)


def _encoding_table() -> CodeArray:
    """uint8 [11, 6, 3]: (type, colour, state) to code. The agent's own cell counts as floor."""
    table = np.full((len(OBJECT_TO_IDX), NUM_COLORS, 3), UNKNOWN, dtype=np.uint8)
    plain = {"empty": EMPTY, "floor": EMPTY, "agent": EMPTY, "wall": WALL}
    for name, code in {**plain, "lava": LAVA, "goal": GOAL}.items():
        table[OBJECT_TO_IDX[name]] = code
    for color in range(NUM_COLORS):
        for name, base in {"key": KEY, "ball": BALL, "box": BOX}.items():
            table[OBJECT_TO_IDX[name], color] = base + color
        for state, base in enumerate((DOOR_OPEN, DOOR_CLOSED, DOOR_LOCKED)):
            table[OBJECT_TO_IDX["door"], color, state] = base + color
    return table


CODE_TABLE: Final = _encoding_table()


class UncodedObjectError(UserError):
    """A cell holds what MiniGrid's own objects, colours and door states are not."""


def cell_codes(image: CodeArray) -> CodeArray:
    """MiniGrid's image, uint8 [..., 3], as category codes, uint8 [...].

    Raises UncodedObjectError for an object, a colour or a state that is none of MiniGrid's own.
    """
    try:
        return CODE_TABLE[image[..., 0], image[..., 1], image[..., 2]]
    except IndexError:
        cells = image.reshape(-1, 3)
        first = cells[(cells >= CODE_TABLE.shape).any(axis=1)][0]
        kind, color, state = first.tolist()
        raise UncodedObjectError(
            f"a cell's object has type {kind}, colour {color} and state {state}, for which maps "
            f"have no code; an object of your own needs a `type` of MiniGrid's OBJECT_TO_IDX (up "
            f"to {len(CODE_TABLE) - 1}), a colour of its COLOR_TO_IDX and a door's state at most"
        ) from None


def name_of(code: int) -> str:
    """A code in words, e.g. `red key`, `blue door`."""
    if code < KEY:
        return ("unknown", "floor", "wall", "lava", "green goal")[code]
    kind, color = divmod(code - KEY, NUM_COLORS)
    return f"{COLORS[color]} {('key', 'ball', 'box', 'door', 'door', 'door')[kind]}"


def door_state(code: int) -> str | None:
    """`open`, `closed` or `locked` for a door's code, else None."""
    if code < DOOR_OPEN:
        return None
    return ("open", "closed", "locked")[(code - DOOR_OPEN) // NUM_COLORS]


def object_of(code: int) -> WorldObj | None:
    """MiniGrid's object of a code; None for free floor. Raises ValueError for an unknown cell."""
    if code == UNKNOWN:
        raise ValueError(f"code {code} is not a known cell")
    if code == EMPTY:
        return None
    if code < KEY:
        kind: type[WorldObj] = {WALL: Wall, LAVA: Lava, GOAL: Goal}[code]
        return kind()  # type: ignore[call-arg]  # each has a kind and a colour of its own
    color, state = COLORS[(code - KEY) % NUM_COLORS], door_state(code)
    if state is not None:
        return Door(color, is_open=state == "open", is_locked=state == "locked")
    thing: type[WorldObj] = (Key, Ball, Box)[(code - KEY) // NUM_COLORS]
    return thing(color)  # type: ignore[call-arg]  # each has a kind of its own
