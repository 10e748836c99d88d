"""Any environment on MiniGrid's rules as a task: by its Gymnasium id, or by its class.

Missions may be of any text, so they are numbered at first sight, and so are situations: the pair
of what `rl.minigrid.situations` packs into a number, its mission left out, and the mission. The
student is told the mission in words.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Final, Self

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator
from gymnasium.spaces import Box, Dict, Discrete
from minigrid.envs.babyai.core import roomgrid_level
from minigrid.minigrid_env import MiniGridEnv
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from tutelage.rl.errors import UserError, is_writable, one_line
from tutelage.rl.minigrid.codes import ACTION_NAMES, DROP, PICKUP, TOGGLE
from tutelage.rl.minigrid.places import PlaceField
from tutelage.rl.minigrid.simulator import MakeEnv, bare, mission_text, perceived
from tutelage.rl.minigrid.situations import GridSituation
from tutelage.rl.minigrid.task import GridTask
from tutelage.rl.minigrid.vector import grid_states
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import States, UnknownTaskError
from tutelage.rl.tasks.numbering import Numbering
from tutelage.rl.tasks.options import Option, OptionActions
from tutelage.rl.tasks.own_code import explained
from tutelage.rl.tasks.plan_outcomes import LARGEST
from tutelage.rl.tasks.settings import TaskSettings
from tutelage.rl.tasks.spaces import Tokens, tokens_of

# BabyAI tells of each level that it draws anew, on the output where a command's JSON goes.
roomgrid_level.print = lambda *_: None  # type: ignore[attr-defined]

DEFAULT_STEPS: Final = 500_000
_TRIALS: Final = 32
"""Episodes that are begun to see how large levels are, and how long missions and episodes."""
_MISSION_WORDS: Final = (24, 64)
"""How many words of a mission the student is told: the first of these that is enough in the trials.
BabyAI's longest missions have 64."""
_MOST_STEPS: Final = 100_000
"""An evaluation waits for the end of each of its episodes."""
_LARGEST_SIDE: Final = 128
"""A rollout keeps a map of twice the side for each of its steps."""

_NOTES: Final = (
    "The world has one room or more. What is in it differs from episode to episode, and so may the "
    "mission, which says all that is to be done. The episode ends in success once the mission is "
    "fulfilled. It may end in failure once something is done that the mission does not ask for, "
    "such as picking up the wrong thing."
)


class LevelError(UserError):
    """A level of somebody's environment cannot be played; the message is one line."""


def adopt(
    named: str | type, crop: int | None, settings: TaskSettings, arguments: Mapping[str, Any]
) -> AdoptedGridTask | None:
    """The task of an environment on MiniGrid's rules, None where it is none.

    named: an id that Gymnasium knows, or a class. arguments: for `gymnasium.make` or the class.
    Raises UnknownTaskError for one that does not look or act as MiniGrid's own do, and whatever the
    environment raises.
    """
    if isinstance(named, str):
        creator: Any = gym.spec(named).entry_point
        creator = load_env_creator(creator) if isinstance(creator, str) else creator
        name, make = named, partial(gym.make, named, disable_env_checker=True, **arguments)
    else:
        creator, make = named, partial(named, **arguments)
        name = f"{named.__module__}:{named.__qualname__}"
    if isinstance(creator, type) and not issubclass(creator, MiniGridEnv):
        return None
    probe = make()
    if not isinstance(probe.unwrapped, MiniGridEnv):  # a function has made it
        probe.close()
        return None
    trials = _try_out(name, probe)
    probe.close()
    return AdoptedGridTask(name, make, trials, crop, settings)


@dataclass(frozen=True)
class Trials:
    """What the first episodes of an environment tell of all.

    side: the longer one of the largest grid, in cells. steps: the most that an episode may take.
    words: how many of a mission the student is told. actions: how many of MiniGrid's there are.
    """

    side: int
    steps: int
    words: int
    actions: int


