"""MiniGrid as a `Task`: the first implementer of the seam."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Self

import numpy as np
from gymnasium.spaces import Discrete
from minigrid.minigrid_env import MiniGridEnv
from numpy.typing import NDArray

from tutelage.rl.kernels import is_compiled
from tutelage.rl.minigrid.codes import (
    ACTION_NAMES,
    COLORS,
    KEY,
    NUM_ACTIONS,
    NUM_COLORS,
)
from tutelage.rl.minigrid.drawing import draw, draw_inks, recall
from tutelage.rl.minigrid.engine.families import family_of
from tutelage.rl.minigrid.engine.rules import play
from tutelage.rl.minigrid.engine.simulator import BatchedSimulator
from tutelage.rl.minigrid.memory_map import without_lava
from tutelage.rl.minigrid.notes import notes_with
from tutelage.rl.minigrid.observation import MAP_SIDE, student_spaces
from tutelage.rl.minigrid.options import act_by_options, encode_option, every_option
from tutelage.rl.minigrid.places import PlaceField, place_objects
from tutelage.rl.minigrid.rehearsal import rehearse_levels, rehearse_maps
from tutelage.rl.minigrid.render import GridWorld
from tutelage.rl.minigrid.script import GridScript, SituationFields, carried_out
from tutelage.rl.minigrid.simulator import (
    GymnasiumSimulator,
    MakeEnv,
    Simulator,
    bare,
    missions_of,
)
from tutelage.rl.minigrid.situations import (
    MAX_MISSIONS,
    NUM_LINES,
    GridSituation,
    encode_situations,
)
from tutelage.rl.minigrid.vector import GridStates, GridVectorEnv, grid_states
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import Episode, Split, States, UnknownTaskError
from tutelage.rl.tasks.numbering import Numbering
from tutelage.rl.tasks.options import Option, OptionActions, Plan
from tutelage.rl.tasks.seeding import episode_seed
from tutelage.rl.tasks.settings import Engine
from tutelage.rl.tasks.spaces import ActionSpace, ObservationSpace

OBJECTS, INVENTORY = "objects", "inventory"
"""The look-ups on offer."""


class GridTask:
    """A MiniGrid environment behind the task seam.

    name: what people type; make: makes its environment; default_steps: enough env steps for a
    student to finish its job; crop: side of the map crop that the student sees, odd, or None for
    the bare view and the direction; renamed: whether situations rename colours
    (`rl.minigrid.colors`), for tasks in which only their sameness matters. lava_known: see
    `rl.tasks.settings`; what the student sees does not depend on it. notes: the level's own
    rules, which the teacher is told after those of all levels (`rl.minigrid.notes`). asked: the
    engine; None takes the batched one where it knows the environment. Raises UnknownTaskError where
    it is asked for and does not.
    """

    observation_space: ObservationSpace
    action_space: ActionSpace = Discrete(NUM_ACTIONS)
    action_names: tuple[str, ...] = ACTION_NAMES
    masks_actions = normalise = scored = False
    teacher_script = GridScript()
    engine: Engine
    offered_lookups: Mapping[str, str] = {
        OBJECTS: "which known objects are near or far, and which can be reached.",
        INVENTORY: "what the agent carries and what its mission is.",
    }

    def __init__(
        self,
        name: str,
        make: MakeEnv,
        default_steps: int,
        crop: int | None,
        renamed: bool = False,
        lava_known: bool = True,
        notes: str = "",
        asked: Engine | None = None,
    ) -> None:
        self._renamed, self._lava_known = renamed, lava_known
        self.name, self.default_steps, self.notes = name, default_steps, notes_with(notes)
        self.lookups: Sequence[str] = ()
        self._make, self._crop = make, crop
        probe = bare(make())
        self.max_episode_steps = int(probe.max_steps)
        # Wherever the agent starts, the whole grid fits around the middle of this square.
        self._map_side = 2 * max(probe.width, probe.height) - 1
        self.observation_space = student_spaces(probe.agent_view_size, crop)
        self._missions = self._known_missions(probe)
        self._family = family_of(probe) if asked != "gymnasium" else None
        if asked == "batched" and self._family is None:
            raise UnknownTaskError(
                f"task.engine = 'batched': that engine does not know {name!r}; "
                f"allowed: gymnasium, or none to take what there is"
            )
        self.engine = "batched" if self._family is not None else "gymnasium"
        self._places = PlaceField(len(self._missions))
        probe.close()  # type: ignore[no-untyped-call]  # MiniGrid leaves it untyped

    @property
    def view(self) -> dict[str, int]:
        """What the student's view needs to be made elsewhere (`rl.minigrid.remembered_map`)."""
        return {MAP_SIDE: self._map_side}

    def rehearsals(self) -> tuple[Callable[[], None], ...]:
        """What compiles this task's kernels, in parts for as many processes; none once they are.

        See `rl.tasks.base.Rehearsed`.
        """
        if self._family is None or is_compiled(play):
            return ()
        sides = self._family.rules.view_side, self._map_side
        return (
            partial(rehearse_levels, self._family),
            partial(rehearse_maps, self, *sides, self._crop),
        )

    def make_envs(self, num_envs: int, split: Split, seed: int) -> GridVectorEnv:
        simulator: Simulator
        if self._family is not None:
            simulator = BatchedSimulator(self._family, num_envs)
        else:
            simulator = GymnasiumSimulator([self._make() for _ in range(num_envs)], self._missions)
        return GridVectorEnv(
            simulator, self._map_side, self._crop, split, seed, self._lava_known, self._words()
        )

    def situation_ids(self, states: States) -> IntArray:
        grid = self._taught(states)
        situation_ids = np.empty(len(grid), dtype=np.int64)
        encode_situations(
            grid.maps, grid.views, grid.unexplored, grid.missions, self._renamed, situation_ids
        )
        if OBJECTS in self.lookups:
            situation_ids = self._places.join(situation_ids, self._place_numbers(grid))
        return situation_ids

    def describe(self, situation_id: int) -> str:
        return self._fields(situation_id)[0].text(self._missions)

    def read(self, text: str) -> int:
        """The inverse of `describe`.

        What the look-up `objects` tells may follow; without it all is taken to be out of reach.
        """
        return self._packed(text, self._missions)

    def _packed(self, text: str, missions: Numbering[str]) -> int:
        """The fields of a situation's text, and of what look-ups tell after it, as one number."""
        lines = text.split("\n")
        situation = GridSituation.read("\n".join(lines[:NUM_LINES]), missions)
        packed, told = situation.encode(), lines[NUM_LINES:]
        answers = {INVENTORY: situation.inventory(missions)}
        if OBJECTS in self.lookups:
            number = self._places.read(situation.kinds, told)
            packed = self._places.join(packed, number)
            answers[OBJECTS] = self._places.text(situation.kinds, number)
        expected = [line for name in self.lookups for line in answers[name].split("\n")]
        if told and told != expected:
            raise ValueError(f"no situation's text: {text!r}")
        return packed

    def carried_out(self, text: str, plan: Plan) -> Plan:
        """The steps of a plan that are carried out while the situation of that text lasts."""
        return carried_out(plan, SituationFields.parse(text))

    def options(self, situation_id: int) -> tuple[Option, ...]:
        return self._fields(situation_id)[0].options()

    def with_lookups(self, names: Sequence[str]) -> Self:
        task = copy(self)
        task.lookups = tuple(names)
        return task

    def look_up(self, name: str, situation_id: int) -> str:
        """Raises KeyError for a look-up that is not switched on."""
        if name not in self.lookups:
            raise KeyError(name)
        situation, places = self._fields(situation_id)
        if name == INVENTORY:
            return situation.inventory(self._missions)
        return self._places.text(situation.kinds, places)

    def all_options(self) -> tuple[Option, ...]:
        return every_option()

    def encode(self, option: Option) -> int:
        return encode_option(option)

    def act(self, options: IntArray, states: States) -> OptionActions:
        grid = self._taught(states)
        targets = np.zeros((*options.shape, NUM_ACTIONS), dtype=np.float32)
        feasible = np.zeros(options.shape, dtype=np.bool_)
        finished = np.zeros(options.shape, dtype=np.bool_)
        act_by_options(
            grid.maps,
            grid.views,
            grid.poses,
            np.ascontiguousarray(options),
            self._renamed,
            targets,
            feasible,
            finished,
        )
        return OptionActions(targets, feasible, finished)

    def success(self, episode: Episode) -> bool:
        return episode.terminated and episode.return_ > 0.0

    def picture(self, states: States, row: int) -> str:
        return draw(states, row, self._renamed)

    def inks(self, states: States, row: int) -> str:
        return draw_inks(states, row, self._renamed)

    def aliases(self, states: States, row: int) -> dict[str, str]:
        memory = recall(states, row)
        ranks = memory.ranks(self._renamed)
        codes = {memory.carried, *map(int, np.unique(memory.cells))}
        colors = {(code - KEY) % NUM_COLORS for code in codes if code >= KEY}
        return {COLORS[c]: COLORS[ranks[c]] for c in sorted(colors) if ranks[c] != c}

    def world(self, split: Split, seed: int, env: int, episode: int) -> GridWorld:
        return GridWorld(self._make, episode_seed(seed, split, env, episode))

    def _taught(self, states: States) -> GridStates:
        """The states as the teacher and its options know them."""
        grid = grid_states(states)
        if self._lava_known:
            return grid
        return replace(grid, maps=without_lava(grid.maps), views=without_lava(grid.views))

    def _known_missions(self, probe: MiniGridEnv) -> Numbering[str]:
        """The numbers of all missions that there are. Raises ValueError for too many."""
        missions = missions_of(probe)
        if len(missions) > MAX_MISSIONS:
            raise ValueError(f"{len(missions)} missions; at most {MAX_MISSIONS} can be told apart")
        return Numbering(missions)

    def _words(self) -> Callable[[int], NDArray[np.int32]] | None:
        """The words of a mission by its number, where the student is told them."""
        return None

    def _fields(self, situation_id: int) -> tuple[GridSituation, int]:
        """The fields of a situation id, and the number of its places (`rl.minigrid.places`)."""
        if OBJECTS not in self.lookups:
            return GridSituation.of(situation_id), 0
        base, places = self._places.split(situation_id)
        return GridSituation.of(base), places

    def _place_numbers(self, grid: GridStates) -> IntArray:
        numbers = np.empty(len(grid), dtype=np.int64)
        place_objects(grid.maps, grid.views, grid.poses, self._renamed, self._places.most, numbers)
        return numbers
