"""What the tests of `rl.minigrid` hold it against: worlds replayed by MiniGrid alone, and a judge.

Nothing here uses the maps, floods or shadow rule of `rl.minigrid`. Cells are words ("floor", "red
key", "blue door (locked)"), places are complex numbers (x to the right, y downwards, 1j ** heading
is the step ahead), both relative to where the episode began; the judge keeps every way it finds.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import gymnasium as gym
import numpy as np
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Ball, Box, Door, Goal, Key, Lava, Wall, WorldObj
from minigrid.minigrid_env import MiniGridEnv

from tutelage.rl.minigrid import catalogue
from tutelage.rl.minigrid.codes import DROP as DROP_ACTION
from tutelage.rl.minigrid.codes import (
    FORWARD,
    LEFT,
    NUM_CODES,
    PICKUP,
    RIGHT,
    TOGGLE,
    door_state,
    name_of,
)
from tutelage.rl.minigrid.simulator import make_minigrid, minigrid_maker
from tutelage.rl.minigrid.task import GridTask
from tutelage.rl.minigrid.vector import GridStates
from tutelage.rl.tasks.arrays import CodeArray, IntArray
from tutelage.rl.tasks.base import Split
from tutelage.rl.tasks.options import PADDING, Option
from tutelage.rl.tasks.seeding import episode_seed

Place = complex
Pose = tuple[Place, int]
Way = tuple[int, ...]

AROUND: Final = (1, 1j, -1, -1j)
ROOMS: Final = ("SimpleDoorKey", "LavaDoorKey", "ColoredDoorKey", "DivergentDoorKey")
SHIPPED: Final = (
    *ROOMS,
    "MiniGrid-Empty-5x5-v0",
    "MiniGrid-Empty-Random-6x6-v0",
    "MiniGrid-FourRooms-v0",
    "MiniGrid-DoorKey-5x5-v0",
    "MiniGrid-DoorKey-8x8-v0",
)


def _in_words(code: int) -> str:
    state = door_state(code)
    return f"{name_of(code)} ({state})" if state else name_of(code)


WORDS: Final = tuple(_in_words(code) for code in range(NUM_CODES))
CODES: Final = {word: code for code, word in enumerate(WORDS)}
COLORS: Final = ("red", "green", "blue", "purple", "yellow", "grey")


def word_of(thing: WorldObj | None) -> str:
    """A true cell of MiniGrid in words."""
    if thing is None or thing.type == "floor":
        return "floor"
    if thing.type in ("wall", "lava"):
        return str(thing.type)
    if isinstance(thing, Door):
        state = "open" if thing.is_open else "locked" if thing.is_locked else "closed"
        return f"{thing.color} door ({state})"
    return f"{thing.color} {thing.type}"


class Jumble(MiniGridEnv):
    """Everything MiniGrid knows, strewn at random over a grid that is not square; three missions.

    Its outer wall is whole, so that no door leads off the grid.
    """

    missions = ("tidy up", "find the ball", "leave")

    def __init__(self, **kwargs: Any) -> None:
        space = MissionSpace(lambda which: which, ordered_placeholders=[list(self.missions)])
        super().__init__(mission_space=space, width=9, height=7, max_steps=80, **kwargs)

    def _gen_grid(self, width: int, height: int) -> None:
        rng = self.np_random
        self.mission = self.missions[int(rng.integers(3))]
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        for x in range(1, width - 1):
            for y in range(1, height - 1):
                self.grid.set(x, y, self._draw(rng) if rng.random() < 0.4 else None)
        self.place_agent()  # type: ignore[no-untyped-call]  # as is much of MiniGrid

    @staticmethod
    def _draw(rng: np.random.Generator) -> WorldObj:
        color = COLORS[int(rng.integers(3))]
        kind = int(rng.integers(12))
        if kind < 4:
            return Wall()
        if kind < 6:
            return Key(color)
        if kind == 6:
            return Ball(color)  # type: ignore[no-untyped-call]  # untyped there
        if kind == 7:
            return Box(color, contains=Key(color) if rng.random() < 0.5 else None)
        if kind < 10:
            locked = bool(rng.random() < 0.6)
            return Door(color, is_open=not locked and rng.random() < 0.5, is_locked=locked)
        return Goal() if kind == 10 else Lava()  # type: ignore[no-untyped-call]  # untyped there


JUMBLES: Final = {
    "jumble seen 3 wide": ({"agent_view_size": 3}, 3),
    "jumble seen 7 wide": ({"agent_view_size": 7}, 5),
    "jumble of glass": ({"agent_view_size": 5, "see_through_walls": True}, 21),
}
"""The arguments of a `Jumble` and the side of the student's crop."""
EVERY_TASK: Final = (*SHIPPED, *JUMBLES)