class AdoptedGridTask(GridTask):
    """A task of any environment on MiniGrid's rules, played by Farama's own engine.

    name: what people type; make: makes its environment; crop, settings: as for a shipped task.
    Raises UnknownTaskError where the batched engine is asked for.
    """

    def __init__(
        self, name: str, make: MakeEnv, trials: Trials, crop: int | None, settings: TaskSettings
    ) -> None:
        if settings.engine == "batched":
            raise UnknownTaskError(
                f"task.engine = 'batched': that engine plays shipped tasks only, not {name!r}; "
                f"allowed: gymnasium, or none to take what there is"
            )
        super().__init__(
            name,
            lambda: CheckedLevels(make(), name, trials.side),
            DEFAULT_STEPS,
            crop,
            lava_known=settings.lava_known,
            notes=_NOTES,
            asked="gymnasium",
        )
        self.max_episode_steps, self._map_side = trials.steps, 2 * trials.side - 1
        self.action_names = ACTION_NAMES[: trials.actions]
        self.action_space = Discrete(trials.actions)
        self.observation_space = {**self.observation_space, "mission": Tokens(trials.words)}
        self._length, self._places = trials.words, PlaceField(1)
        self._situations = Numbering[tuple[int, int]]()

    def situation_ids(self, states: States) -> IntArray:
        grid = grid_states(states)
        packed = super().situation_ids(replace(grid, missions=np.zeros_like(grid.missions)))
        pairs = zip(packed.tolist(), grid.missions.tolist(), strict=True)
        return np.array([self._situations.number(pair) for pair in pairs], dtype=np.int64)

    def read(self, text: str) -> int:
        mission = text.partition("\n")[0].removeprefix("mission: ")
        if mission_text(mission) != mission or not is_writable(mission):
            raise ValueError(f"no situation's text: {text!r}")
        packed = self._packed(text, Numbering([mission]))
        return self._situations.number((packed, self._missions.number(mission)))

    def options(self, situation_id: int) -> tuple[Option, ...]:
        return self._possible(super().options(situation_id))

    def all_options(self) -> tuple[Option, ...]:
        return self._possible(super().all_options())

    def with_lookups(self, names: Sequence[str]) -> Self:
        task = super().with_lookups(names)
        task._situations = Numbering()  # look-ups are in its situations, and those are others then
        return task

    def act(self, options: IntArray, states: States) -> OptionActions:
        done = super().act(options, states)
        num_actions = len(self.action_names)
        lacking = done.targets[:, :, num_actions:].any(axis=2)
        targets = np.ascontiguousarray(done.targets[:, :, :num_actions])
        return OptionActions(targets, done.feasible & ~lacking, done.finished)

    def snapshot(self) -> dict[str, Any]:
        """The missions and the situations that were met, in the order of their numbers."""
        return {
            "missions": list(self._missions.keys()),
            "situations": list(map(list, self._situations.keys())),
        }

    def restore(self, record: Mapping[str, Any]) -> None:
        """The inverse, before environments are made. Raises KeyError, TypeError or ValueError,
        having changed nothing."""
        missions = _MISSIONS.validate_python(record["missions"])
        situations = _SITUATIONS.validate_python(record["situations"])
        if any(mission_text(m) != m or not is_writable(m) for m in missions):
            raise ValueError("a mission that was met is no line of words")
        for packed, mission in situations:
            if not 0 <= mission < len(missions) or super()._fields(packed)[0].mission != 0:
                raise ValueError(f"({packed}, {mission}) is no situation and its mission")
        Numbering(missions), Numbering(situations)  # raises where one stands there twice
        self._missions.restore(missions)
        self._situations.restore(situations)

    def _possible(self, options: Sequence[Option]) -> tuple[Option, ...]:
        """Without those that end by an action that the environment lacks."""
        return tuple(o for o in options if _LAST.get(o.name, 0) < len(self.action_names))

    def _known_missions(self, probe: MiniGridEnv) -> Numbering[str]:  # noqa: ARG002 - none is
        return Numbering()

    def _fields(self, situation_id: int) -> tuple[GridSituation, int]:
        packed, mission = self._situations.key(situation_id)
        situation, places = super()._fields(packed)
        return replace(situation, mission=mission), places

    def _words(self) -> Callable[[int], NDArray[np.int32]]:
        return lambda number: _words_of(self._missions.key(number), self._length)


_LAST: Final = {"pick_up": PICKUP, "drop": DROP, "open": TOGGLE}
"""The action by which an option ends; the others end by a move."""

_words_of: Final = functools.lru_cache(maxsize=4096)(tokens_of)

_MISSIONS: Final = TypeAdapter(list[str])
_SITUATIONS: Final = TypeAdapter(list[tuple[Annotated[int, Field(ge=0, le=LARGEST)], int]])


