"""Options on the remembered map: what each does in a state, by one flood through pose space.

An option is a pure function of (map, pose, what is carried). Its code is `verb * 64 + target code`,
a door being named by its open code whatever its state. Distances count turns as well as steps. Of
all shortest ways the one whose action sequence is lexicographically first is taken
(left < right < forward): the flood expands in that order, so it pops poses in that order.

`explore` goes to the nearest pose that is sure to show something new, and of those equally near to
the one that is sure to show most: what an action brings counts, and a turn on the spot that shows
one cell does not come before a step that shows three.
"""

from __future__ import annotations

from typing import Final

import numpy as np

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
    KEY,
    NUM_COLORS,
    PICKUP,
    TOGGLE,
    name_of,
)
from tutelage.rl.minigrid.colors import order_colors, recolored
from tutelage.rl.minigrid.memory_map import carried_in, count_revealed, is_inside, is_walkable, turn
from tutelage.rl.tasks.arrays import BoolArray, CodeArray, IntArray
from tutelage.rl.tasks.options import Option

EXPLORE, GO_TO, PICK_UP, DROP_IT, OPEN = range(5)
VERBS: Final = ("explore", "go_to", "pick_up", "drop", "open")
TARGET_SPACE: Final = 64
NO_ACTION: Final = -1

_HELP: Final = {
    "explore": "Head for the nearest place not seen yet; finished when nothing is left to explore.",
    "go_to": "Walk up to the target, or onto it where it is the goal.",
    "pick_up": "Walk up to the target and pick it up; feasible only with empty hands.",
    "drop": "Put down what is carried.",
    "open": "Walk up to the door and open it; a locked one needs the key of its colour in hand.",
}

_TARGET_CODES: Final = {name_of(code): code for code in range(GOAL, DOOR_CLOSED)}


def encode_option(option: Option) -> int:
    """The option's code. Raises ValueError for one that MiniGrid's options do not know."""
    if option.name not in VERBS:
        raise ValueError(f"unknown option {option.name!r}; allowed: {', '.join(VERBS)}")
    verb = VERBS.index(option.name)
    if verb in (EXPLORE, DROP_IT):
        if option.target is not None:
            raise ValueError(f"{option.name} takes no target, got {option.target!r}")
        return verb * TARGET_SPACE
    code = _TARGET_CODES.get(option.target or "")
    if code is None or not target_allowed(verb, code):
        raise ValueError(f"{option.name} cannot be aimed at {option.target!r}")
    return verb * TARGET_SPACE + code


def target_allowed(verb: int, code: int) -> bool:
    """Whether a verb makes sense for a kind of object (doors by their open code)."""
    if verb == PICK_UP:
        return KEY <= code < DOOR_OPEN
    if verb == OPEN:
        return BOX <= code < DOOR_CLOSED
    return verb == GO_TO and GOAL <= code < DOOR_CLOSED


def option_of(verb: str, target: str | None = None) -> Option:
    """An option with its help. verb: one of `VERBS`."""
    return Option(verb, target, _HELP[verb])


def every_option() -> tuple[Option, ...]:
    """All that `encode_option` knows, by their codes."""
    plain = [option_of("explore"), option_of("drop")]
    aimed = [
        option_of(VERBS[verb], name)
        for verb in (GO_TO, PICK_UP, OPEN)
        for name, code in _TARGET_CODES.items()
        if target_allowed(verb, code)
    ]
    return tuple(sorted(plain + aimed, key=encode_option))


@njit(cache=True, inline="always")
def _is_target(cell: int, target: int) -> bool:
    """Whether a cell holds the target; a door in any of its three states is the same door."""
    if target < DOOR_OPEN:
        return cell == target
    return cell >= DOOR_OPEN and (cell - target) % NUM_COLORS == 0


@njit(cache=True, inline="always")
def _can_open(cell: int, target: int, carried: int) -> bool:
    """Whether toggling the cell opens the target: a box, a closed door, or a locked one by key."""
    if target < DOOR_OPEN:
        return cell == target
    color = target - DOOR_OPEN
    return cell == DOOR_CLOSED + color or (cell == DOOR_LOCKED + color and carried == KEY + color)


