"""One step of N worlds by MiniGrid's rules, and what their agents see.

The reference is `minigrid_env.MiniGridEnv.step` and `gen_obs` with the world objects' own methods,
and the `step` of those environments that add to it (`rl.minigrid.engine.world` names the endings).
"""

from __future__ import annotations

from tutelage.rl.kernels import njit
from tutelage.rl.minigrid.codes import (
    BOX,
    DIRECTION_DX,
    DIRECTION_DY,
    DOOR_CLOSED,
    DOOR_LOCKED,
    DOOR_OPEN,
    DROP,
    EMPTY,
    FORWARD,
    GOAL,
    IDLE,
    KEY,
    LAVA,
    LEFT,
    NUM_COLORS,
    PICKUP,
    RIGHT,
    TOGGLE,
    UNKNOWN,
    WALL,
)
from tutelage.rl.minigrid.engine.placing import NOWHERE, find_place
from tutelage.rl.minigrid.engine.world import (
    CONTENT_BITS,
    OPEN_AIM,
    OPEN_LOCKED,
    PICK_UP_AIM,
    Rules,
    World,
)
from tutelage.rl.minigrid.memory_map import is_enterable, is_transparent, spread_sight
from tutelage.rl.tasks.arrays import BoolArray, CodeArray, FloatArray, IntArray

_TRIES = 101
"""Draws of a place for a moving obstacle before it stays where it is."""


@njit(cache=True)
def play(
    world: World,
    rules: Rules,
    actions: IntArray,
    rewards: FloatArray,
    terminated: BoolArray,
    truncated: BoolArray,
) -> None:
    """One action in each world, none where it is IDLE; for rules without moving obstacles.

    actions: int64 [N]; fills rewards float32 [N], terminated and truncated bool [N], never both.
    """
    for row in range(len(actions)):
        rewards[row], terminated[row], truncated[row] = 0.0, False, False
        if actions[row] == IDLE:
            continue
        world.steps[row] += 1
        ended, rewarded = _act(world, rules, row, actions[row])
        if rewarded:
            rewards[row] = 1 - 0.9 * (world.steps[row] / rules.max_steps)
        terminated[row] = ended
        truncated[row] = world.steps[row] >= rules.max_steps and not ended


@njit(cache=True)
def play_dodging(
    world: World,
    rules: Rules,
    actions: IntArray,
    rewards: FloatArray,
    terminated: BoolArray,
    truncated: BoolArray,
) -> None:
    """The same by the rules of moving obstacles (DODGE); apart, as few runs need it compiled."""
    for row in range(len(actions)):
        rewards[row], terminated[row], truncated[row] = 0.0, False, False
        if actions[row] == IDLE:
            continue
        world.steps[row] += 1
        ended, rewarded, hit = _dodge(world, rules, row, actions[row])
        if hit:
            rewards[row] = -1.0
        elif rewarded:
            rewards[row] = 1 - 0.9 * (world.steps[row] / rules.max_steps)
        terminated[row] = ended
        truncated[row] = world.steps[row] >= rules.max_steps and not ended


