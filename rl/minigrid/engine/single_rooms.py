"""Levels of one grid with walls through it: Empty, DoorKey, FourRooms, LavaGap, crossings, and the
paper's four tasks.

Each function draws the levels of the given rows, whose worlds were cleared, with the very draws of
the environment of that name in `minigrid.envs`.
"""

from __future__ import annotations

import numpy as np
from minigrid.core.constants import COLOR_TO_IDX

from tutelage.rl.kernels import njit
from tutelage.rl.minigrid.codes import BALL, DOOR_LOCKED, EMPTY, GOAL, KEY, WALL
from tutelage.rl.minigrid.engine.placing import place, place_agent, sorted_from, wall_in
from tutelage.rl.minigrid.engine.streams import draw, next64, shuffle
from tutelage.rl.minigrid.engine.world import World
from tutelage.rl.minigrid.layouts import LayoutSpec, draw_layout
from tutelage.rl.tasks.arrays import CodeArray, IntArray

_YELLOW = COLOR_TO_IDX["yellow"]
_BLUE = COLOR_TO_IDX["blue"]


@njit(cache=True)
def draw_layouts(world: World, rows: IntArray, spec: LayoutSpec) -> None:
    """The paper's tasks: see `rl.minigrid.layouts`."""
    for row in rows:
        layout = draw_layout(spec, int(next64(world.streams[row]) >> np.uint64(1)))
        cells, pose = world.cells[row], world.poses[row]
        for y in range(cells.shape[0]):
            for x in range(cells.shape[1]):
                cells[y, x] = layout.codes[y, x]
        pose[0], pose[1], pose[2] = layout.x, layout.y, layout.direction


@njit(cache=True)
def draw_empty(world: World, rows: IntArray, starts_anywhere: bool) -> None:
    """Empty and Dynamic-Obstacles: a goal in the corner, and balls that move where there are.

    The agent begins in the opposite corner, or anywhere.
    """
    height, width = world.cells.shape[1:]
    for row in rows:
        _corner_to_corner(world.cells[row], world.poses[row])
        if starts_anywhere:
            place_agent(world, row, (0, 0, width, height))
        for ball in world.obstacles[row]:
            ball[0], ball[1] = place(world, row, BALL + _BLUE, (0, 0, width, height))


@njit(cache=True)
def draw_door_key(world: World, rows: IntArray) -> None:
    """DoorKey: a wall with a locked door between the agent with the key and the goal."""
    height, width = world.cells.shape[1:]
    for row in rows:
        cells, stream = world.cells[row], world.streams[row]
        wall_in(cells, 0, 0, width, height)
        cells[height - 2, width - 2] = GOAL
        split = draw(stream, 2, width - 2)
        cells[:, split] = WALL
        place_agent(world, row, (0, 0, split, height))
        cells[draw(stream, 1, height - 2), split] = DOOR_LOCKED + _YELLOW
        place(world, row, KEY + _YELLOW, (0, 0, split, height))


@njit(cache=True)
def draw_four_rooms(world: World, rows: IntArray) -> None:
    """FourRooms: four rooms with an opening in each wall between two of them."""
    height, width = world.cells.shape[1:]
    room_width, room_height = width // 2, height // 2
    for row in rows:
        cells, stream = world.cells[row], world.streams[row]
        wall_in(cells, 0, 0, width, height)
        for j in range(2):
            for i in range(2):
                left, top = i * room_width, j * room_height
                right, bottom = left + room_width, top + room_height
                if i == 0:
                    cells[top:bottom, right] = WALL
                    cells[draw(stream, top + 1, bottom), right] = EMPTY
                if j == 0:
                    cells[bottom, left:right] = WALL
                    cells[bottom, draw(stream, left + 1, right)] = EMPTY
        place_agent(world, row, (0, 0, width, height))
        place(world, row, GOAL, (0, 0, width, height))


@njit(cache=True)
def _corner_to_corner(cells: CodeArray, pose: IntArray) -> None:
    """A walled room, the agent in its first corner, facing right, the goal in its last."""
    height, width = cells.shape
    wall_in(cells, 0, 0, width, height)
    pose[0], pose[1], pose[2] = 1, 1, 0
    cells[height - 2, width - 2] = GOAL


@njit(cache=True)
def draw_gap(world: World, rows: IntArray, code: int) -> None:
    """LavaGap: a strip with one gap in it across the way to the goal."""
    height, width = world.cells.shape[1:]
    for row in rows:
        cells, stream = world.cells[row], world.streams[row]
        _corner_to_corner(cells, world.poses[row])
        x = draw(stream, 2, width - 2)
        y = draw(stream, 1, height - 1)
        cells[1 : height - 1, x] = code
        cells[y, x] = EMPTY


@njit(cache=True)
def draw_crossings(world: World, rows: IntArray, count: int, code: int) -> None:
    """LavaCrossing, SimpleCrossing: so many rivers of lava or wall with one opening each, so that a
    way to the goal is left.

    A river's number is 2 * (its x or y), plus 1 for one that runs along a row.
    """
    height, width = world.cells.shape[1:]
    for row in rows:
        cells, stream = world.cells[row], world.streams[row]
        _corner_to_corner(cells, world.poses[row])
        rivers = np.empty((height - 3) // 2 + (width - 3) // 2, np.int64)
        k = 0
        for along in range(2):
            for at in range(2, (width if along else height) - 2, 2):
                rivers[k] = 2 * at + along
                k += 1
        shuffle(stream, rivers)
        rivers = rivers[:count]
        columns = sorted_from(rivers[rivers % 2 == 0] // 2)
        lines = sorted_from(rivers[rivers % 2 == 1] // 2)
        for y in lines:
            cells[y, 1 : width - 1] = code
        for x in columns:
            cells[1 : height - 1, x] = code
        # The way to the goal: 0 crosses the next column, 1 the next line.
        way = np.zeros(len(rivers), np.int64)
        way[len(columns) :] = 1
        shuffle(stream, way)
        _open(world, row, way, columns, lines)


@njit(cache=True)
def _open(world: World, row: int, way: IntArray, columns: IntArray, lines: IntArray) -> None:
    """Make an opening in each river, in the part that the way to the goal passes through."""
    cells, stream = world.cells[row], world.streams[row]
    height, width = cells.shape
    crossed = np.zeros(2, np.int64)
    for across in way:
        left = columns[crossed[0] - 1] if crossed[0] > 0 else 0
        right = columns[crossed[0]] if crossed[0] < len(columns) else height - 1
        top = lines[crossed[1] - 1] if crossed[1] > 0 else 0
        bottom = lines[crossed[1]] if crossed[1] < len(lines) else width - 1
        if across == 0:
            cells[draw(stream, top + 1, bottom), right] = EMPTY
        else:
            cells[bottom, draw(stream, left + 1, right)] = EMPTY
        crossed[across] += 1
