"""The student's view of the remembered map, made from a plain MiniGrid environment's observations.

So a trained student acts in a Gymnasium loop, with nothing of training around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, Self

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Dict, Space
from numpy.typing import NDArray

from tutelage.rl.minigrid.codes import NUM_HEADINGS
from tutelage.rl.minigrid.memory_map import LAST_STEP_SIZE, begin, track
from tutelage.rl.minigrid.observation import MAP_SIDE, NUM_FEATURES, student_spaces, student_view
from tutelage.rl.minigrid.simulator import bare, mission_text, perceived
from tutelage.rl.tasks.spaces import CategoryGrid, ObservationSpace, Tokens, tokens_of

_ROW: Final = np.zeros(1, dtype=np.int64)
"""The only row of a batch of one."""
_LARGEST: Final = 1023
"""Of a side; what a student's file asks for beyond that would only take memory."""


class Viewer(Protocol):
    """Who sees by keys: a student's spec, or a grid task."""

    @property
    def observation_space(self) -> ObservationSpace:
        """The space of each key."""

    @property
    def view(self) -> Mapping[str, int]:
        """See `rl.tasks.base.Viewed`."""


class RememberedMap(gym.Wrapper[dict[str, NDArray[Any]], int, Any, int]):
    """Turns MiniGrid's own observation into what a student sees, by key: `grid`, `features`, and
    `mission` where the student is told it.

        env = RememberedMap(gymnasium.make("MiniGrid-DoorKey-5x5-v0"), crop=7)

    env: an environment on MiniGrid's rules with MiniGrid's own observation. crop: side of the map
    crop that the student sees, odd; None for a student that sees the bare view and the direction.
    map_side: side of the remembered map, odd; None for twice the grid's larger side, less one,
    which holds all of it wherever the agent begins, and is the least that it may be. mission_words:
    how many words of the mission the student is told. Raises ValueError for an even or absurd side,
    for a map that cannot hold the grid, and for an environment of another kind.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        crop: int | None,
        map_side: int | None = None,
        mission_words: int = 0,
    ) -> None:
        super().__init__(env)
        inside = bare(env)
        least = 2 * max(inside.width, inside.height) - 1
        side = least if map_side is None else map_side
        for name, given in (("crop", crop), ("map_side", side)):
            if given is not None and (given % 2 == 0 or given > _LARGEST):
                raise ValueError(f"{name} must be odd and at most {_LARGEST}, got {given}")
        if crop is not None and side < least:
            raise ValueError(
                f"a grid of {inside.width} x {inside.height} cells needs a remembered map of "
                f"{least} cells to a side; this one has {side}"
            )
        self._crop, self._words = crop, mission_words
        view_side = inside.agent_view_size
        spaces = student_spaces(view_side, crop)
        if mission_words:
            spaces["mission"] = Tokens(mission_words)
        self.observation_space: Space[Any] = Dict(spaces)
        self._maps = np.zeros((1, side, side), dtype=np.uint8)
        self._poses = np.zeros((1, 3), dtype=np.int64)
        self._last_steps = np.zeros((1, LAST_STEP_SIZE), dtype=np.int64)
        self._views = np.zeros((1, view_side, view_side), dtype=np.uint8)

    @classmethod
    def for_student(cls, env: gym.Env[Any, Any], student: Viewer) -> Self:
        """What a student saw in training. student: `load_student(...).spec`, or its task.

        Raises ValueError for a student of another kind of task or of a version that told it
        something else, where its grid cannot be seen in the environment, and where the
        environment's grid is larger than the student's map can hold.
        """
        space = student.observation_space
        grid, mission = space.get("grid"), space.get("mission")
        if not isinstance(grid, CategoryGrid) or "features" not in space:
            raise ValueError("it is no student of a MiniGrid level: it sees no grid and features")
        features, of_map, of_view = space["features"].shape, (NUM_FEATURES,), (NUM_HEADINGS,)
        if features not in (of_map, of_view):
            raise ValueError(
                f"the student's features have the shape {features}; those of the map have {of_map} "
                f"here, those of the bare view {of_view}: it was trained by another version"
            )
        crop = grid.height if features == of_map else None
        view_side = bare(env).agent_view_size
        if crop is None and grid.height != view_side:
            raise ValueError(
                f"the student sees {grid.height} cells to a side, the environment shows {view_side}"
            )
        words = mission.length if isinstance(mission, Tokens) else 0
        return cls(env, crop, student.view.get(MAP_SIDE), words)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Begin an episode, with a map on which nothing is known."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._views[0], heading = perceived(observation)
        headings = np.array([heading])
        begin(self._maps, self._poses, self._views, headings, self._last_steps, _ROW)
        return self._view(observation), info

    def step(
        self, action: int
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Do an action, and write what is seen then into the map."""
        observation, reward, terminated, truncated, info = self.env.step(int(action))
        self._views[0], heading = perceived(observation)
        headings, acted = np.array([heading]), np.array([int(action)])
        changed = np.empty(1, dtype=np.bool_)
        track(self._maps, self._poses, self._views, headings, acted, self._last_steps, changed)
        return self._view(observation), float(reward), terminated, truncated, info

    def _view(self, observation: dict[str, Any]) -> dict[str, NDArray[Any]]:
        batch = student_view(self._maps, self._poses, self._views, self._last_steps, self._crop)
        seen = {key: array[0] for key, array in batch.items()}
        if self._words:
            seen["mission"] = tokens_of(mission_text(observation["mission"]), self._words)
        return seen
