"""A remembered map drawn in coloured letters, for traces and for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from tutelage.rl.minigrid.codes import (
    BALL,
    BOX,
    DOOR_CLOSED,
    DOOR_LOCKED,
    DOOR_OPEN,
    KEY,
    NUM_CODES,
    NUM_COLORS,
    UNKNOWN,
    name_of,
)
from tutelage.rl.minigrid.colors import order_colors, ranks_of, recolored
from tutelage.rl.minigrid.memory_map import carried_in
from tutelage.rl.minigrid.vector import grid_states
from tutelage.rl.tasks.arrays import CodeArray, IntArray
from tutelage.rl.tasks.base import States
from tutelage.rl.tasks.watching import Drawing

_PLAIN: Final = "?.#~G"
_AGENT: Final = ">v<^"
_LETTERS: Final = (
    (KEY, "k"),
    (BALL, "o"),
    (BOX, "b"),
    (DOOR_OPEN, "/"),
    (DOOR_CLOSED, "+"),
    (DOOR_LOCKED, "L"),
)
_INKS: Final = "ufwlo"
_COLOR_INKS: Final = "rgbpye"
"""By MiniGrid's numbers; see `rl.tasks.watching.Drawing`."""
_AGENT_INK: Final = "a"


@dataclass(frozen=True)
class RememberedState:
    """What the agent knows in one state.

    cells: uint8 [M, M], the remembered map; x, y, heading: its pose there; carried: a code, 0 for
    nothing.
    """

    cells: CodeArray
    x: int
    y: int
    heading: int
    carried: int

    def ranks(self, renamed: bool) -> IntArray:
        """By which colour's name each colour is called (`rl.minigrid.colors`), int64 [6]."""
        return ranks_of(order_colors(self.cells, self.carried, renamed))

    def known(self) -> tuple[CodeArray, int, int]:
        """The smallest window that holds all that is known, and the agent's place (x, y) in it."""
        rows, columns = np.nonzero(self.cells != UNKNOWN)
        top, left = int(rows.min()), int(columns.min())
        window = self.cells[top : rows.max() + 1, left : columns.max() + 1]
        return window, self.x - left, self.y - top


def recall(states: States, row: int) -> RememberedState:
    """What the agent of one row knows. Raises TypeError for the states of another task."""
    grid = grid_states(states)
    x, y, heading = (int(number) for number in grid.poses[row])
    carried = int(carried_in(grid.views[row]))
    return RememberedState(grid.maps[row].copy(), x, y, heading, carried)


def draw(states: States, row: int, renamed: bool) -> str:
    """The map of one state, cropped to what is known, with a legend of what is in it.

    `?` unknown, `.` floor, `#` wall, `~` lava, `G` goal, `k` key, `o` ball, `b` box, `/` open,
    `+` closed and `L` locked door, `> v < ^` the agent. renamed: name colours as the situation
    does (`rl.minigrid.colors`).
    """
    memory = recall(states, row)
    window, x, y = memory.known()
    ranks = memory.ranks(renamed)
    seen = {recolored(int(code), ranks) for code in window.flat if code >= KEY}
    legend = sorted(f"{_letter(code)} {name_of(code)}" for code in seen)
    carried = memory.carried
    legend.append(f"carrying {name_of(recolored(carried, ranks)) if carried else 'nothing'}")
    lines = in_letters(window, x, y, memory.heading).letters
    return "\n".join([*lines, ", ".join(legend)])


def draw_inks(states: States, row: int, renamed: bool) -> str:
    """The colours of `draw`'s map, a letter for a letter; see `rl.tasks.watching.Drawing`."""
    memory = recall(states, row)
    window, x, y = memory.known()
    ranks = memory.ranks(renamed)
    told = np.array([recolored(code, ranks) for code in range(NUM_CODES)], dtype=np.uint8)
    return "\n".join(in_letters(told[window], x, y, memory.heading).inks)


def in_letters(cells: CodeArray, x: int, y: int, heading: int) -> Drawing:
    """Cells, uint8 [H, W], as coloured letters, with the agent at (x, y)."""
    letters = [[_letter(int(code)) for code in line] for line in cells]
    inks = [[_ink(int(code)) for code in line] for line in cells]
    letters[y][x], inks[y][x] = _AGENT[heading], _AGENT_INK
    return Drawing(tuple(map("".join, letters)), tuple(map("".join, inks)))


def _ink(code: int) -> str:
    if code < KEY:
        return _INKS[code]
    ink = _COLOR_INKS[(code - KEY) % NUM_COLORS]
    return ink.upper() if code >= DOOR_OPEN else ink


def _letter(code: int) -> str:
    if code < KEY:
        return _PLAIN[code]
    return next(letter for base, letter in reversed(_LETTERS) if code >= base)
