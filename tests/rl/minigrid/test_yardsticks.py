"""How good can one be at the paper's four tasks? Exploring by the options, well, and all-knowing.

Each is played on the same held-out levels; what is printed (`pytest -m slow -s`) is what students
and teachers are to be held against.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import pytest

from helpers.divergent_explorer import Mind, decide
from helpers.grid_judge import ROOMS
from helpers.level_judge import judge
from tutelage.rl.minigrid import levels
from tutelage.rl.minigrid.codes import COLORS
from tutelage.rl.minigrid.layouts import draw_layout
from tutelage.rl.minigrid.memory_map import carried_in
from tutelage.rl.minigrid.options import encode_option
from tutelage.rl.minigrid.simulator import minigrid_maker
from tutelage.rl.minigrid.task import GridTask
from tutelage.rl.minigrid.vector import GridStates
from tutelage.rl.tasks.arrays import BoolArray, IntArray
from tutelage.rl.tasks.options import Option
from tutelage.rl.tasks.seeding import episode_seed

LEVELS, SEED = 1000, 1
SEARCHED = 100
"""Levels of which the optimum is looked for: that takes long."""

Policy = Callable[[GridStates, BoolArray], IntArray]
"""Actions int64 [N] for the worlds whose episode still runs, bool [N]."""


@dataclass
class Outcome:
    """success: bool [N]; steps: int64 [N], all there are where it failed."""

    success: BoolArray
    steps: IntArray

    def __str__(self) -> str:
        error = self.steps.std() / len(self.steps) ** 0.5
        return f"success {self.success.mean():.3f}, {self.steps.mean():.1f} ± {error:.1f} steps"


def play(task: GridTask, policy: Policy) -> Outcome:
    """An episode in each of LEVELS worlds."""
    envs = task.make_envs(LEVELS, "evaluation", SEED)
    envs.reset()
    running = np.ones(LEVELS, dtype=np.bool_)
    done = Outcome(np.zeros(LEVELS, dtype=np.bool_), np.full(LEVELS, task.max_episode_steps))
    for step in range(1, task.max_episode_steps + 1):
        result = envs.step(policy(envs.states(), running))
        over = running & (result.terminated | result.truncated)
        done.success[over] = result.terminated[over] & (result.rewards[over] > 0)
        done.steps[over] = step
        running &= ~over
    return done


def explorer() -> Policy:
    """Plays DivergentDoorKey as `divergent_explorer` does."""

    def act(states: GridStates, running: BoolArray) -> IntArray:
        shape = (*states.maps.shape[1:], 4)
        steps, came = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.int64)
        actions = np.zeros(LEVELS, dtype=np.int64)
        for i in np.flatnonzero(running):
            mind = Mind(states.maps[i], states.poses[i], steps, came)
            actions[i] = decide(mind, int(carried_in(states.views[i])))
        return actions

    return act


def planner(task: GridTask) -> Policy:
    """Opens the door, else fetches its key, else explores: the plan of a teacher who never errs."""
    colors = ("blue",) if task.name == "ColoredDoorKey" else COLORS
    plan = [Option("open", f"{color} door") for color in colors]
    plan += [Option("pick_up", f"{color} key") for color in colors]
    codes = np.array([encode_option(option) for option in (*plan, Option("explore"))])

    def act(states: GridStates, _: BoolArray) -> IntArray:
        done = task.act(np.tile(codes, (LEVELS, 1)), states)
        current = (done.feasible & ~done.finished).argmax(axis=1)
        return done.targets[np.arange(LEVELS), current].argmax(axis=1)

    return act


def optimum(name: str) -> IntArray:
    """The fewest steps of one who knows each level from the start, int64 [SEARCHED]."""
    layout = getattr(levels, name).layout
    steps = []
    for i in range(SEARCHED):
        random, _ = gym.utils.seeding.np_random(episode_seed(SEED, "evaluation", i, 0))
        plan = judge(draw_layout(layout, levels.layout_seed(random)))
        assert plan is not None
        steps.append(len(plan))
    return np.array(steps)


MOST_ABOVE_OPTIMUM = 1.85
"""How many times the steps of an all-knowing agent the options may take in a small room."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ROOMS)
def test_what_can_be_reached(name: str) -> None:
    # Colours by their own names: the plan knows nothing of renaming.
    task = GridTask(name, minigrid_maker(f"Tutelage/{name}-v0"), 0, crop=7)
    best, planned = optimum(name), play(task, planner(task))
    print(f"\n{name}: all-knowing {best.mean():.1f} steps ({SEARCHED} levels); options {planned}")
    assert (planned.steps[:SEARCHED] >= best).all()
    if name == "DivergentDoorKey":
        explored = play(task, explorer())
        print(f"{name}: explorer {explored}")
        assert (explored.steps[:SEARCHED] >= best).all()
        assert explored.success.mean() > 0.99
        assert explored.steps.mean() < 53
        assert planned.success.mean() > 0.65
    else:
        assert planned.success.all()
        assert planned.steps[:SEARCHED].mean() < MOST_ABOVE_OPTIMUM * best.mean()
