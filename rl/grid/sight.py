"""What the student sees of the remembered map: a crop around it, and a summary of what is beyond.

Both are heading-up: row 0 of the crop is what lies farthest ahead. The summary tells, for each of
the eight sectors around the crop and each channel, how near the nearest such cell is.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from rl.grid.codes import (
    BALL,
    DIRECTION_DX,
    DIRECTION_DY,
    DOOR_CLOSED,
    DOOR_OPEN,
    EMPTY,
    GOAL,
    KEY,
    NUM_COLORS,
    UNKNOWN,
)
from rl.grid.mapping import carried_in, is_frontier, is_inside
from rl.task import CodeArray, FloatArray, IntArray

NUM_SECTORS: Final = 8
CHANNELS: Final = ("frontier", "goal", "key", "ball or box", "open door", "shut door")
_CARRIED_FEATURES: Final = 3 + NUM_COLORS
NUM_FEATURES: Final = NUM_SECTORS * len(CHANNELS) + _CARRIED_FEATURES


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


@njit(cache=True)
def look(
    maps: CodeArray, poses: IntArray, views: CodeArray, codes: CodeArray, features: FloatArray
) -> None:
    """Fill the student's observations of N states.

    maps: uint8 [N, M, M]; poses: int64 [N, 3]; views: uint8 [N, v, v];
    codes: uint8 [N, C, C], C odd, the agent's own cell (in the middle) showing what it carries;
    features: float32 [N, NUM_FEATURES]: sector by channel closeness in 0..1 (1 right beyond the
    crop, 0 where there is none), then kind and colour of what is carried, one-hot.
    """
    side = codes.shape[1]
    for i in range(maps.shape[0]):
        carried = carried_in(views[i])
        _crop(maps[i], poses[i], codes[i])
        codes[i, side // 2, side // 2] = carried if carried else EMPTY
        features[i] = 0.0
        _summarise(maps[i], poses[i], side // 2, features[i])
        if carried:
            base = NUM_SECTORS * 6
            features[i, base + (carried - KEY) // NUM_COLORS] = 1.0
            features[i, base + 3 + (carried - KEY) % NUM_COLORS] = 1.0


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
def _summarise(cells: CodeArray, pose: IntArray, reach: int, features: FloatArray) -> None:
    """Closeness of the nearest cell of each channel in each sector beyond `reach` cells."""
    dx, dy = DIRECTION_DX[pose[2]], DIRECTION_DY[pose[2]]
    for y in range(cells.shape[0]):
        for x in range(cells.shape[1]):
            is_edge = is_frontier(cells, x, y)
            if cells[y, x] == UNKNOWN and not is_edge:
                continue
            ox, oy = x - pose[0], y - pose[1]
            ahead, right = ox * dx + oy * dy, oy * dx - ox * dy
            if abs(ahead) <= reach and abs(right) <= reach:
                continue
            channel = 0 if is_edge else _channel(cells[y, x])
            if channel < 0:
                continue
            vertical = 0 if ahead > reach else (2 if ahead < -reach else 1)
            horizontal = 0 if right < -reach else (2 if right > reach else 1)
            sector = vertical * 3 + horizontal
            if sector > 4:
                sector -= 1
            beyond = max(abs(ahead), abs(right)) - reach
            closeness = np.float32(1.0 / beyond)
            place = sector * 6 + channel
            features[place] = max(features[place], closeness)
