"""The remembered map: written from egocentric views and dead reckoning, never from the simulator.

A map is a uint8 square of category codes indexed [y, x], in a frame whose middle is where the
episode began and whose axes are the grid's own (the heading is observed, the position is not).
A pose is (x, y, heading). A view is a uint8 square indexed [row, column], the agent in the middle
of its last row, looking towards row 0.

Beside the map the agent remembers its last step, int64 [3]. A student that acts by its likeliest
action, and saw the map alone, would do for ever what changes nothing, or turn to and fro:

    LAST     the last action, plus NUM_ACTIONS where it changed nothing that the agent knows of; -1
             before the first
    STALE    the steps since the map, or what is carried, last changed
    CARRIED  the code of what is carried, 0 for nothing
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tutelage.rl.kernels import njit
from tutelage.rl.minigrid.codes import (
    DIRECTION_DX,
    DIRECTION_DY,
    DOOR_CLOSED,
    DOOR_OPEN,
    EMPTY,
    FORWARD,
    GOAL,
    IDLE,
    KEY,
    LAVA,
    LEFT,
    NUM_ACTIONS,
    RIGHT,
    UNKNOWN,
    WALL,
)
from tutelage.rl.tasks.arrays import BoolArray, CodeArray, IntArray

LAST, STALE, CARRIED = range(3)
LAST_STEP_SIZE: Final = 3


@njit(cache=True, inline="always")
def is_walkable(code: int) -> bool:
    """Free floor, a goal or an open door. Unknown cells and lava are not walked on."""
    return code in (EMPTY, GOAL) or DOOR_OPEN <= code < DOOR_CLOSED


def without_lava(codes: CodeArray) -> CodeArray:
    """The same maps or views as somebody knows them who takes lava for floor."""
    return np.where(codes == LAVA, np.uint8(EMPTY), codes)


@njit(cache=True, inline="always")
def is_enterable(code: int) -> bool:
    """Where MiniGrid lets the agent step, lava included: what dead reckoning goes by."""
    return bool(is_walkable(code)) or code == LAVA


@njit(cache=True, inline="always")
def is_transparent(code: int) -> bool:
    """Whether sight passes: not through walls and shut doors; not, to be sure, through unknown."""
    return WALL < code < DOOR_CLOSED or code == EMPTY


@njit(cache=True, inline="always")
def is_inside(cells: CodeArray, x: int, y: int) -> bool:
    """Whether a place lies on the map."""
    height, width = cells.shape
    return bool(0 <= x < width and 0 <= y < height)


@njit(cache=True)
def is_frontier(cells: CodeArray, x: int, y: int) -> bool:
    """Whether a cell is unknown and borders on one that is known and open.

    Open is what is neither wall, shut door nor lava: the corner of a room, which only walls
    touch, hides nothing that could be reached.
    """
    if not is_inside(cells, x, y) or cells[y, x] != UNKNOWN:
        return False
    for heading in range(4):
        cx, cy = x + DIRECTION_DX[heading], y + DIRECTION_DY[heading]
        if is_inside(cells, cx, cy) and is_transparent(cells[cy, cx]) and cells[cy, cx] != LAVA:
            return True
    return False


@njit(cache=True)
def write_view(cells: CodeArray, x: int, y: int, heading: int, view: CodeArray) -> bool:
    """Write what is seen from a pose into the map; True where that changed the map.

    The agent's own cell shows what it carries, so the map keeps what it knew of that cell.
    """
    side = view.shape[0]
    dx, dy = DIRECTION_DX[heading], DIRECTION_DY[heading]
    changed = False
    for row in range(side):
        ahead = side - 1 - row
        for column in range(side):
            code = view[row, column]
            right = column - side // 2
            cx, cy = x + ahead * dx - right * dy, y + ahead * dy + right * dx
            if code == UNKNOWN or not is_inside(cells, cx, cy):
                continue
            if ahead == 0 and right == 0:
                if cells[cy, cx] != UNKNOWN:
                    continue
                code = EMPTY
            if cells[cy, cx] != code:
                cells[cy, cx] = code
                changed = True
    return changed


@njit(cache=True, inline="always")
def carried_in(view: CodeArray) -> int:
    """The code of what the agent carries, as its own cell shows it; 0 for nothing."""
    code = view[view.shape[0] - 1, view.shape[1] // 2]
    return code if KEY <= code < DOOR_OPEN else 0


@njit(cache=True, inline="always")
def spread_sight(here: int, transparent: int, side: int) -> tuple[int, int]:
    """What is in sight in a line of a view and in the next one: MiniGrid's `Grid.process_vis`.

    A bit for each of the `side` columns. here: what the line before shows; transparent: which cells
    let sight pass. Those show their neighbours to the right and, in a second sweep, to the left,
    and what lies beyond both.
    """
    following = 0
    for column in range(side - 1):
        if here & transparent & 1 << column:
            here |= 2 << column
            following |= 3 << column
    for column in range(side - 1, 0, -1):
        if here & transparent & 1 << column:
            here |= 1 << (column - 1)
            following |= 3 << (column - 1)
    return here, following


@njit(cache=True)
def count_revealed(cells: CodeArray, x: int, y: int, heading: int, side: int) -> int:
    """How many cells of the frontier the view from a pose is sure to show.

    On the remembered map unknown cells are opaque: so whatever they turn out to be, at least as
    many will be seen.
    """
    revealed = 0
    dx, dy = DIRECTION_DX[heading], DIRECTION_DY[heading]
    left_x, left_y = x + side // 2 * dy, y - side // 2 * dx
    in_sight = 1 << side // 2
    for ahead in range(side):
        transparent = 0
        for column in range(side):
            cx, cy = left_x + ahead * dx - column * dy, left_y + ahead * dy + column * dx
            if is_inside(cells, cx, cy) and is_transparent(cells[cy, cx]):
                transparent |= 1 << column
        in_sight, following = spread_sight(in_sight, transparent, side)
        for column in range(side):
            cx, cy = left_x + ahead * dx - column * dy, left_y + ahead * dy + column * dx
            if in_sight & 1 << column and is_frontier(cells, cx, cy):
                revealed += 1
        in_sight = following
    return revealed


@njit(cache=True)
def dead_reckon(cells: CodeArray, pose: IntArray, heading: int, action: int) -> None:
    """Move the pose, int64 [3] = (x, y, heading), by what the action must have done.

    A step forward succeeds exactly where the remembered cell ahead can be entered: it is always
    in view. The new heading is the observed one.
    """
    if action == FORWARD:
        x, y = pose[0] + DIRECTION_DX[pose[2]], pose[1] + DIRECTION_DY[pose[2]]
        # Off the map goes only who was held up unseen: an obstacle moved, a floor was slippery.
        if is_inside(cells, x, y) and is_enterable(cells[y, x]):
            pose[0], pose[1] = x, y
    pose[2] = heading


@njit(cache=True)
def track(
    maps: CodeArray,
    poses: IntArray,
    views: CodeArray,
    headings: IntArray,
    actions: IntArray,
    last_steps: IntArray,
    changed: BoolArray,
) -> None:
    """Bring N maps, poses and last steps up to date after a step.

    maps: uint8 [N, M, M]; poses, last_steps: int64 [N, 3]; views: uint8 [N, v, v]; headings,
    actions: int64 [N], IDLE where there was no step; changed: bool [N], set where a map changed.
    """
    for i in range(maps.shape[0]):
        x, y, heading = poses[i, 0], poses[i, 1], poses[i, 2]
        dead_reckon(maps[i], poses[i], headings[i], actions[i])
        changed[i] = write_view(maps[i], poses[i, 0], poses[i, 1], poses[i, 2], views[i])
        if actions[i] == IDLE:
            continue
        carried = carried_in(views[i])
        news = changed[i] or carried != last_steps[i, CARRIED]
        moved = x != poses[i, 0] or y != poses[i, 1] or heading != poses[i, 2]
        last_steps[i, LAST] = actions[i] if news or moved else actions[i] + NUM_ACTIONS
        last_steps[i, STALE] = 0 if news else last_steps[i, STALE] + 1
        last_steps[i, CARRIED] = carried


@njit(cache=True)
def begin(
    maps: CodeArray,
    poses: IntArray,
    views: CodeArray,
    headings: IntArray,
    last_steps: IntArray,
    rows: IntArray,
) -> None:
    """Begin the maps of the given rows anew, from the first view of an episode."""
    middle = maps.shape[1] // 2
    for i in rows:
        maps[i] = UNKNOWN
        poses[i, 0], poses[i, 1], poses[i, 2] = middle, middle, headings[i]
        write_view(maps[i], middle, middle, headings[i], views[i])
        last_steps[i, LAST], last_steps[i, STALE] = -1, 0
        last_steps[i, CARRIED] = carried_in(views[i])


@njit(cache=True, inline="always")
def turn(heading: int, action: int) -> int:
    """The heading after LEFT or RIGHT."""
    if action == LEFT:
        return (heading + 3) % 4
    if action == RIGHT:
        return (heading + 1) % 4
    return heading