@njit(cache=True)
def _act(world: World, rules: Rules, row: int, action: int) -> tuple[bool, bool]:
    """Do an action by the common rules: whether the episode ended, and with a reward."""
    pose, cells = world.poses[row], world.cells[row]
    if action == LEFT:
        pose[2] = (pose[2] + 3) % 4
        return False, False
    if action == RIGHT:
        pose[2] = (pose[2] + 1) % 4
        return False, False
    x, y = pose[0] + DIRECTION_DX[pose[2]], pose[1] + DIRECTION_DY[pose[2]]
    if not (0 <= x < rules.width and 0 <= y < rules.height):
        return False, False  # MiniGrid stops with an error here
    front = cells[y, x]
    if action == FORWARD:
        if is_enterable(front):
            pose[0], pose[1] = x, y
        return front in (GOAL, LAVA), front == GOAL
    if action == PICKUP:
        _pick_up(world, row, x, y)
        done = rules.ending == PICK_UP_AIM and world.carried[row, 0] == world.aims[row]
        return done, done
    if action == DROP:
        _drop(world, row, x, y)
    if action == TOGGLE:
        _toggle(world, row, x, y)
        done = rules.ending == OPEN_LOCKED and front >= DOOR_LOCKED and cells[y, x] != front
        if rules.ending == OPEN_AIM:
            aim = cells[world.aims[row] // rules.width, world.aims[row] % rules.width]
            done = DOOR_OPEN <= aim < DOOR_CLOSED
        return done, done
    return False, False


@njit(cache=True)
def _pick_up(world: World, row: int, x: int, y: int) -> None:
    front = world.cells[row, y, x]
    if KEY <= front < DOOR_OPEN and world.carried[row, 0] == 0:
        world.carried[row, 0], world.carried[row, 1] = front, world.contents[row, y, x]
        world.cells[row, y, x], world.contents[row, y, x] = EMPTY, 0


@njit(cache=True)
def _drop(world: World, row: int, x: int, y: int) -> None:
    if world.cells[row, y, x] == EMPTY and world.carried[row, 0]:
        world.cells[row, y, x] = world.carried[row, 0]
        world.contents[row, y, x] = world.carried[row, 1]
        world.carried[row] = 0


@njit(cache=True)
def _toggle(world: World, row: int, x: int, y: int) -> None:
    """Open or shut a door, open a locked one with its key, put a box's content in its place."""
    front = world.cells[row, y, x]
    if front >= DOOR_LOCKED:
        if world.carried[row, 0] == KEY + front - DOOR_LOCKED:
            world.cells[row, y, x] = front - DOOR_LOCKED + DOOR_OPEN
    elif front >= DOOR_CLOSED:
        world.cells[row, y, x] = front - NUM_COLORS
    elif front >= DOOR_OPEN:
        world.cells[row, y, x] = front + NUM_COLORS
    elif front >= BOX:
        content = world.contents[row, y, x]
        code = content & ((1 << CONTENT_BITS) - 1)
        world.cells[row, y, x] = code if code else EMPTY
        world.contents[row, y, x] = content >> CONTENT_BITS


@njit(cache=True)
def _dodge(world: World, rules: Rules, row: int, action: int) -> tuple[bool, bool, bool]:
    """Dynamic-Obstacles: the balls move first; walking into something, seen before that, ends it.

    Returns whether it ended, with a reward, and by hitting something.
    """
    action = action if action <= FORWARD else LEFT
    pose, cells = world.poses[row], world.cells[row]
    front = cells[pose[1] + DIRECTION_DY[pose[2]], pose[0] + DIRECTION_DX[pose[2]]]
    hit = action == FORWARD and front not in (EMPTY, GOAL)
    for ball in world.obstacles[row]:
        x, y = find_place(
            cells,
            world.streams[row],
            (ball[0] - 1, ball[1] - 1, 3, 3),
            (pose[0], pose[1]),
            _TRIES,
        )
        if x != NOWHERE:
            cells[y, x] = cells[ball[1], ball[0]]
            cells[ball[1], ball[0]] = EMPTY
            ball[0], ball[1] = x, y
    ended, rewarded = _act(world, rules, row, action)
    return ended or hit, rewarded, hit


@njit(cache=True)
def perceive(
    world: World, rules: Rules, rows: IntArray, views: CodeArray, headings: IntArray
) -> None:
    """What the agents of the given rows see: uint8 [N, v, v] views, row 0 the farthest ahead.

    Walls lie beyond the grid. headings: int64 [N].
    """
    side = rules.view_side
    for k in range(len(rows)):
        row = rows[k]
        pose, view = world.poses[row], views[row]
        headings[row] = pose[2]
        dx, dy = DIRECTION_DX[pose[2]], DIRECTION_DY[pose[2]]
        for line in range(side):
            x = pose[0] + (side - 1 - line) * dx + (side // 2) * dy
            y = pose[1] + (side - 1 - line) * dy - (side // 2) * dx
            for column in range(side):
                inside = 0 <= x < rules.width and 0 <= y < rules.height
                view[line, column] = world.cells[row, y, x] if inside else WALL
                x, y = x - dy, y + dx
        if not rules.see_through_walls:
            _hide(view)
        carried = world.carried[row, 0]
        view[side - 1, side // 2] = carried if carried else EMPTY


@njit(cache=True)
def _hide(view: CodeArray) -> None:
    """Make unknown what is out of sight."""
    side = view.shape[0]
    in_sight = 1 << side // 2
    for line in range(side - 1, -1, -1):
        transparent = 0
        for column in range(side):
            transparent |= int(is_transparent(view[line, column])) << column
        in_sight, following = spread_sight(in_sight, transparent, side)
        for column in range(side):
            if not in_sight & 1 << column:
                view[line, column] = UNKNOWN
        in_sight = following