@dataclass(frozen=True)
class Case:
    """A task and the Gymnasium id of its levels."""

    task: GridTask
    env_id: str


@functools.cache
def case(name: str) -> Case:
    """The shipped task or jumble of that name."""
    if name in JUMBLES:
        arguments, crop = JUMBLES[name]
        env_id = f"TutelageTest/{name.title().replace(' ', '')}-v0"
        gym.register(env_id, entry_point=Jumble, kwargs=arguments)
        return Case(GridTask(name, minigrid_maker(env_id), 1000, crop), env_id)
    # Colours by their own names, so that judges need know nothing of renaming (test_colors.py).
    info = next(info for info in catalogue.SHIPPED if info.name == name)
    make = minigrid_maker(info.env_id)
    return Case(GridTask(name, make, info.default_steps, crop=9), info.env_id)


@functools.cache
def patient_case(name: str) -> Case:
    """The same levels with episodes that are not cut before 5000 steps."""
    spec = gym.spec(case(name).env_id)
    assert spec.entry_point is not None
    env_id = f"TutelageTest/Patient{name.replace('-', '')}-v0"
    gym.register(env_id, entry_point=spec.entry_point, kwargs={**spec.kwargs, "max_steps": 5000})
    return Case(GridTask(name, minigrid_maker(env_id), 1000, 9), env_id)


class Shadow:
    """One world of a vector, replayed by MiniGrid alone, with a book of what the agent saw.

    seen: the last seen content of every place that was ever in view. last: the last action of the
    episode, None before the first; futile: whether the agent stood, saw and carried afterwards what
    it did before; stale: the steps since what it saw or carried was last news.
    """

    def __init__(self, env_id: str, split: Split, seed: int, row: int, episode: int = 0) -> None:
        self.env = make_minigrid(env_id)
        self._keep_what_is_visible()
        self._key: tuple[int, Split, int] = (seed, split, row)
        self._episode = episode - 1
        self.begin()

    def begin(self) -> None:
        """Start the next episode."""
        self._episode += 1
        self.env.reset(seed=episode_seed(*self._key, self._episode))
        self._start = complex(*self.env.agent_pos)
        self.seen: dict[Place, str] = {}
        self.last: int | None = None
        self.futile, self.stale = False, 0
        self._look()

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Reward, terminated, and truncated but not terminated."""
        knew, stood = self._knows(), self.pose
        _, reward, terminated, truncated, _ = self.env.step(action)
        self._look()
        news = self._knows() != knew
        self.last, self.futile = action, not news and self.pose == stood
        self.stale = 0 if news else self.stale + 1
        return float(reward), terminated, truncated and not terminated

    @property
    def pose(self) -> Pose:
        return complex(*self.env.agent_pos) - self._start, int(self.env.agent_dir)

    @property
    def carried(self) -> str | None:
        return word_of(self.env.carrying) if self.env.carrying else None

    def true_word(self, place: Place) -> str:
        """What is really there now; beyond the grid MiniGrid shows walls."""
        x, y = int((place + self._start).real), int((place + self._start).imag)
        inside = 0 <= x < self.env.width and 0 <= y < self.env.height
        return word_of(self.env.grid.get(x, y)) if inside else "wall"

    def ahead(self) -> str:
        """What is really in front of the agent."""
        place, heading = self.pose
        return self.true_word(place + 1j**heading)

    def map_codes(self, side: int) -> CodeArray:
        """The book as a map of that side, the start in its middle."""
        cells = np.zeros((side, side), dtype=np.uint8)
        for place, word in self.seen.items():
            x, y = int(place.real) + side // 2, int(place.imag) + side // 2
            if 0 <= x < side and 0 <= y < side:
                cells[y, x] = CODES[word]
        return cells

    def _knows(self) -> tuple[dict[Place, str], str | None]:
        """What is carried, and seen as far as a map holds it that holds the grid."""
        reach = max(self.env.width, self.env.height) - 1
        places = self.seen.items()
        return {p: w for p, w in places if max(abs(p.real), abs(p.imag)) <= reach}, self.carried

    def _keep_what_is_visible(self) -> None:
        """Have MiniGrid's mask of what is in sight kept whenever it makes an observation."""
        env: Any = self.env  # MiniGrid leaves these methods untyped
        make_view = env.gen_obs_grid

        def make_and_keep() -> Any:
            grid, self._visible = make_view()
            return grid, self._visible

        env.gen_obs_grid = make_and_keep

    def _look(self) -> None:
        env: Any = self.env
        left, top, right, bottom = env.get_view_exts()
        for x in range(left, right):
            for y in range(top, bottom):
                if self._visible[env.get_view_coords(x, y)]:
                    place = complex(x, y) - self._start
                    self.seen[place] = self.true_word(place)


