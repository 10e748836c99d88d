"""The state of N worlds as preallocated arrays, and the rules that they share."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tutelage.rl.kernels import njit
from tutelage.rl.minigrid.codes import EMPTY, WALL
from tutelage.rl.minigrid.engine.streams import STREAM_WORDS, WordArray, open_stream
from tutelage.rl.tasks.arrays import CodeArray, IntArray

REACH_GOAL, OPEN_LOCKED, OPEN_AIM, PICK_UP_AIM, DODGE = range(5)
"""What ends an episode, besides the goal and lava: nothing; opening any locked door; the door at
the aim being open after a toggle; holding the aim after a pickup; walking into something."""

CONTENT_BITS: Final = 8
"""What is in a box is a number: the content's code in the low bits, what is in that above."""


class Rules(NamedTuple):
    """What N worlds have in common. view_side is odd; obstacles: how many balls move about."""

    width: int
    height: int
    view_side: int
    see_through_walls: bool
    max_steps: int
    ending: int = REACH_GOAL
    obstacles: int = 0


class World(NamedTuple):
    """N worlds.

    cells: uint8 [N, H, W], category codes by [y, x]; contents: int64 [N, H, W], of boxes (see
    CONTENT_BITS), 0 elsewhere; poses: int64 [N, 3], x, y and heading; carried: int64 [N, 2], code
    and contents, 0 for nothing; steps: int64 [N], done in the episode; aims: int64 [N], the code to
    pick up or the number y * W + x of the door to open, by the rules; missions: int64 [N], numbers;
    obstacles: int64 [N, K, 2], x and y; streams: uint64 [N, 6] (`rl.minigrid.engine.streams`).
    """

    cells: CodeArray
    contents: IntArray
    poses: IntArray
    carried: IntArray
    steps: IntArray
    aims: IntArray
    missions: IntArray
    obstacles: IntArray
    streams: WordArray


def make_world(num_envs: int, rules: Rules) -> World:
    """N worlds in which no episode has begun."""

    def zeros(*shape: int) -> IntArray:
        return np.zeros((num_envs, *shape), dtype=np.int64)

    return World(
        cells=np.full((num_envs, rules.height, rules.width), WALL, dtype=np.uint8),
        contents=zeros(rules.height, rules.width),
        poses=zeros(3),
        carried=zeros(2),
        steps=zeros(),
        aims=zeros(),
        missions=zeros(),
        obstacles=zeros(rules.obstacles, 2),
        streams=np.zeros((num_envs, STREAM_WORDS), dtype=np.uint64),
    )


def copy_world(source: World, target: World) -> None:
    """Make `target` what `source` is. Raises ValueError where their shapes or types differ."""
    for name, array in source._asdict().items():
        there: NDArray[np.generic] = getattr(target, name)
        if (array.shape, array.dtype) != (there.shape, there.dtype):
            raise ValueError(
                f"{name} is {array.dtype} {array.shape}, needed: {there.dtype} {there.shape}"
            )
    for name, array in source._asdict().items():
        getattr(target, name)[:] = array


@njit(cache=True)
def clear(world: World, rows: IntArray, seeds: IntArray) -> None:
    """Empty the worlds of the given rows and seed their streams; their levels are drawn next."""
    for k in range(len(rows)):
        row = rows[k]
        world.cells[row] = EMPTY
        world.contents[row] = 0
        world.carried[row] = 0
        world.steps[row] = 0
        world.missions[row] = 0
        open_stream(world.streams[row], seeds[k])
