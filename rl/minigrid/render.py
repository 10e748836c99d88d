"""An episode's grid as it really is, beside what the agent remembers of it: for people only."""

from __future__ import annotations

from typing import Final

import numpy as np
from minigrid.core.grid import Grid

from tutelage.rl.minigrid.codes import UNKNOWN, cell_codes, object_of
from tutelage.rl.minigrid.drawing import RememberedState, in_letters, recall
from tutelage.rl.minigrid.simulator import MakeEnv, bare
from tutelage.rl.tasks.arrays import CodeArray, ImageArray
from tutelage.rl.tasks.base import States
from tutelage.rl.tasks.watching import Drawing

_FOG: Final = (24, 26, 34)
_FOG_LINE: Final = (34, 37, 48)
"""What is not known: no colour of MiniGrid's."""


class GridWorld:
    """Farama's own MiniGrid, played beside the environments, whatever engine these have.

    make: makes the environment. seed: the episode's (`rl.tasks.seeding.episode_seed`).
    """

    def __init__(self, make: MakeEnv, seed: int) -> None:
        self._played = make()
        self._env = bare(self._played)
        self._played.reset(seed=seed)

    def step(self, action: int) -> None:
        self._played.step(action)

    def truth(self) -> Drawing:
        codes = cell_codes(self._env.grid.encode()).T
        x, y = self._place()
        return in_letters(codes, x, y, int(self._env.agent_dir))

    def remembered(self, states: States, row: int) -> Drawing:
        memory = recall(states, row)
        x, y = self._place()
        return in_letters(self._in_frame(memory), x, y, memory.heading)

    def truth_image(self, tile: int) -> ImageArray:
        image: ImageArray = self._env.get_frame(highlight=True, tile_size=tile)
        return image

    def remembered_image(self, states: States, row: int, tile: int) -> ImageArray:
        memory = recall(states, row)
        cells, here = self._in_frame(memory), self._place()
        image = np.empty((*(side * tile for side in cells.shape), 3), dtype=np.uint8)
        for (y, x), code in np.ndenumerate(cells):
            heading = memory.heading if (x, y) == here else None
            area = image[y * tile : (y + 1) * tile, x * tile : (x + 1) * tile]
            area[:] = _tile_image(int(code), heading, tile)
        return image

    def close(self) -> None:
        self._played.close()

    def _place(self) -> tuple[int, int]:
        x, y = self._env.agent_pos
        return int(x), int(y)

    def _in_frame(self, memory: RememberedState) -> CodeArray:
        """The part of a memory that the grid covers: both know where the agent stands.

        An agent that was held up unseen takes its place for another: what the grid then has beyond
        the memory is unknown.
        """
        x, y = self._place()
        height, width = self._env.grid.height, self._env.grid.width
        rows = np.arange(height) + memory.y - y
        columns = np.arange(width) + memory.x - x
        size = len(memory.cells)
        known = ((rows >= 0) & (rows < size))[:, None] & (columns >= 0) & (columns < size)
        cells = memory.cells[rows.clip(0, size - 1)[:, None], columns.clip(0, size - 1)]
        return np.where(known, cells, np.uint8(UNKNOWN))


def _tile_image(code: int, heading: int | None, side: int) -> ImageArray:
    """A cell in pixels, uint8 [side, side, 3]. heading: the agent's, None where it is not there."""
    if code == UNKNOWN:
        fog = np.full((side, side, 3), _FOG, dtype=np.uint8)
        fog[0, :] = fog[:, 0] = _FOG_LINE
        return fog
    tile: ImageArray = Grid.render_tile(object_of(code), heading, tile_size=side)
    return tile
