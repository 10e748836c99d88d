"""A crane of one's own, MultiDiscrete: each action is a number for each of two motors and a magnet.

In this folder:

    tutelage run --env crane:Crane --steps 60000
"""

import gymnasium as gym
import numpy as np

from tutelage import GymTask, Option, OptionStep

COLUMNS, TOP = 8, 3
FETCH = Option("fetch", help="Move the hook over the crate, lower it and switch the magnet on.")
CARRY = Option("carry", help="Lift the crate, move it over its place and lower it to the ground.")
LET_GO = Option("let_go", help="Switch the magnet off, wherever the crate hangs.")


class Yard(gym.Env):
    """Putting the crate down at its place brings 1; if it falls, it breaks: -1. A step costs 0.01.

    Observation: columns of hook, crate and place, height of the hook, whether the crate hangs.
    Actions: trolley (left, stay, right), hoist (down, stay, up), magnet (off, on).
    """

    observation_space = gym.spaces.Box(0, COLUMNS, (5,), np.float32)
    action_space = gym.spaces.MultiDiscrete([3, 3, 2])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.hook, self.crate, self.place = self.np_random.choice(COLUMNS, 3, replace=False)
        self.height, self.hangs = TOP, False
        return self._look(), {}

    def step(self, action):
        trolley, hoist, magnet = action
        done = bool(self.hangs and not magnet and (self.height or self.hook == self.place))
        reward = (-1.0 if self.height else 1.0) * done - 0.01
        self.hangs = bool(magnet and (self.hangs or (self.hook == self.crate and not self.height)))
        if self.height == TOP:  # further down, other crates are in the way
            self.hook = np.clip(self.hook + trolley - 1, 0, COLUMNS - 1)
        self.height = np.clip(self.height + hoist - 1, 0, TOP)
        self.crate = self.hook if self.hangs else self.crate
        return self._look(), reward, done, False, {}

    def _look(self):
        return np.array([self.hook, self.crate, self.place, self.height, self.hangs], np.float32)


class Crane(GymTask):
    notes = "The hook moves sideways at its top height only. With its magnet on it grabs a crate."
    max_episode_steps = 60

    def __init__(self):
        super().__init__(Yard)

    def situation(self, obs, info):
        hook, crate, place, height, hangs = obs
        below = "the place" if hook == place else "the crate" if hook == crate else "neither"
        return (
            f"mission: put the crate down at its place\ncrate: {'hangs' if hangs else 'stands'}\n"
            f"below the hook: {below}\nhook: {'in the air' if height else 'at the ground'}"
        )

    def options(self, situation):
        return FETCH, CARRY, LET_GO

    def run_option(self, option, obs, info):
        hook, crate, place, height, hangs = (int(number) for number in obs)
        if option != FETCH and not hangs:
            return OptionStep()
        if option == LET_GO:
            return OptionStep([1, 1, 0])
        ahead = (crate if option == FETCH else place) - hook
        finished = hangs if option == FETCH else not (ahead or height)
        return OptionStep([1 + np.sign(ahead), 2 if ahead else 0, 1], finished=bool(finished))

    def script(self, situation):
        return FETCH, CARRY, LET_GO
