"""Where known objects are, roughly: near, far or out of reach. The fields of a look-up.

In a situation id it is a number in base 3 above the fields of `rl.minigrid.situations`, a digit for
each kind of object seen, in the order of the kinds, lava apart; the first ten kinds at most. Of
several objects of a kind the nearest counts. A step is a step onto free floor, turns not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np

from tutelage.rl.kernels import njit
from tutelage.rl.minigrid.codes import DIRECTION_DX, DIRECTION_DY, GOAL, NUM_CODES, name_of
from tutelage.rl.minigrid.colors import order_colors, ranks_of, recolored
from tutelage.rl.minigrid.memory_map import carried_in, is_inside, is_walkable
from tutelage.rl.minigrid.situations import MISSION_SHIFT
from tutelage.rl.tasks.arrays import CodeArray, IntArray
from tutelage.rl.tasks.plan_outcomes import LARGEST

OUT_OF_REACH, FAR, NEAR = range(3)
NEAR_STEPS: Final = 3
"""As many steps lead at most to a place beside a thing that is near."""

_WORDS: Final = ("out of reach by ways that are known", "far, reachable", "near, reachable")
_MOST: Final = 10
Ids = TypeVar("Ids", int, IntArray)
_UNSEEN: Final = -1


class PlaceField:
    """Where the digits stand in the situation ids of a task with so many missions."""

    def __init__(self, num_missions: int) -> None:
        self._shift = MISSION_SHIFT + (num_missions - 1).bit_length()
        room = LARGEST >> self._shift
        self.most = next(n for n in range(_MOST, -1, -1) if 3**n - 1 <= room)

    def join(self, base: Ids, numbers: Ids) -> Ids:
        """Situation ids without the digits, and the digits, put together."""
        return base | (numbers << self._shift)

    def split(self, situation_id: int) -> tuple[int, int]:
        """The inverse, for one situation id."""
        return situation_id & ((1 << self._shift) - 1), situation_id >> self._shift

    def text(self, kinds: Sequence[int], number: int) -> str:
        """What the look-up tells. kinds: the codes of the kinds of object seen, ascending."""
        things = [code for code in kinds if code >= GOAL]
        words = [f"{name_of(code)} ({_WORDS[number // 3**i % 3]})" for i, code in enumerate(things)]
        told, untold = words[: self.most], [f"{name_of(code)} (?)" for code in things[self.most :]]
        return f"places: {'; '.join(told + untold) or 'nothing known'}"

    def read(self, kinds: Sequence[int], lines: Sequence[str]) -> int:
        """The number of which `text` makes one of some lines; 0 where there is none."""
        for line in lines:
            parts = line.removeprefix("places: ").split("; ")[: self.most]
            places = [[part.endswith(f"({word})") for word in _WORDS] for part in parts]
            digits = [found.index(True) if any(found) else OUT_OF_REACH for found in places]
            number = sum(digit * int(3**i) for i, digit in enumerate(digits))
            if self.text(kinds, number) == line:
                return number
        return 0


@njit(cache=True)
def place_objects(
    maps: CodeArray,
    views: CodeArray,
    poses: IntArray,
    renamed: bool,
    most: int,
    numbers: IntArray,
) -> None:
    """The digits of B states as one number each, into int64 [B].

    maps: uint8 [B, M, M]; views: uint8 [B, v, v]; poses: int64 [B, 3]. renamed: see
    `rl.minigrid.colors`. most: how many kinds get a digit.
    """
    size = maps.shape[1]
    steps = np.empty((size, size), dtype=np.int64)
    queue = np.empty((size * size, 2), dtype=np.int64)
    places = np.empty(NUM_CODES, dtype=np.int64)
    for i in range(len(maps)):
        _flood(maps[i], poses[i, 0], poses[i, 1], steps, queue)
        ranks = ranks_of(order_colors(maps[i], carried_in(views[i]), renamed))
        _find_places(maps[i], steps, ranks, places)
        number, digit, told = 0, 1, 0
        for code in range(GOAL, NUM_CODES):
            if places[code] != _UNSEEN and told < most:
                number += places[code] * digit
                digit *= 3
                told += 1
        numbers[i] = number


@njit(cache=True)
def _flood(cells: CodeArray, x: int, y: int, steps: IntArray, queue: IntArray) -> None:
    """Steps from a cell to every other along known free floor, -1 where there is no way."""
    steps[:] = -1
    steps[y, x] = 0
    queue[0, 0], queue[0, 1] = x, y
    head, tail = 0, 1
    while head < tail:
        cx, cy = queue[head, 0], queue[head, 1]
        head += 1
        for heading in range(4):
            nx, ny = cx + DIRECTION_DX[heading], cy + DIRECTION_DY[heading]
            if is_inside(cells, nx, ny) and steps[ny, nx] < 0 and is_walkable(cells[ny, nx]):
                steps[ny, nx] = steps[cy, cx] + 1
                queue[tail, 0], queue[tail, 1] = nx, ny
                tail += 1


@njit(cache=True)
def _find_places(cells: CodeArray, steps: IntArray, ranks: IntArray, places: IntArray) -> None:
    """The place of the nearest object of each kind, into int64 [NUM_CODES]."""
    places[:] = _UNSEEN
    height, width = cells.shape
    for y in range(height):
        for x in range(width):
            if cells[y, x] < GOAL:
                continue
            place = OUT_OF_REACH
            for heading in range(4):
                bx, by = x + DIRECTION_DX[heading], y + DIRECTION_DY[heading]
                if is_inside(cells, bx, by) and steps[by, bx] >= 0:
                    place = max(place, NEAR if steps[by, bx] <= NEAR_STEPS else FAR)
            code = recolored(cells[y, x], ranks)
            places[code] = max(places[code], place)
