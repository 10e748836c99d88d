"""Levels of one's own on MiniGrid's rules, as users may write them: good ones, and ones with a
mistake each. Tests and the command line reach them as `own_levels:NAME`.
"""

from __future__ import annotations

from typing import Any

from gymnasium.core import ActType, ObsType
from gymnasium.spaces import Box, Dict, Discrete
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Ball, Floor, Goal, WorldObj
from minigrid.minigrid_env import MiniGridEnv


class Hall(MiniGridEnv):
    """A hall with balls of two colours, a tiled floor and a goal; the mission counts the episodes
    that the random stream has made of it, so it is hardly ever the same."""

    def __init__(self, size: int = 7, max_steps: int = 60, **kwargs: Any) -> None:
        super().__init__(
            mission_space=MissionSpace(mission_func=lambda: "reach the goal"),
            grid_size=size,
            max_steps=max_steps,
            **kwargs,
        )

    def _gen_grid(self, width: int, height: int) -> None:
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        for thing in (Ball("red"), Ball("grey"), Floor("blue")):
            self.place_obj(thing)
        self.place_obj(Goal())
        self.place_agent()
        self.mission = f"  reach the\ngoal,\u2028visitor {self.np_random.integers(10**9)} "


class Garbled(Hall):
    """Its mission has half of a surrogate pair."""

    def _gen_grid(self, width: int, height: int) -> None:
        super()._gen_grid(width, height)
        self.mission = "go \ud800"


class Strange(Hall):
    """Its ball is of a colour that MiniGrid has not got."""

    def _gen_grid(self, width: int, height: int) -> None:
        super()._gen_grid(width, height)
        self.place_obj(Ember())


class Ember(WorldObj):
    def __init__(self) -> None:
        super().__init__("ball", "red")

    def encode(self) -> tuple[int, int, int]:
        return 6, 9, 0


class Growing(Hall):
    """Its grid is larger in each episode."""

    def _gen_grid(self, width: int, height: int) -> None:  # noqa: ARG002 - it has its own
        side = getattr(self, "_side", 5)
        super()._gen_grid(side, side)
        self._side = side + 1


class Tripping(Hall):
    """It fails at the third step."""

    def step(self, action: ActType) -> tuple[ObsType, float, bool, bool, dict[str, Any]]:
        if self.step_count == 2:
            raise ZeroDivisionError("a step too far")
        told: Any = super().step(action)
        return told


class Endless(Hall):
    """Its episodes are never cut."""

    def __init__(self) -> None:
        super().__init__(max_steps=10**9)


class Sliding(Hall):
    """Its actions are continuous."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = Box(-1, 1, (2,))


class Longer(Hall):
    """It has an action more than MiniGrid."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = Discrete(8)


class Bird(Hall):
    """It observes more than an agent sees."""

    def __init__(self) -> None:
        super().__init__()
        image = Box(0, 255, (self.width, self.height + 1, 3), "uint8")
        self.observation_space = Dict({**self.observation_space.spaces, "image": image})


class Changing(Hall):
    """Its mission changes at every step."""

    def step(self, action: ActType) -> tuple[ObsType, float, bool, bool, dict[str, Any]]:
        self.mission = f"be at step {self.step_count + 1}"
        told: Any = super().step(action)
        return told
