"""A near-optimal explorer of DivergentDoorKey, the yardstick for teachers and students of it.

It knows how the levels are drawn (`rl.minigrid.layouts.DIVERGENT_ROOM`: the room's size, the key in
one of the four central cells, two doors in opposite walls, all places equally likely), and of the
level that it is in only what it has seen through its view of three by three cells. It goes straight
on to a wall, back to the middle line that runs along it and down that line until it sees the key,
and then follows the walls along the tour that is expected to come upon a door soonest.

Places are map coordinates (x, y), the start in the middle, as in `rl.minigrid.memory_map`. "The
corner" is where the room's top-left wall cell lies on the map: all of the position that there is to
know.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tutelage.rl.minigrid.codes import (
    DIRECTION_DX,
    DIRECTION_DY,
    DOOR_LOCKED,
    DOOR_OPEN,
    EMPTY,
    FORWARD,
    KEY,
    LEFT,
    NUM_COLORS,
    PICKUP,
    RIGHT,
    TOGGLE,
    UNKNOWN,
)
from tutelage.rl.minigrid.memory_map import turn
from tutelage.rl.tasks.arrays import CodeArray, IntArray

SIDE = 20
"""The room's, walls included."""
MIDDLE = SIDE // 2
"""The central cells are those with both coordinates in MIDDLE - 1, MIDDLE, from the corner."""
VIEW = 3
FAR = 1_000_000


class Mind(NamedTuple):
    """What the explorer knows, and its scratch.

    cells: uint8 [M, M], the remembered map; pose: int64 [3]. steps: int64 [M, M, 4], how far it is
    to a pose, or FAR; came: int64 [M, M, 4], the pose before it as a number,
    (y * M + x) * 4 + heading.
    """

    cells: CodeArray
    pose: IntArray
    steps: IntArray
    came: IntArray


@njit(cache=True)
def decide(mind: Mind, carried: int) -> int:
    """The explorer's next action. carried: a code, 0 for nothing."""
    cells = mind.cells
    corner = locate(cells)
    find_ways(mind, corner)
    if carried and (cells >= DOOR_LOCKED).any():
        return way_to_face(mind, DOOR_LOCKED, TOGGLE)
    if carried:
        return way_along_walls(mind, corner[0], corner[2])
    if ((cells >= KEY) & (cells < KEY + NUM_COLORS)).any():
        return way_to_face(mind, KEY, PICKUP)
    if corner[0] == corner[1] and corner[2] == corner[3]:
        return way_to_middle(mind, corner[0], corner[2])
    return way_to_localise(mind, corner)


@njit(cache=True)
def locate(cells: CodeArray) -> tuple[int, int, int, int]:
    """Where the corner may be: its least and greatest x, its least and greatest y."""
    ys, xs = np.nonzero((cells == EMPTY) | ((cells >= KEY) & (cells < DOOR_OPEN)))
    low_x, high_x, low_y, high_y = xs.min(), xs.max(), ys.min(), ys.max()
    least_x, most_x = high_x - (SIDE - 2), low_x - 1
    least_y, most_y = high_y - (SIDE - 2), low_y - 1
    # In the rows of the floor that was seen, what is known beside it is the left or right wall.
    for y in range(low_y, high_y + 1):
        if cells[y, low_x - 1] != UNKNOWN:
            least_x = most_x
        if cells[y, high_x + 1] != UNKNOWN:
            most_x = least_x
    for x in range(low_x, high_x + 1):
        if cells[low_y - 1, x] != UNKNOWN:
            least_y = most_y
        if cells[high_y + 1, x] != UNKNOWN:
            most_y = least_y
    for y in range(low_y, high_y + 1):
        for x in range(low_x, high_x + 1):
            if KEY <= cells[y, x] < KEY + NUM_COLORS:
                least_x, most_x = max(least_x, x - MIDDLE), min(most_x, x - MIDDLE + 1)
                least_y, most_y = max(least_y, y - MIDDLE), min(most_y, y - MIDDLE + 1)
    return least_x, most_x, least_y, most_y


@njit(cache=True)
def in_view(x: int, y: int, heading: int, ahead: int, right: int) -> tuple[int, int]:
    """The place that lies so far ahead and to the right of a pose."""
    dx, dy = DIRECTION_DX[heading], DIRECTION_DY[heading]
    return x + ahead * dx - right * dy, y + ahead * dy + right * dx


