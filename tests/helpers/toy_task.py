"""An environment of one's own behind the task seam: a corridor with a lever. No MiniGrid in it.

    x . / . . @ . . |        x pit, / lever (up), \\ lever (down), @ agent, | exit (shut)

The exit opens once the lever is pulled. A step costs a little, the exit pays 1, the pit costs more;
both end the episode, and a time-out truncates it. The student sees features only. Tests and
the command line reach it as `toy_task:Corridor`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from gymnasium.spaces import Box, Discrete, Space

from tutelage.rl.tasks.arrays import ActionArray, BoolArray, FloatArray, IntArray
from tutelage.rl.tasks.base import (
    Batch,
    Episode,
    Observation,
    Split,
    States,
    StepResult,
    select_rows,
)
from tutelage.rl.tasks.options import Option, OptionActions, Plan
from tutelage.rl.tasks.scripts import PlanScript, ScriptedByPlan
from tutelage.rl.tasks.seeding import episode_seed
from tutelage.rl.tasks.spaces import ActionSpace

LENGTH: Final = 9
PIT: Final = 0
EXIT: Final = LENGTH - 1
MAX_STEPS: Final = 30
STEP_REWARD: Final = -0.01
EXIT_REWARD: Final = 1.0
PIT_REWARD: Final = -0.5
LEFT, RIGHT, PULL = range(3)
NUM_FEATURES: Final = 5

WALK_TO_LEVER: Final = Option("walk_to", "lever", "Walk there; finished once it is reached.")
PULL_IT: Final = Option("pull")
WALK_TO_EXIT: Final = Option("walk_to", "exit")
WANDER: Final = Option("wander")
OPTIONS: Final = (WALK_TO_LEVER, PULL_IT, WALK_TO_EXIT, WANDER)

LEVER_DOWN, AT_LEVER = 1, 2
"""Bits of a situation id."""


def first_state(seed: int) -> tuple[int, int]:
    """(position, lever) at the start of the episode with that seed: two cells, neither an end."""
    rng = np.random.default_rng(seed)
    position, lever = rng.choice(np.arange(PIT + 1, EXIT), size=2, replace=False)
    return int(position), int(lever)


@dataclass(frozen=True)
class CorridorStates(Batch):
    """positions, levers: int64 [B]; down: bool [B], whether the lever was pulled."""

    positions: IntArray
    levers: IntArray
    down: BoolArray


class CorridorEnvs:
    """N corridors, stepped together."""

    def __init__(self, num_envs: int, split: Split, seed: int) -> None:
        self.num_envs, self._split, self._seed = num_envs, split, seed
        self._episodes = np.full(num_envs, -1, dtype=np.int64)
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._positions = np.zeros(num_envs, dtype=np.int64)
        self._levers = np.zeros(num_envs, dtype=np.int64)
        self._down = np.zeros(num_envs, dtype=np.bool_)

    def reset(self, episodes: IntArray | None = None) -> None:
        if episodes is not None:
            self._episodes[:] = episodes - 1
        self._begin(np.arange(self.num_envs))

    def observe(self) -> Observation:
        return _seen_in(self.states())

    def states(self) -> CorridorStates:
        return CorridorStates(self._positions.copy(), self._levers.copy(), self._down.copy())

    def action_mask(self) -> None:
        """All can be picked, always."""

    def step(self, actions: ActionArray, active: BoolArray | None = None) -> StepResult:
        """Raises ValueError for an action that is none of the task's."""
        moved = np.ones(self.num_envs, dtype=np.bool_) if active is None else active
        if not np.isin(actions[moved], (LEFT, RIGHT, PULL)).all():
            raise ValueError(f"actions {actions} are not within {LEFT}..{PULL}")
        self._down |= moved & (actions == PULL) & (self._positions == self._levers)
        ahead = self._positions + moved * (1 * (actions == RIGHT) - (actions == LEFT))
        shut = (ahead == EXIT) & ~self._down
        self._positions = np.where(shut, self._positions, ahead)
        self._steps += moved
        fell, left = self._positions == PIT, self._positions == EXIT
        terminated = moved & (fell | left)
        truncated = moved & ~terminated & (self._steps >= MAX_STEPS)
        rewards = moved * STEP_REWARD + fell * PIT_REWARD + left * EXIT_REWARD
        final = select_rows(self.observe(), truncated) if truncated.any() else None
        self._begin(np.flatnonzero(terminated | truncated))
        return StepResult(rewards.astype(np.float32), terminated, truncated, final)

    def close(self) -> None:
        """There is nothing to release."""

    def _begin(self, rows: IntArray) -> None:
        self._episodes[rows] += 1
        self._steps[rows] = 0
        self._down[rows] = False
        for i in rows:
            seed = episode_seed(self._seed, self._split, int(i), int(self._episodes[i]))
            self._positions[i], self._levers[i] = first_state(seed)


