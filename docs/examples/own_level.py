"""A MiniGrid level of one's own: a subclass of `MiniGridEnv` and nothing else.

Situations, options and the student's map are those of every grid level. In this folder:

    tutelage run --env own_level:Vault --steps 60000
"""

from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Door, Goal, Key
from minigrid.minigrid_env import MiniGridEnv

MISSION = "get into the vault and go to the goal"


class Vault(MiniGridEnv):
    """A locked vault in a corner of a room holds the goal; its key lies in the room."""

    def __init__(self, max_steps=200, **kwargs):
        missions = MissionSpace(mission_func=lambda: MISSION)
        super().__init__(mission_space=missions, grid_size=9, max_steps=max_steps, **kwargs)

    def _gen_grid(self, width, height):
        self.mission = MISSION
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        self.grid.wall_rect(width - 4, height - 4, 4, 4)
        self.put_obj(Goal(), width - 2, height - 2)
        color = self._rand_elem(["yellow", "purple"])
        x, y = (width - 4, height - 3) if self._rand_bool() else (width - 3, height - 4)
        self.put_obj(Door(color, is_locked=True), x, y)
        self.place_obj(Key(color), size=(width - 4, height))
        self.place_agent(size=(width - 4, height))
