"""What the student sees of the remembered map: a crop around it, and a summary of what is beyond.

Both are heading-up: row 0 of the crop is what lies farthest ahead. The summary tells, for each of
the eight sectors around the crop and each channel, how near the nearest such cell is; and for each
of the four sides, how far away the outermost known cells are and whether they close it off. So it
is known where in a large room the agent is, and where its walls are still to be looked at.

And it is told of its last step, and for how long it has learned nothing new: by that it can tell
the rounds of a circle apart, and leave it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from gymnasium.spaces import Box, Space
from numpy.typing import NDArray

from tutelage.rl.kernels import njit
from tutelage.rl.minigrid.codes import (
    BALL,
    CODE_ATTRIBUTES,
    DIRECTION_DX,
    DIRECTION_DY,
    DOOR_CLOSED,
    DOOR_OPEN,
    EMPTY,
    GOAL,
    KEY,
    LAVA,
    NUM_ACTIONS,
    NUM_CODES,
    NUM_COLORS,
    NUM_HEADINGS,
    UNKNOWN,
    WALL,
)
from tutelage.rl.minigrid.memory_map import (
    LAST,
    STALE,
    carried_in,
    is_frontier,
    is_inside,
    is_transparent,
)
from tutelage.rl.tasks.arrays import CodeArray, FloatArray, IntArray
from tutelage.rl.tasks.spaces import CategoryGrid

MAP_SIDE: Final = "map_side"
"""The name of the remembered map's side among what makes a student's view."""
NUM_SECTORS: Final = 8
CHANNELS: Final = (
    "frontier",
    "goal",
    "key",
    "ball or box",
    "open door",
    "shut door",
    "wall's end",
)
_FRONTIER: Final = 0
_WALL_END: Final = 6
_NUM_CHANNELS: Final = len(CHANNELS)
_SECTOR_FEATURES: Final = NUM_SECTORS * _NUM_CHANNELS
_SIDE_FEATURES: Final = NUM_HEADINGS * 2
_CARRIED_FEATURES: Final = 3 + NUM_COLORS
_SEEN_FEATURES: Final = _SECTOR_FEATURES + _SIDE_FEATURES + _CARRIED_FEATURES
_ACTION_FEATURES: Final = 2 * NUM_ACTIONS
STALE_BITS: Final = 8
"""Whether nothing new was learned for 1, 2, 4, … 128 steps."""
NUM_FEATURES: Final = _SEEN_FEATURES + _ACTION_FEATURES + STALE_BITS


@njit(cache=True, inline="always")
def _channel(code: int) -> int:
    """The summary channel of an object's code; -1 for what the summary leaves out."""
    if code < GOAL or code == UNKNOWN:
        return -1
    if code == GOAL:
        return 1
    if code < BALL:
        return 2
    if code < DOOR_OPEN:
        return 3
    return 4 if code < DOOR_CLOSED else 5


def student_view(
    maps: CodeArray, poses: IntArray, views: CodeArray, last_steps: IntArray, crop: int | None
) -> dict[str, NDArray[Any]]:
    """What the student sees in N states, by key: a fresh `grid` and `features`.

    crop: side of the map crop, odd; None for the bare view and the heading, one-hot. The rest is as
    in `look`.
    """
    if crop is None:
        return {
            "grid": views.copy(),
            "features": np.eye(NUM_HEADINGS, dtype=np.float32)[poses[:, 2]],
        }
    grid = np.empty((len(maps), crop, crop), dtype=np.uint8)
    features = np.empty((len(maps), NUM_FEATURES), dtype=np.float32)
    look(maps, poses, views, last_steps, grid, features)
    return {"grid": grid, "features": features}


def student_spaces(view_side: int, crop: int | None) -> dict[str, Space[Any]]:
    """The spaces of `student_view`. view_side: of the bare view."""
    side, features = crop or view_side, NUM_FEATURES if crop else NUM_HEADINGS
    # Closeness is at most 1; the sides of a map, in halves of it, are less than 2 away.
    highest = 2.0 if crop else 1.0
    return {
        "grid": CategoryGrid(side, side, NUM_CODES, CODE_ATTRIBUTES),
        "features": Box(0.0, highest, (features,), np.float32),
    }


