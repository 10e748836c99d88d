"""A remembered map drawn as text, for traces and for people."""

from __future__ import annotations

from typing import Final

import numpy as np

from rl.grid.codes import (
    BALL,
    BOX,
    DOOR_CLOSED,
    DOOR_LOCKED,
    DOOR_OPEN,
    KEY,
    UNKNOWN,
    name_of,
)
from rl.grid.colors import order_colors, ranks_of, recolored
from rl.grid.mapping import carried_in, write_view
from rl.grid.vector import GridStates

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


def draw(states: GridStates, row: int, renamed: bool) -> str:
    """The map of one recorded state, cropped to what is known, with a legend of what is in it.

    `?` unknown, `.` floor, `#` wall, `~` lava, `G` goal, `k` key, `o` ball, `b` box, `/` open,
    `+` closed and `L` locked door, `> v < ^` the agent. renamed: name colours as the situation
    does (`rl.grid.colors`).
    """
    num_envs = states.starts.shape[1]
    step, env = divmod(row, num_envs)
    cells = states.maps[env].copy()
    for t in range(step + 1):
        if states.starts[t, env]:
            cells[:] = UNKNOWN
        x, y, heading = (int(v) for v in states.poses[t, env])
        write_view(cells, x, y, heading, states.views[t, env])
    rows, columns = np.nonzero(cells != UNKNOWN)
    top, left = int(rows.min()), int(columns.min())
    window = cells[top : rows.max() + 1, left : columns.max() + 1]
    lines = [[_letter(int(code)) for code in line] for line in window]
    lines[y - top][x - left] = _AGENT[heading]
    carried = int(carried_in(states.views[step, env]))
    ranks = ranks_of(order_colors(cells, carried, renamed))
    seen = {recolored(int(code), ranks) for code in window.flat if code >= KEY}
    legend = sorted(f"{_letter(code)} {name_of(code)}" for code in seen)
    legend.append(f"carrying {name_of(recolored(carried, ranks)) if carried else 'nothing'}")
    return "\n".join(["".join(line) for line in lines] + [", ".join(legend)])


def _letter(code: int) -> str:
    if code < KEY:
        return _PLAIN[code]
    return next(letter for base, letter in reversed(_LETTERS) if code >= base)