def shadows_of(env_id: str, num_envs: int, split: Split, seed: int) -> list[Shadow]:
    """The worlds of a vector environment that was just reset."""
    return [Shadow(env_id, split, seed, row) for row in range(num_envs)]


class Wanderer:
    """Acts for the tests: follows options by their labels and errs, so that much happens."""

    def __init__(self, task: GridTask, num_envs: int, seed: int, noise: float) -> None:
        self._task, self._noise = task, noise
        self._rng = np.random.default_rng(seed)
        self._held = np.full((num_envs, 1), PADDING, dtype=np.int64)

    def actions(self, states: GridStates) -> IntArray:
        """An action for each world, int64 [N]."""
        situation_ids = self._task.situation_ids(states)
        done = self._task.act(self._held, states)
        actions = self._rng.choice(7, len(situation_ids), p=[0.15, 0.15, 0.2, 0.1, 0.1, 0.25, 0.05])
        for i, situation_id in enumerate(situation_ids):
            if self._rng.random() > self._noise and done.targets[i, 0].any():
                actions[i] = done.targets[i, 0].argmax()
            else:
                offered = self._task.options(int(situation_id))
                if offered:
                    choice = offered[int(self._rng.integers(len(offered)))]
                    self._held[i] = self._task.encode(choice)
        return actions


class Verdict(NamedTuple):
    """finished; otherwise the way, or None where there is none."""

    finished: bool
    way: Way | None


