"""The paper's four tasks as Gymnasium environments on MiniGrid's rules.

Only the layout, the reward and the end of an episode are ours; moving, seeing, carrying and
rendering are MiniGrid's. Importing this module registers `Tutelage/SimpleDoorKey-v0`,
`Tutelage/LavaDoorKey-v0`, `Tutelage/ColoredDoorKey-v0` and `Tutelage/DivergentDoorKey-v0`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import gymnasium as gym
import numpy as np
from gymnasium.core import ActType, ObsType
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Door
from minigrid.minigrid_env import MiniGridEnv

from tutelage.rl.minigrid.codes import object_of
from tutelage.rl.minigrid.layouts import (
    COLORED_ROOM,
    DIVERGENT_ROOM,
    LAVA_ROOM,
    SIMPLE_ROOM,
    LayoutSpec,
    draw_layout,
)
from tutelage.rl.tasks.arrays import CodeArray


def layout_seed(rng: np.random.Generator) -> int:
    """The integer that `draw_layout` gets in an episode; `rng` is the environment's `np_random`.

    The environment draws nothing else from it, so the level of `env.reset(seed=s)` is
    `draw_layout(env.layout, layout_seed(gymnasium.utils.seeding.np_random(s)[0]))`.
    """
    return int(rng.integers(2**63))


def grid_of(codes: CodeArray) -> Grid:
    """MiniGrid's grid of a layout's codes, uint8 [H, W].

    Raises ValueError for an unknown cell.
    """
    height, width = codes.shape
    grid = Grid(width, height)
    for y in range(height):
        for x in range(width):
            grid.set(x, y, object_of(int(codes[y, x])))
    return grid


class DoorKeyRoom(MiniGridEnv):
    """A room to be left: opening a locked door ends the episode with 1 - 0.9 * steps / max_steps.

    Everything else is rewarded with 0; stepping on lava ends the episode, as always in MiniGrid.
    Other arguments go to `MiniGridEnv`.
    """

    layout: ClassVar[LayoutSpec]

    def __init__(self, agent_view_size: int = 3, max_steps: int = 150, **kwargs: Any) -> None:
        super().__init__(
            mission_space=MissionSpace(mission_func=self._mission),
            grid_size=self.layout.grid_side,
            agent_view_size=agent_view_size,
            max_steps=max_steps,
            **kwargs,
        )

    @staticmethod
    def _mission() -> str:
        return "open the door"

    def _gen_grid(self, width: int, height: int) -> None:  # noqa: ARG002 - the layout knows them
        level = draw_layout(self.layout, layout_seed(self.np_random))
        self.grid = grid_of(level.codes)
        self.agent_pos = (level.x, level.y)
        self.agent_dir = level.direction

    def step(self, action: ActType) -> tuple[ObsType, float, bool, bool, dict[str, Any]]:
        """Do an action by MiniGrid's rules; a locked door that it opens ends the episode."""
        front = self.grid.get(*self.front_pos)
        door = front if isinstance(front, Door) and front.is_locked else None
        observation: Any  # MiniGrid leaves its type open
        observation, reward, terminated, truncated, info = super().step(action)
        if door is not None and door.is_open:
            reward, terminated = self._reward(), True
        return observation, float(reward), terminated, truncated, info


class SimpleDoorKey(DoorKeyRoom):
    """A room of random size with a locked door and its key."""

    layout = SIMPLE_ROOM


class LavaDoorKey(DoorKeyRoom):
    """SimpleDoorKey with one lava cell."""

    layout = LAVA_ROOM


class ColoredDoorKey(DoorKeyRoom):
    """A blue locked door, a blue key and a red one; only one key is carried at a time."""

    layout = COLORED_ROOM


class DivergentDoorKey(DoorKeyRoom):
    """A large room with two locked doors in opposite walls and, in its middle, one key to both."""

    layout = DIVERGENT_ROOM

    @staticmethod
    def _mission() -> str:
        return "open one of the two doors"


LEVELS: Final = (SimpleDoorKey, LavaDoorKey, ColoredDoorKey, DivergentDoorKey)


def register_levels() -> None:
    """Make the levels known to `gymnasium.make`. Calling it again changes nothing."""
    for level in LEVELS:
        env_id = f"Tutelage/{level.__name__}-v0"
        if env_id not in gym.registry:
            gym.register(env_id, entry_point=f"{__name__}:{level.__name__}")


register_levels()