@njit(cache=True)
def look(
    maps: CodeArray,
    poses: IntArray,
    views: CodeArray,
    last_steps: IntArray,
    codes: CodeArray,
    features: FloatArray,
) -> None:
    """Fill the student's observations of N states.

    maps: uint8 [N, M, M]; poses, last_steps: int64 [N, 3]; views: uint8 [N, v, v]; codes: uint8
    [N, C, C], C odd, the agent's own cell (in the middle) showing what it carries; features:
    float32 [N, NUM_FEATURES]: sector by channel closeness in 0..1 (1 right beyond the crop, 0 where
    there is none); ahead, to the right, behind and to the left, the distance of the outermost known
    cells as a share of half the map's side, and 1 where they are all walls or shut doors; kind and
    colour of what is carried, one-hot; the last action, one-hot, those that changed nothing apart
    from the others; and the `STALE_BITS`.
    """
    side = codes.shape[1]
    for i in range(maps.shape[0]):
        carried = carried_in(views[i])
        _crop(maps[i], poses[i], codes[i])
        codes[i, side // 2, side // 2] = carried if carried else EMPTY
        features[i] = 0.0
        known = _known_box(maps[i])
        _summarise(maps[i], poses[i], known, side // 2, features[i])
        _tell_sides(maps[i], poses[i], known, features[i, _SECTOR_FEATURES:])
        if carried:
            base = _SECTOR_FEATURES + _SIDE_FEATURES
            features[i, base + (carried - KEY) // NUM_COLORS] = 1.0
            features[i, base + 3 + (carried - KEY) % NUM_COLORS] = 1.0
        last, stale = last_steps[i, LAST], last_steps[i, STALE]
        if last >= 0:
            features[i, _SEEN_FEATURES + last] = 1.0
        for bit in range(STALE_BITS):
            features[i, _SEEN_FEATURES + _ACTION_FEATURES + bit] = stale >= 1 << bit


@njit(cache=True)
def _crop(cells: CodeArray, pose: IntArray, codes: CodeArray) -> None:
    side = codes.shape[0]
    dx, dy = DIRECTION_DX[pose[2]], DIRECTION_DY[pose[2]]
    for row in range(side):
        ahead = side // 2 - row
        for column in range(side):
            right = column - side // 2
            cx = pose[0] + ahead * dx - right * dy
            cy = pose[1] + ahead * dy + right * dx
            codes[row, column] = cells[cy, cx] if is_inside(cells, cx, cy) else UNKNOWN


@njit(cache=True)
def _known_box(cells: CodeArray) -> tuple[int, int, int, int]:
    """The outermost coordinates with a known cell: greatest x, greatest y, least x, least y."""
    height, width = cells.shape
    most_x, most_y, least_x, least_y = -1, -1, width, height
    for y in range(height):
        for x in range(width):
            if cells[y, x] != UNKNOWN:
                most_x, most_y = max(most_x, x), y
                least_x, least_y = min(least_x, x), min(least_y, y)
    return most_x, most_y, least_x, least_y


@njit(cache=True)
def _is_wall_end(cells: CodeArray, x: int, y: int) -> bool:
    """Whether an unknown cell goes on from a wall or a shut door, along open cells that are known.

    That is where following a wall shows more of it, doors included; behind it nothing is.
    """
    beside_wall, beside_floor = False, False
    for cy in range(max(y - 1, 0), min(y + 2, cells.shape[0])):
        for cx in range(max(x - 1, 0), min(x + 2, cells.shape[1])):
            code = cells[cy, cx]
            if is_transparent(code):
                beside_floor |= code != LAVA
            elif code != UNKNOWN and (cx == x or cy == y):
                beside_wall = True
    return beside_wall and beside_floor


@njit(cache=True)
def _summarise(
    cells: CodeArray,
    pose: IntArray,
    known: tuple[int, int, int, int],
    reach: int,
    features: FloatArray,
) -> None:
    """Closeness of the nearest cell of each channel in each sector beyond `reach` cells."""
    dx, dy = DIRECTION_DX[pose[2]], DIRECTION_DY[pose[2]]
    most_x, most_y, least_x, least_y = known
    # What is not known matters only beside what is.
    for y in range(max(least_y - 1, 0), min(most_y + 2, cells.shape[0])):
        for x in range(max(least_x - 1, 0), min(most_x + 2, cells.shape[1])):
            code = cells[y, x]
            if code in (EMPTY, WALL):
                continue
            ox, oy = x - pose[0], y - pose[1]
            ahead, right = ox * dx + oy * dy, oy * dx - ox * dy
            if abs(ahead) <= reach and abs(right) <= reach:
                continue
            vertical = 0 if ahead > reach else (2 if ahead < -reach else 1)
            horizontal = 0 if right < -reach else (2 if right > reach else 1)
            sector = vertical * 3 + horizontal
            if sector > 4:
                sector -= 1
            closeness = np.float32(1.0 / (max(abs(ahead), abs(right)) - reach))
            found = features[sector * _NUM_CHANNELS : (sector + 1) * _NUM_CHANNELS]
            if code != UNKNOWN:
                channel = _channel(code)
                if channel >= 0:
                    found[channel] = max(found[channel], closeness)
                continue
            if found[_FRONTIER] < closeness and is_frontier(cells, x, y):
                found[_FRONTIER] = closeness
            if found[_WALL_END] < closeness and _is_wall_end(cells, x, y):
                found[_WALL_END] = closeness


@njit(cache=True)
def _tell_sides(
    cells: CodeArray, pose: IntArray, known: tuple[int, int, int, int], features: FloatArray
) -> None:
    """How far the known cells reach to each side, and whether the outermost close it off."""
    most_x, most_y, least_x, least_y = known
    far = (most_x - pose[0], most_y - pose[1], pose[0] - least_x, pose[1] - least_y)
    for turns in range(NUM_HEADINGS):
        side = (pose[2] + turns) % NUM_HEADINGS
        x, y = (most_x, 0, least_x, 0)[side], (0, most_y, 0, least_y)[side]
        closed = True
        for along in range(cells.shape[0]):
            code = cells[along, x] if side % 2 == 0 else cells[y, along]
            closed &= not is_transparent(code)
        features[2 * turns] = far[side] / (cells.shape[0] // 2)
        features[2 * turns + 1] = closed