@dataclass(frozen=True)
class Known:
    """What an agent knows: words of the known places, its pose, what it carries, how far it sees.

    reach: places farther than this from the middle are not on the map.
    """

    cells: dict[Place, str]
    pose: Pose
    carried: str | None
    view: int
    reach: int

    @classmethod
    def read(cls, cells: CodeArray, pose: IntArray, carried: str | None, view: int) -> Known:
        """From a map uint8 [M, M] and a pose int64 [3]."""
        middle = len(cells) // 2
        words = {
            complex(int(x) - middle, int(y) - middle): WORDS[cells[y, x]]
            for y, x in zip(*np.nonzero(cells), strict=True)
        }
        x, y, heading = (int(number) for number in pose)
        return cls(words, (complex(x - middle, y - middle), heading), carried, view, middle)

    def word(self, place: Place) -> str:
        return self.cells.get(place, "unknown")

    def walkable(self, place: Place) -> bool:
        word = self.word(place)
        return word in ("floor", "green goal") or word.endswith("(open)")

    @functools.cached_property
    def frontier(self) -> set[Place]:
        """Unknown places beside a known one that is neither wall, nor lava, nor a shut door."""
        shut = ("wall", "lava", "closed)", "locked)")
        open_places = [place for place, word in self.cells.items() if not word.endswith(shut)]
        beside = {place + step for place in open_places for step in AROUND}
        return {
            place
            for place in beside - self.cells.keys()
            if max(abs(place.real), abs(place.imag)) <= self.reach
        }

    def ways(self) -> Iterator[tuple[Pose, Way]]:
        """Every pose that can be reached with the first, left before right before forward, of all
        shortest ways to it; by length, then in that order."""
        layer: dict[Pose, Way] = {self.pose: ()}
        reached = set(layer)
        while layer:
            yield from sorted(layer.items(), key=lambda item: item[1])
            following: dict[Pose, Way] = {}
            for (place, heading), way in layer.items():
                moves = [
                    (LEFT, (place, (heading - 1) % 4)),
                    (RIGHT, (place, (heading + 1) % 4)),
                ]
                if self.walkable(place + 1j**heading):
                    moves.append((FORWARD, (place + 1j**heading, heading)))
                for action, pose in moves:
                    if pose not in reached:
                        following[pose] = min(following.get(pose, (99,)), (*way, action))
            reached |= following.keys()
            layer = following

    def shown_frontier(self, pose: Pose) -> int:
        """How much frontier MiniGrid's own rule of sight, unknown places being walls, shows."""
        place, heading = pose
        half, ahead = self.view // 2, 1j**heading
        offsets = [(far - place) / ahead for far in self.frontier]
        near = [(self.view - 1 - int(o.real), half + int(o.imag)) for o in offsets]
        near = [(r, c) for r, c in near if 0 <= r < self.view and 0 <= c < self.view]
        if not near:
            return 0
        grid = Grid(self.view, self.view)
        opaque = Wall()
        for row in range(self.view):
            for column in range(self.view):
                there = place + ahead * complex(self.view - 1 - row, column - half)
                word = self.word(there)
                if word in ("unknown", "wall") or word.endswith(("closed)", "locked)")):
                    grid.set(column, row, opaque)
        visible = grid.process_vis((half, self.view - 1))
        return sum(bool(visible[column, row]) for row, column in near)

    def settled(self, option: Option) -> bool:
        """Whether an option is done for good, wherever the agent stands."""
        if option.name == "pick_up":
            return self.carried == option.target
        if option.name == "drop":
            return self.carried is None
        if option.name == "open" and "door" in str(option.target):
            doors = {word for word in self.cells.values() if word.startswith(f"{option.target} ")}
            return doors == {f"{option.target} (open)"}
        return False

    def last_action(self, option: Option, pose: Pose) -> Way | None:
        """What ends the option in this pose: nothing more, one action, or None: it does not end."""
        place, heading = pose
        front_place = place + 1j**heading
        front, target = self.word(front_place), option.target
        if option.name == "go_to":
            here = self.word(place) if target == "green goal" else front
            return () if here.partition(" (")[0] == target else None
        if option.name == "pick_up":
            return (PICKUP,) if self.carried is None and front == target else None
        if option.name == "drop":
            near_door = any(" door " in self.word(front_place + step) for step in AROUND)
            return (DROP_ACTION,) if front == "floor" and not near_door else None
        key = str(target).replace("door", "key")
        opens = {f"{target} (closed)"} | ({f"{target} (locked)"} if self.carried == key else set())
        return (TOGGLE,) if front in opens or ("box" in front and front == target) else None

    def way_to_explore(self) -> Way | None:
        """The best way to a pose that shows some frontier: first by its length, then by how much
        is shown there, then by the order of its actions."""
        found: list[tuple[int, int, Way]] = []
        for pose, way in self.ways():
            if found and len(way) > found[0][0]:
                break
            if way and (shown := self.shown_frontier(pose)):
                found.append((len(way), -shown, way))
        return min(found)[2] if found else None

    def judge(self, options: Iterable[Option]) -> dict[Option, Verdict]:
        """The verdict on each option."""
        verdicts: dict[Option, Verdict] = {}
        open_options = []
        for option in dict.fromkeys(options):
            if option.name == "explore":
                way = self.way_to_explore()
                verdicts[option] = Verdict(way is None, way)
            elif self.settled(option):
                verdicts[option] = Verdict(True, None)
            else:
                open_options.append(option)
        for pose, way in self.ways() if open_options else ():
            for option in list(open_options):
                last = self.last_action(option, pose)
                if last is not None:
                    verdicts[option] = Verdict(not (way or last), (*way, *last) or None)
                    open_options.remove(option)
            if not open_options:
                break
        for option in open_options:
            verdicts[option] = Verdict(False, None)
        return verdicts