class Corridor(ScriptedByPlan):
    """The task: pull the lever, then walk to the exit. PPO alone needs some thousands of steps."""

    name = "Corridor"
    observation_space: Mapping[str, Space[Any]] = {
        "features": Box(-1, 1, (NUM_FEATURES,), np.float32)
    }
    action_space: ActionSpace = Discrete(3)
    action_names: tuple[str, ...] = ("left", "right", "pull")
    masks_actions = normalise = scored = False
    max_episode_steps = MAX_STEPS
    default_steps = 30_000
    script_version = 1

    def make_envs(self, num_envs: int, split: Split, seed: int) -> CorridorEnvs:
        return CorridorEnvs(num_envs, split, seed)

    def situation_ids(self, states: States) -> IntArray:
        own = _own(states)
        here = own.positions == own.levers
        keys: IntArray = own.down * LEVER_DOWN + here * AT_LEVER
        return keys

    def describe(self, situation_id: int) -> str:
        if not 0 <= situation_id < 4:
            raise KeyError(situation_id)
        lever, way = ("down", "open") if situation_id & LEVER_DOWN else ("up", "shut")
        return "\n".join(
            (
                "mission: pull the lever, then walk to the exit",
                "carrying: nothing",
                f"seen: lever ({lever}); exit ({way})",
                "unexplored: no",
                f"place: {'at the lever' if situation_id & AT_LEVER else 'in the corridor'}",
            )
        )

    def read(self, text: str) -> int:
        return [self.describe(situation_id) for situation_id in range(4)].index(text)

    def options(self, situation_id: int) -> tuple[Option, ...]:
        if situation_id & LEVER_DOWN:
            return WALK_TO_EXIT, WALK_TO_LEVER, WANDER
        if situation_id & AT_LEVER:
            return PULL_IT, WALK_TO_EXIT, WANDER
        return WALK_TO_LEVER, PULL_IT, WALK_TO_EXIT, WANDER

    def script(self, situation: str) -> Plan:
        if "lever (down)" in situation:
            return (WALK_TO_EXIT,)
        return (PULL_IT if "place: at the lever" in situation else WALK_TO_LEVER,)

    def all_options(self) -> tuple[Option, ...]:
        return OPTIONS

    def encode(self, option: Option) -> int:
        if option not in OPTIONS:
            raise ValueError(f"unknown option {option}; allowed: {', '.join(map(str, OPTIONS))}")
        return OPTIONS.index(option)

    def act(self, options: IntArray, states: States) -> OptionActions:
        own = _own(states)
        targets = np.zeros((*options.shape, len(self.action_names)), dtype=np.float32)
        feasible = np.zeros(options.shape, dtype=np.bool_)
        finished = np.zeros(options.shape, dtype=np.bool_)
        for code, (can, done, does) in enumerate(_behaviours(own)):
            rows, columns = np.nonzero(options == code)
            feasible[rows, columns], finished[rows, columns] = can[rows], done[rows]
            targets[rows, columns] = does[rows] * (can & ~done)[rows, None]
        return OptionActions(targets, feasible, finished)

    def success(self, episode: Episode) -> bool:
        return episode.terminated and episode.return_ > 0.0

    def picture(self, states: States, row: int) -> str:
        own = _own(states)
        cells = ["."] * LENGTH
        cells[PIT], cells[EXIT] = "x", " " if own.down[row] else "|"
        cells[own.levers[row]] = "\\" if own.down[row] else "/"
        cells[own.positions[row]] = "@"
        return " ".join(cells)


class Settled(Corridor):
    """The corridor with a script that is done with: its answers are kept in the plan cache."""

    @property
    def teacher_script(self) -> PlanScript:
        script = PlanScript(self.script)
        script.version = 1
        return script


def _behaviours(states: CorridorStates) -> list[tuple[BoolArray, BoolArray, FloatArray]]:
    """(feasible [B], finished [B], action probabilities [B, 3]) of each option, by its code."""
    here = states.positions == states.levers
    always, never = np.ones(len(states), dtype=np.bool_), np.zeros(len(states), dtype=np.bool_)
    action = np.eye(3, dtype=np.float32)
    to_lever = action[np.where(states.levers < states.positions, LEFT, RIGHT)]
    pull, to_exit = (np.tile(action[a], (len(states), 1)) for a in (PULL, RIGHT))
    wander = np.tile(np.array([0.5, 0.5, 0.0], dtype=np.float32), (len(states), 1))
    return [
        (always, here | states.down, to_lever),
        (here & ~states.down, states.down, pull),
        (states.down, never, to_exit),
        (always, never, wander),
    ]


def _seen_in(states: CorridorStates) -> Observation:
    """Where it is, where the lever is from there (left, here, right), and whether it was pulled."""
    side = np.sign(states.levers - states.positions)
    features = np.stack(
        (
            states.positions / (EXIT / 2) - 1,
            side < 0,
            side == 0,
            side > 0,
            states.down,
        ),
        axis=1,
    )
    return {"features": features.astype(np.float32)}


def _own(states: States) -> CorridorStates:
    if not isinstance(states, CorridorStates):
        raise TypeError(f"a corridor takes its own states, not {type(states)}")
    return states