class CheckedLevels(gym.Wrapper[Any, Any, Any, Any]):
    """An environment whose errors are one line, and whose grid does not outgrow the map.

    name: what people typed; side: of the largest grid in cells.
    """

    def __init__(self, env: gym.Env[Any, Any], name: str, side: int) -> None:
        super().__init__(env)
        self._name, self._side = name, side

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """As the environment's own. Raises LevelError where it fails or makes too large a grid."""
        try:
            told = self.env.reset(**options)
        except Exception as error:  # whatever somebody's code does
            raise self._failed("reset", error) from error
        mission = str(told[0]["mission"])
        if not is_writable(mission):
            raise LevelError(
                f"environment {self._name!r}: its mission is no Unicode: {one_line(repr(mission))}"
            )
        side = _side_of(bare(self.env))
        if side > self._side:
            raise LevelError(
                f"environment {self._name!r}: a level has a side of {side} cells, and none of the "
                f"first {_TRIALS} had more than {self._side}; make all as large as the largest"
            )
        return told

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's own. Raises LevelError where it fails."""
        try:
            return self.env.step(action)
        except Exception as error:  # whatever somebody's code does
            raise self._failed("step", error) from error

    def _failed(self, method: str, error: Exception) -> UserError:
        if isinstance(error, UserError):
            return error
        return LevelError(f"environment {self._name!r}: its {method} fails: {explained(error)}")


def _try_out(name: str, env: gym.Env[Any, Any]) -> Trials:
    """Begin some episodes. Raises UnknownTaskError for what cannot be played as a grid task."""
    inside = bare(env)
    actions = _num_actions(name, env)
    _check_observation(name, env)
    sides, steps, words = [], [], []
    for seed in range(_TRIALS):
        observation: dict[str, Any]
        observation, _ = env.reset(seed=seed)
        perceived(observation)
        sides.append(_side_of(inside))
        steps.append(inside.max_steps)
        words.append(len(mission_text(observation["mission"]).split()))
    limit = None if env.spec is None else env.spec.max_episode_steps
    most = max(steps) if limit is None else min(max(steps), limit)
    if not 1 <= most <= _MOST_STEPS:
        raise UnknownTaskError(
            f"environment {name!r}: its episodes have max_steps = {most}; needed: 1 to "
            f"{_MOST_STEPS}, as by --set env.max_steps=500"
        )
    if max(sides) > _LARGEST_SIDE:
        raise UnknownTaskError(
            f"environment {name!r}: its grid has a side of {max(sides)} cells; allowed: at most "
            f"{_LARGEST_SIDE}"
        )
    told = next((length for length in _MISSION_WORDS if length >= max(words)), _MISSION_WORDS[-1])
    return Trials(max(sides), most, told, actions)


def _num_actions(name: str, env: gym.Env[Any, Any]) -> int:
    space = env.action_space
    if not isinstance(space, Discrete) or space.n > len(ACTION_NAMES) or space.start != 0:
        raise UnknownTaskError(
            f"environment {name!r}: its actions are {space}; a grid task needs MiniGrid's own, the "
            f"first ones of {', '.join(ACTION_NAMES)}"
        )
    return int(space.n)


def _check_observation(name: str, env: gym.Env[Any, Any]) -> None:
    """See that the observation is MiniGrid's own: an egocentric image, a direction, a mission."""
    wrapper = env
    while isinstance(wrapper, gym.Wrapper):
        if isinstance(wrapper, gym.ObservationWrapper):
            raise UnknownTaskError(
                f"environment {name!r}: {type(wrapper).__name__} changes what is observed; a grid "
                f"task needs MiniGrid's own observation, so leave that wrapper out"
            )
        wrapper = wrapper.env
    space, side = env.observation_space, bare(env).agent_view_size
    parts = space.spaces if isinstance(space, Dict) else {}
    image = parts.get("image")
    if (
        not {"image", "direction", "mission"} <= set(parts)
        or not isinstance(image, Box)
        or image.shape != (side, side, 3)
    ):
        raise UnknownTaskError(
            f"environment {name!r}: a grid task needs MiniGrid's own observation, an image of "
            f"{side} x {side} x 3, a direction and a mission; this one's is {space}"
        )


def _side_of(env: MiniGridEnv) -> int:
    return max(env.grid.width, env.grid.height)