@njit(cache=True)
def _beside_door(cells: CodeArray, x: int, y: int) -> bool:
    for heading in range(4):
        cx, cy = x + DIRECTION_DX[heading], y + DIRECTION_DY[heading]
        if is_inside(cells, cx, cy) and cells[cy, cx] >= DOOR_OPEN:
            return True
    return False


@njit(cache=True)
def _is_open_now(cells: CodeArray, target: int) -> bool:
    """Whether a door of the target's colour is known to be open and none to be shut."""
    if target < DOOR_OPEN:
        return False
    found = False
    for cell in cells.flat:
        if cell == target:
            found = True
        elif cell > target and _is_target(int(cell), target):
            return False
    return found


@njit(cache=True)
def _settled(cells: CodeArray, carried: int, option: int) -> tuple[bool, bool]:
    """(finished, hopeless): what can be told of an option without looking for a way."""
    verb, target = option // TARGET_SPACE, option % TARGET_SPACE
    if verb == PICK_UP:
        return carried == target, carried != 0
    if verb == DROP_IT:
        return carried == 0, False
    if verb == OPEN:
        return _is_open_now(cells, target), False
    return False, False


@njit(cache=True)
def _arrived(
    cells: CodeArray, x: int, y: int, heading: int, carried: int, option: int
) -> tuple[bool, int]:
    """(arrived, last action): whether the option's end is reached from this pose, and how.

    The last action is NO_ACTION where being there is the end. `explore` is decided elsewhere.
    """
    verb, target = option // TARGET_SPACE, option % TARGET_SPACE
    if verb == GO_TO and target == GOAL:
        return cells[y, x] == GOAL, NO_ACTION
    fx, fy = x + DIRECTION_DX[heading], y + DIRECTION_DY[heading]
    if not is_inside(cells, fx, fy):
        return False, NO_ACTION
    front = cells[fy, fx]
    if verb == GO_TO:
        return _is_target(front, target), NO_ACTION
    if verb == PICK_UP:
        return front == target, PICKUP
    if verb == OPEN:
        return _can_open(front, target, carried), TOGGLE
    # A thing dropped beside a door could shut the way to it.
    return verb == DROP_IT and front == EMPTY and not _beside_door(cells, fx, fy), DROP


