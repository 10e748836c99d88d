"""What a task may offer to people who watch: drawings of the world and of the agent's map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tutelage.rl.tasks.arrays import ImageArray
from tutelage.rl.tasks.base import Split, States


@dataclass(frozen=True)
class Drawing:
    """A map as coloured letters, for people: lines of equal length.

    inks: a letter for each of `letters`, what it is drawn in: `u` unknown, `f` floor, `w` wall,
    `l` lava, `o` goal, `a` the agent, and a thing's colour by `r` red, `g` green, `b` blue,
    `p` purple, `y` yellow, `e` grey, the capital where the whole cell has it, as a door does.
    """

    letters: tuple[str, ...]
    inks: tuple[str, ...]


class World(Protocol):
    """One episode's environment as it really is, which the agent never sees whole."""

    def step(self, action: int) -> None:
        """Do what was done in the episode."""

    def truth(self) -> Drawing:
        """All of it."""

    def remembered(self, states: States, row: int) -> Drawing:
        """What the agent knows of it, in the frame of `truth`. The state must be the present."""

    def truth_image(self, tile: int) -> ImageArray:
        """`truth` in pixels, `tile` for a cell's side."""

    def remembered_image(self, states: States, row: int, tile: int) -> ImageArray:
        """`remembered` in pixels, as large as `truth_image`."""

    def close(self) -> None:
        """Release what it holds."""


class Watchable(Protocol):
    """What a task may offer to people who watch; `rl.minigrid` implements it."""

    def inks(self, states: States, row: int) -> str:
        """As many lines as the map in `Task.picture` has, a letter for a letter; see `Drawing`."""

    def aliases(self, states: States, row: int) -> Mapping[str, str]:
        """What the state's situation renames: from the thing's own name to the one used there."""

    def world(self, split: Split, seed: int, env: int, episode: int) -> World:
        """The world of an episode at its start; the same that `Task.make_envs` plays."""
