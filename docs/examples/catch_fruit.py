"""An environment of one's own with pictures: catch the fruit, dodge the stones.

The student sees 32 by 32 pixels. What its teacher is told comes from the environment's `info`:
`info_keys` declares what is needed of it. In this folder:

    tutelage run --env catch_fruit:CatchFruit --steps 40000
"""

import gymnasium as gym
import numpy as np

from tutelage import GymTask, Option, OptionStep

SIDE, CELL, FALLS = 8, 4, 5  # cells of the picture, pixels of a cell, things in an episode
COLORS = {"fruit": (230, 40, 40), "stone": (130, 130, 130)}

CATCH = Option("catch", help="Go below it and stay there.")
DODGE = Option("dodge", help="Step aside if it falls onto the basket, else stay.")


class Orchard(gym.Env):
    """Fruit is to fall into the basket, stones are not: each brings 1 or costs 1."""

    observation_space = gym.spaces.Box(0, 255, (SIDE * CELL, SIDE * CELL, 3), np.uint8)
    action_space = gym.spaces.Discrete(3)  # left, stay, right

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.basket, self.fallen = int(self.np_random.integers(SIDE)), 0
        self._drop()
        return self._look()

    def step(self, action):
        self.basket = int(np.clip(self.basket + action - 1, 0, SIDE - 1))
        self.row, reward = self.row + 1, 0.0
        if self.row == SIDE - 1:
            reward = 1.0 if (self.column == self.basket) == (self.kind == "fruit") else -1.0
            self.fallen += 1
            self._drop()
        picture, info = self._look()
        return picture, reward, self.fallen == FALLS, False, info

    def _drop(self):
        self.kind = str(self.np_random.choice(list(COLORS)))
        self.row, self.column = 0, int(self.np_random.integers(SIDE))

    def _look(self):
        cells = np.zeros((SIDE, SIDE, 3), np.uint8)
        cells[self.row, self.column] = COLORS[self.kind]
        cells[-1, self.basket] = (240, 200, 60)
        info = {"kind": self.kind, "column": self.column, "basket": self.basket}
        return cells.repeat(CELL, axis=0).repeat(CELL, axis=1), info


class CatchFruit(GymTask):
    notes = "Things fall one by one. Fruit is to be caught in the basket, stones are to miss it."
    info_keys = ("kind", "column", "basket")
    max_episode_steps = FALLS * SIDE

    def __init__(self):
        super().__init__(Orchard)

    def situation(self, obs, info):
        place = ("above", "right of", "left of")[np.sign(info["column"] - info["basket"])]
        return f"falling: {info['kind']}\nplace: {place} the basket"

    def options(self, situation):
        return CATCH, DODGE

    def run_option(self, option, obs, info):
        ahead = np.sign(info["column"] - info["basket"])
        aside = 0 if ahead else -1 if info["basket"] else 1
        return OptionStep(1 + (ahead if option == CATCH else aside))

    def script(self, situation):
        return (CATCH if "fruit\n" in situation else DODGE,)

    def success(self, episode):
        return episode.return_ == FALLS