@njit(cache=True)
def flood_options(
    cells: CodeArray,
    pose: IntArray,
    carried: int,
    side: int,
    options: IntArray,
    actions: IntArray,
    feasible: BoolArray,
    finished: BoolArray,
    first: IntArray,
    queue: IntArray,
) -> None:
    """What each of K options does in one state; fills actions [K], feasible [K], finished [K].

    One breadth-first search over (x, y, heading) from the agent's pose, stopped when every option
    has its answer. side: the view's size. options: int64 [K], negative ones are padding.
    first: int64 [M * M * 4], scratch, all -1 on entry and on return (the first action of the way
    to a pose, DROP for the start); queue: int64 of the same size, scratch.
    """
    size = cells.shape[0]
    pending, exploring = 0, False
    for k in range(options.shape[0]):
        actions[k], feasible[k], finished[k] = NO_ACTION, False, False
        if options[k] == EXPLORE * TARGET_SPACE:
            exploring = True
        elif options[k] >= 0:
            finished[k], hopeless = _settled(cells, carried, options[k])
            if not (finished[k] or hopeless):
                actions[k] = NO_ACTION - 1
                pending += 1
    start = (pose[1] * size + pose[0]) * 4 + pose[2]
    queue[0], first[start] = start, DROP
    head, tail, farther = 0, 1, 1
    most, outlook = 0, NO_ACTION
    while head < tail and (pending > 0 or exploring):
        if head == farther:
            # All poses of one distance were looked at: the next ones are an action farther.
            farther = tail
            exploring = exploring and most == 0
            continue
        here = queue[head]
        x, y, heading = (here // 4) % size, here // (4 * size), here % 4
        # What the start shows was seen already: nothing to reveal there.
        if exploring and head > 0:
            shown = count_revealed(cells, x, y, heading, side)
            if shown > most:
                most, outlook = shown, first[here]
        for k in range(options.shape[0]):
            if actions[k] != NO_ACTION - 1:
                continue
            arrived, last = _arrived(cells, x, y, heading, carried, options[k])
            if arrived:
                pending -= 1
                feasible[k] = True
                actions[k] = first[here] if head > 0 else last
                finished[k] = head == 0 and last == NO_ACTION
        tail = _expand(cells, here, x, y, heading, head == 0, first, queue, tail)
        head += 1
    for k in range(options.shape[0]):
        if options[k] == EXPLORE * TARGET_SPACE:
            actions[k], feasible[k], finished[k] = outlook, most > 0, most == 0
        elif actions[k] == NO_ACTION - 1:
            actions[k] = NO_ACTION
    for i in range(tail):
        first[queue[i]] = -1


@njit(cache=True, inline="always")
def _expand(
    cells: CodeArray,
    here: int,
    x: int,
    y: int,
    heading: int,
    is_start: bool,
    first: IntArray,
    queue: IntArray,
    tail: int,
) -> int:
    """Put the poses one action away that were not reached yet into the queue."""
    size = cells.shape[0]
    for action in range(FORWARD + 1):
        nx, ny = x, y
        if action == FORWARD:
            nx, ny = x + DIRECTION_DX[heading], y + DIRECTION_DY[heading]
            if not (is_inside(cells, nx, ny) and is_walkable(cells[ny, nx])):
                continue
        there = (ny * size + nx) * 4 + turn(heading, action)
        if first[there] < 0:
            first[there] = action if is_start else first[here]
            queue[tail] = there
            tail += 1
    return tail


@njit(cache=True)
def find_unexplored(
    maps: CodeArray, poses: IntArray, side: int, rows: BoolArray, unexplored: BoolArray
) -> None:
    """Whether `explore` still has somewhere to go, for the rows that ask.

    maps: uint8 [N, M, M]; poses: int64 [N, 3]; side: the view's; rows: bool [N];
    unexplored: bool [N], written where `rows`. The answer changes only when the map does: turning
    and walking stay within what can be reached.
    """
    size = maps.shape[1]
    first = np.full(size * size * 4, -1, dtype=np.int64)
    queue = np.empty(size * size * 4, dtype=np.int64)
    options = np.full(1, EXPLORE * TARGET_SPACE, dtype=np.int64)
    actions = np.empty(1, dtype=np.int64)
    feasible, finished = np.empty(1, dtype=np.bool_), np.empty(1, dtype=np.bool_)
    # A literal is a type of its own: with it, all that is called would be compiled once more.
    nothing = int(np.int64(0))
    for i in range(maps.shape[0]):
        if rows[i]:
            flood_options(
                maps[i],
                poses[i],
                nothing,
                side,
                options,
                actions,
                feasible,
                finished,
                first,
                queue,
            )
            unexplored[i] = feasible[0]


@njit(cache=True, inline="always")
def _meant(option: int, order: IntArray) -> int:
    """The option with the colour that its target really has; padding stays padding."""
    if option < 0:
        return option
    return option - option % TARGET_SPACE + recolored(option % TARGET_SPACE, order)


@njit(cache=True)
def act_by_options(
    maps: CodeArray,
    views: CodeArray,
    poses: IntArray,
    options: IntArray,
    renamed: bool,
    probs: np.ndarray,
    feasible: BoolArray,
    finished: BoolArray,
) -> None:
    """What options do in each of B states; fills probs, feasible and finished.

    maps: uint8 [B, M, M]; views: uint8 [B, v, v]; poses: int64 [B, 3]. options: int64 [B, K], their
    colours as the situation calls them where `renamed` (see `rl.minigrid.colors`), negative ones
    padding; probs: float32 [B, K, A], all 0 on entry; feasible, finished: bool [B, K].
    """
    num_states, num_options = options.shape
    size, side = maps.shape[1], views.shape[1]
    first = np.full(size * size * 4, -1, dtype=np.int64)
    queue = np.empty(size * size * 4, dtype=np.int64)
    actions = np.empty(num_options, dtype=np.int64)
    meant = np.empty(num_options, dtype=np.int64)
    for i in range(num_states):
        if (options[i] < 0).all():
            feasible[i], finished[i] = False, False
            continue
        carried = carried_in(views[i])
        order = order_colors(maps[i], carried, renamed)
        for k in range(num_options):
            meant[k] = _meant(options[i, k], order)
        flood_options(
            maps[i],
            poses[i],
            carried,
            side,
            meant,
            actions,
            feasible[i],
            finished[i],
            first,
            queue,
        )
        for k in range(num_options):
            if actions[k] >= 0:
                probs[i, k, actions[k]] = 1.0
