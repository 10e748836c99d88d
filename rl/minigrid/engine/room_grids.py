"""Levels of many rooms: Unlock, UnlockPickup, KeyCorridor (MiniGrid's `RoomGrid`) and MultiRoom.

Each function draws the levels of the given rows, whose worlds were cleared, with the very draws of
the environment of that name in `minigrid.envs`. Walls of a room are numbered right, down, left, up.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from tutelage.rl.kernels import njit
from tutelage.rl.minigrid.codes import (
    BALL,
    BOX,
    DIRECTION_DX,
    DIRECTION_DY,
    DOOR_CLOSED,
    DOOR_LOCKED,
    EMPTY,
    GOAL,
    KEY,
    NUM_COLORS,
    WALL,
)
from tutelage.rl.minigrid.engine.placing import (
    COLORS_BY_NAME,
    NOWHERE,
    draw_color,
    find_place,
    place,
    place_agent,
    wall_in,
)
from tutelage.rl.minigrid.engine.streams import WordArray, draw
from tutelage.rl.minigrid.engine.world import World
from tutelage.rl.tasks.arrays import BoolArray, IntArray

_TRIES: Final = 1001
"""Draws of a place in a room before MiniGrid gives up."""
_DOOR_TRIES: Final = 5001
"""Draws of a door before MiniGrid gives up connecting the rooms."""
_ROOM_TRIES: Final = 8
"""Draws of the room behind a room before MultiRoom begins again."""


class RoomGrid(NamedTuple):
    """Rooms of one size in rows and columns, the walls between them shared."""

    room_size: int
    rows: int
    columns: int


@njit(cache=True)
def draw_unlock(world: World, rows: IntArray, rooms: RoomGrid) -> None:
    """Unlock: a locked door between two rooms; opening it is the aim."""
    width = world.cells.shape[2]
    for row in rows:
        doors = _raise_rooms(world, row, rooms)
        _, color = draw_color(world.streams[row])
        y = doors[0, 0, 0]
        world.cells[row, y, rooms.room_size - 1] = DOOR_LOCKED + color
        world.aims[row] = y * width + rooms.room_size - 1
        _put_in_room(world, row, rooms, 0, 0, KEY + color)
        _enter_room(world, row, rooms, 0, 0)


@njit(cache=True)
def draw_unlock_pickup(world: World, rows: IntArray, rooms: RoomGrid) -> None:
    """UnlockPickup: a box behind a locked door; picking it up is the aim."""
    for row in rows:
        stream = world.streams[row]
        doors = _raise_rooms(world, row, rooms)
        world.missions[row], box_color = draw_color(stream)
        world.aims[row] = BOX + box_color
        _put_in_room(world, row, rooms, 1, 0, BOX + box_color)
        _, color = draw_color(stream)
        world.cells[row, doors[0, 0, 0], rooms.room_size - 1] = DOOR_LOCKED + color
        _put_in_room(world, row, rooms, 0, 0, KEY + color)
        _enter_room(world, row, rooms, 0, 0)


@njit(cache=True)
def draw_key_corridor(world: World, rows: IntArray, rooms: RoomGrid) -> None:
    """KeyCorridor: a ball behind a locked door to the right, its key somewhere to the left."""
    step = rooms.room_size - 1
    for row in rows:
        stream, cells = world.streams[row], world.cells[row]
        doors = _raise_rooms(world, row, rooms)
        linked = np.zeros((rooms.rows, rooms.columns, 4), np.bool_)
        for j in range(1, rooms.rows):
            cells[j * step, step + 1 : 2 * step] = EMPTY
            _link(linked, 1, j, 3)
        room = draw(stream, 0, rooms.rows)
        _, color = draw_color(stream)
        cells[doors[room, 1, 0], 2 * step] = DOOR_LOCKED + color
        _link(linked, 2, room, 2)
        world.missions[row], ball_color = draw_color(stream)
        world.aims[row] = BALL + ball_color
        _put_in_room(world, row, rooms, 2, room, BALL + ball_color)
        _put_in_room(world, row, rooms, 0, draw(stream, 0, rooms.rows), KEY + color)
        _enter_room(world, row, rooms, 1, rooms.rows // 2)
        _connect(world, row, rooms, doors, linked, room)


@njit(cache=True)
def _raise_rooms(world: World, row: int, rooms: RoomGrid) -> IntArray:
    """Wall the rooms in, put the agent into the middle one for the while.

    Returns where doors may be, int64 [rows, columns, 2]: the y of the one to the right, the x of
    the one below.
    """
    step = rooms.room_size - 1
    doors = np.zeros((rooms.rows, rooms.columns, 2), np.int64)
    for j in range(rooms.rows):
        for i in range(rooms.columns):
            wall_in(world.cells[row], i * step, j * step, rooms.room_size, rooms.room_size)
    for j in range(rooms.rows):
        for i in range(rooms.columns):
            if i < rooms.columns - 1:
                doors[j, i, 0] = draw(world.streams[row], j * step + 1, (j + 1) * step)
            if j < rooms.rows - 1:
                doors[j, i, 1] = draw(world.streams[row], i * step + 1, (i + 1) * step)
    world.poses[row, 0] = rooms.columns // 2 * step + rooms.room_size // 2
    world.poses[row, 1] = rooms.rows // 2 * step + rooms.room_size // 2
    return doors


@njit(cache=True)
def _put_in_room(world: World, row: int, rooms: RoomGrid, i: int, j: int, code: int) -> None:
    """Put a thing into a room, not right beside the agent."""
    cells, pose = world.cells[row], world.poses[row]
    step, size = rooms.room_size - 1, rooms.room_size
    for _ in range(_TRIES):
        area = (i * step, j * step, size, size)
        x, y = find_place(cells, world.streams[row], area, (pose[0], pose[1]), 1)
        if x != NOWHERE and abs(pose[0] - x) + abs(pose[1] - y) >= 2:
            cells[y, x] = code
            return
    raise RuntimeError("a room has no place for what is to be put into it")


@njit(cache=True)
def _enter_room(world: World, row: int, rooms: RoomGrid, i: int, j: int) -> None:
    """Put the agent into a room, looking at floor or a wall."""
    step, size = rooms.room_size - 1, rooms.room_size
    pose = world.poses[row]
    while True:
        place_agent(world, row, (i * step, j * step, size, size))
        x, y = pose[0] + DIRECTION_DX[pose[2]], pose[1] + DIRECTION_DY[pose[2]]
        if world.cells[row, y, x] in (EMPTY, WALL):
            return


@njit(cache=True)
def _link(linked: BoolArray, i: int, j: int, wall: int) -> None:
    """Note, for both rooms, that one can go through this wall."""
    linked[j, i, wall] = True
    linked[j + DIRECTION_DY[wall], i + DIRECTION_DX[wall], (wall + 2) % 4] = True


@njit(cache=True)
def _connect(
    world: World, row: int, rooms: RoomGrid, doors: IntArray, linked: BoolArray, locked: int
) -> None:
    """Hang doors between random rooms until all can be reached; the locked one keeps its only."""
    stream, step = world.streams[row], rooms.room_size - 1
    pose = world.poses[row]
    for _ in range(_DOOR_TRIES):
        if _all_reached(linked, pose[0] // step, pose[1] // step):
            return
        i, j, wall = draw(stream, 0, rooms.columns), draw(stream, 0, rooms.rows), draw(stream, 0, 4)
        beside_i, beside_j = i + DIRECTION_DX[wall], j + DIRECTION_DY[wall]
        if not (0 <= beside_i < rooms.columns and 0 <= beside_j < rooms.rows):
            continue
        if linked[j, i, wall] or (i == 2 and j == locked) or (beside_i == 2 and beside_j == locked):
            continue
        _, color = draw_color(stream)
        if wall % 2 == 0:
            x, y = max(i, beside_i) * step, doors[j, min(i, beside_i), 0]
        else:
            x, y = doors[min(j, beside_j), i, 1], max(j, beside_j) * step
        world.cells[row, y, x] = DOOR_CLOSED + color
        _link(linked, i, j, wall)
    raise RuntimeError("the rooms could not be connected")


@njit(cache=True)
def _all_reached(linked: BoolArray, i: int, j: int) -> bool:
    """Whether one can go from a room to all others."""
    reached = np.zeros(linked.shape[:2], np.bool_)
    reached[j, i] = True
    grown = True
    while grown:
        grown = False
        for row in range(linked.shape[0]):
            for column in range(linked.shape[1]):
                for wall in range(4):
                    if reached[row, column] and linked[row, column, wall]:
                        y, x = row + DIRECTION_DY[wall], column + DIRECTION_DX[wall]
                        grown |= not reached[y, x]
                        reached[y, x] = True
    return bool(reached.all())


@njit(cache=True)
def draw_multi_room(world: World, rows: IntArray, least: int, most: int, max_side: int) -> None:
    """MultiRoom: a chain of rooms with doors between them, the goal in the last one.

    least, most: how many rooms at least and at most; max_side: the longest side of one. A room is
    (left, top, width, height, entry x, entry y).
    """
    height, width = world.cells.shape[1:]
    for row in rows:
        stream, cells = world.streams[row], world.cells[row]
        wanted = draw(stream, least, most + 1)
        chosen = np.zeros((0, 6), np.int64)
        while len(chosen) < wanted:
            found = _chain_rooms(stream, width, height, wanted, max_side)
            if len(found) > len(chosen):
                chosen = found
        before = -1
        for k in range(len(chosen)):
            room = chosen[k]
            wall_in(cells, room[0], room[1], room[2], room[3])
            if k > 0:
                order = draw(stream, 0, NUM_COLORS - int(before >= 0))
                order += int(0 <= before <= order)
                cells[room[5], room[4]] = DOOR_CLOSED + COLORS_BY_NAME[order]
                before = order
        first, last = chosen[0], chosen[-1]
        place_agent(world, row, (first[0], first[1], first[2], first[3]))
        place(world, row, GOAL, (last[0], last[1], last[2], last[3]))


@njit(cache=True)
def _chain_rooms(
    stream: WordArray, width: int, height: int, wanted: int, max_side: int
) -> IntArray:
    """As many rooms in a row as fit in one go, at most `wanted`, int64 [rooms, 6]."""
    rooms = np.zeros((wanted, 6), np.int64)
    entry_x, entry_y = draw(stream, 0, width - 2), draw(stream, 0, width - 2)
    if not _fit_room(stream, width, height, rooms, 0, max_side, 2, entry_x, entry_y):
        return rooms[:0]
    count, entry_wall = 1, 2
    while count < wanted:
        room = rooms[count - 1]
        fitted = False
        for _ in range(_ROOM_TRIES):
            order = draw(stream, 0, 3)
            wall = order + int(order >= entry_wall)
            x, y = room[0], room[1]
            if wall % 2 == 0:
                x += room[2] - 1 if wall == 0 else 0
                y += draw(stream, 1, room[3] - 1)
            else:
                x += draw(stream, 1, room[2] - 1)
                y += room[3] - 1 if wall == 1 else 0
            opposite = (wall + 2) % 4
            fitted = _fit_room(stream, width, height, rooms, count, max_side, opposite, x, y)
            if fitted:
                entry_wall = opposite
                break
        if not fitted:
            break
        count += 1
    return rooms[:count]


@njit(cache=True)
def _fit_room(
    stream: WordArray,
    width: int,
    height: int,
    rooms: IntArray,
    count: int,
    max_side: int,
    entry_wall: int,
    entry_x: int,
    entry_y: int,
) -> bool:
    """Draw room number `count` behind an entry; False where it does not fit into the grid.

    Its overlap with the room before it, which shares the entry's wall, is not looked at.
    """
    across, down = draw(stream, 4, max_side + 1), draw(stream, 4, max_side + 1)
    left, top = entry_x, entry_y
    if count > 0 and entry_wall % 2 == 0:
        left = entry_x - across + 1 if entry_wall == 0 else entry_x
        top = draw(stream, entry_y - down + 2, entry_y)
    elif count > 0:
        left = draw(stream, entry_x - across + 2, entry_x)
        top = entry_y - down + 1 if entry_wall == 1 else entry_y
    if left < 0 or top < 0 or left + across > width or top + down >= height:
        return False
    for k in range(count - 1):
        other = rooms[k]
        beside = left + across < other[0] or other[0] + other[2] <= left
        if not (beside or top + down < other[1] or other[1] + other[3] <= top):
            return False
    room = rooms[count]
    room[0], room[1], room[2], room[3] = left, top, across, down
    room[4], room[5] = entry_x, entry_y
    return True