@njit(cache=True)
def is_floor(x: int, y: int) -> bool:
    """Whether a place counted from the corner lies within the walls."""
    return bool(0 < x < SIDE - 1 and 0 < y < SIDE - 1)


@njit(cache=True)
def wall_of(x: int, y: int) -> int:
    """The wall, by the heading that faces it, of a place counted from the corner; -1 for none.

    The room's corners, which hold no door, belong to none.
    """
    inside_x, inside_y = 0 < x < SIDE - 1, 0 < y < SIDE - 1
    if x == SIDE - 1 and inside_y:
        return 0
    if y == SIDE - 1 and inside_x:
        return 1
    if x == 0 and inside_y:
        return 2
    return 3 if y == 0 and inside_x else -1


@njit(cache=True)
def find_ways(mind: Mind, corner: tuple[int, int, int, int]) -> None:
    """Fill in the shortest way to every pose, what is not known taken for floor."""
    cells, pose, steps, came = mind
    size = cells.shape[0]
    least_x, most_x, least_y, most_y = corner
    steps[:], came[:] = FAR, -1
    steps[pose[1], pose[0], pose[2]] = 0
    queue = [(pose[1] * size + pose[0]) * 4 + pose[2]]
    head = 0
    while head < len(queue):
        here = queue[head]
        head += 1
        x, y, heading = (here // 4) % size, here // (4 * size), here % 4
        for action in (FORWARD, LEFT, RIGHT):
            nx, ny = x, y
            if action == FORWARD:
                nx, ny = in_view(x, y, heading, 1, 0)
                inside_x = least_x < nx < most_x + SIDE - 1
                inside_y = least_y < ny < most_y + SIDE - 1
                if not (inside_x and inside_y and cells[ny, nx] in (UNKNOWN, EMPTY)):
                    continue
            there = turn(heading, action)
            if steps[ny, nx, there] == FAR:
                steps[ny, nx, there] = steps[y, x, heading] + 1
                came[ny, nx, there] = here
                queue.append((ny * size + nx) * 4 + there)


@njit(cache=True)
def towards(mind: Mind, target: int) -> int:
    """The first action of the way to another pose."""
    pose, came = mind.pose, mind.came
    size = came.shape[0]
    start = (pose[1] * size + pose[0]) * 4 + pose[2]
    here = target
    while True:
        before = came[here // (4 * size), (here // 4) % size, here % 4]
        if before == start:
            break
        here = before
    if here // 4 != start // 4:
        return FORWARD
    return LEFT if (here - start) % 4 == 3 else RIGHT


@njit(cache=True)
def way_to_face(mind: Mind, kind: int, last: int) -> int:
    """The next action towards facing the nearest thing of a kind, in any colour; `last` there."""
    cells, _, steps, _ = mind
    size = cells.shape[0]
    best, target = FAR, -1
    for y in range(size):
        for x in range(size):
            if kind <= cells[y, x] < kind + NUM_COLORS:
                for heading in range(4):
                    px, py = in_view(x, y, heading, -1, 0)
                    if steps[py, px, heading] < best:
                        best, target = steps[py, px, heading], (py * size + px) * 4 + heading
    return last if best == 0 else towards(mind, target)


@njit(cache=True)
def way_to_localise(mind: Mind, corner: tuple[int, int, int, int]) -> int:
    """The next action while the corner is not known in both axes.

    Straight on until one is known; then along the middle line of that axis, where the key is passed
    as likely as not, the way on which it is expected sooner.
    """
    pose, steps = mind.pose, mind.steps
    least_x, most_x, least_y, most_y = corner
    if least_x < most_x and least_y < most_y:
        return FORWARD
    upright = least_x == most_x
    across, along = (pose[0], pose[1]) if upright else (pose[1], pose[0])
    middle = (least_x if upright else least_y) + MIDDLE
    line = middle if across >= middle else middle - 1
    passed = along - ((least_y + most_y) / 2 if upright else (least_x + most_x) / 2)
    heading = (3 if upright else 2) if passed <= (SIDE - 1) / 2 else (1 if upright else 0)
    if across == line and pose[2] == heading:
        return FORWARD
    size = steps.shape[0]
    best, target = FAR, -1
    for other in range(size):
        x, y = (line, other) if upright else (other, line)
        if steps[y, x, heading] < best:
            best, target = steps[y, x, heading], (y * size + x) * 4 + heading
    return towards(mind, target)


@njit(cache=True)
def way_to_middle(mind: Mind, corner_x: int, corner_y: int) -> int:
    """The next action towards seeing all those central cells in which the key may lie."""
    cells, _, steps, _ = mind
    size = cells.shape[0]
    wanted = 0
    for y in range(MIDDLE - 1, MIDDLE + 1):
        for x in range(MIDDLE - 1, MIDDLE + 1):
            wanted += cells[corner_y + y, corner_x + x] == UNKNOWN
    best, target = FAR, -1
    for y in range(1, SIDE - 1):
        for x in range(1, SIDE - 1):
            for heading in range(4):
                there = steps[corner_y + y, corner_x + x, heading]
                if (
                    0 < there < best
                    and unseen_central(mind, corner_x, corner_y, x, y, heading) == wanted
                ):
                    best = there
                    target = ((corner_y + y) * size + corner_x + x) * 4 + heading
    return towards(mind, target)


@njit(cache=True)
def unseen_central(mind: Mind, corner_x: int, corner_y: int, x: int, y: int, heading: int) -> int:
    """How many central cells that were not seen yet the view from a pose shows."""
    count = 0
    for ahead in range(VIEW):
        for right in range(-1, 2):
            vx, vy = in_view(x, y, heading, ahead, right)
            if MIDDLE - 1 <= vx <= MIDDLE and MIDDLE - 1 <= vy <= MIDDLE:
                count += mind.cells[corner_y + vy, corner_x + vx] == UNKNOWN
    return count


@njit(cache=True)
def way_along_walls(mind: Mind, corner_x: int, corner_y: int) -> int:
    """The next action of the tour along the walls that is expected to show a door soonest.

    A tour goes to a floor cell beside a wall and on along the walls, one way round or the other.
    """
    steps = mind.steps
    unseen = np.zeros((SIDE, SIDE), dtype=np.bool_)
    for y in range(SIDE):
        for x in range(SIDE):
            is_new = mind.cells[corner_y + y, corner_x + x] == UNKNOWN
            unseen[y, x] = wall_of(x, y) >= 0 and is_new
    best, target, then = float(FAR), -1, FORWARD
    for wall in range(4):
        for along in range(1, SIDE - 1):
            x = (SIDE - 2, along, 1, along)[wall]
            y = (along, SIDE - 2, along, 1)[wall]
            for inwards in (LEFT, RIGHT):
                # The way that has the wall at its outer side.
                heading = turn(wall, inwards)
                there = steps[corner_y + y, corner_x + x, heading]
                if there >= best:
                    continue
                expected = there + tour_time(unseen.copy(), x, y, heading, inwards)
                if expected < best:
                    best = expected
                    target = ((corner_y + y) * steps.shape[0] + corner_x + x) * 4 + heading
                    then = FORWARD if is_floor(*in_view(x, y, heading, 1, 0)) else inwards
    px, py, heading = mind.pose
    here = (py * steps.shape[0] + px) * 4 + heading
    return then if target == here else towards(mind, target)


@njit(cache=True)
def tour_time(unseen: np.ndarray, x: int, y: int, heading: int, inwards: int) -> float:
    """The expected time, from a pose on, until following the walls from there shows a door.

    unseen: bool [SIDE, SIDE], the wall cells not seen yet, used up. inwards: the turn to make in
    front of a wall. With n of a wall's cells unseen a pair of walls holds the doors with a
    probability that goes as the product of its two n, and a wall's unseen cells are equally likely.
    """
    left = np.zeros(4, dtype=np.int64)
    for vy in range(SIDE):
        for vx in range(SIDE):
            if unseen[vy, vx]:
                left[wall_of(vx, vy)] += 1
    total = left[0] * left[2] + left[1] * left[3]
    expected = 0.0
    for _ in range(4 * SIDE):
        for ahead in range(VIEW):
            for right in range(-1, 2):
                vx, vy = in_view(x, y, heading, ahead, right)
                if 0 <= vx < SIDE and 0 <= vy < SIDE and unseen[vy, vx]:
                    unseen[vy, vx] = False
                    left[wall_of(vx, vy)] -= 1
        expected += (left[0] * left[2] + left[1] * left[3]) / total
        front_x, front_y = in_view(x, y, heading, 1, 0)
        if is_floor(front_x, front_y):
            x, y = front_x, front_y
        else:
            heading = turn(heading, inwards)
    return expected
