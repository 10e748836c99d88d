"""MountainCarContinuous: continuous actions. An option gives a mean and a standard deviation.

Without a teacher the car learns to stand still, as the engine costs and the flag is never seen.
In this folder:

    tutelage run --env mountain_car:MountainCar --steps 40000
"""

import numpy as np

from tutelage import GymTask, Option, OptionStep

PUMP = Option("pump", help="Full throttle in the direction of motion.")
CLIMB = Option("climb", help="Full throttle to the right.")
COAST = Option("coast", help="No throttle.")


class MountainCar(GymTask):
    notes = (
        "A car too weak to climb stands in a valley. The flag is on the right hill. Going back and "
        "forth gains height. Throttle costs a little; the flag brings 100 and ends the episode."
    )

    action_names = ("throttle",)

    def __init__(self):
        super().__init__("MountainCarContinuous-v0")

    def situation(self, obs, info):
        position, velocity = obs
        place = "left" if position < -0.7 else "right" if position > -0.3 else "bottom"
        moving = "left" if velocity < 0 else "right"
        return f"mission: reach the flag\nplace: {place}\nmoving: {moving}"

    def options(self, situation):
        return PUMP, CLIMB, COAST

    def run_option(self, option, obs, info):
        direction = {"pump": np.sign(obs[1]) or 1.0, "climb": 1.0, "coast": 0.0}[option.name]
        return OptionStep([direction], std=0.3)

    def success(self, episode):
        return episode.terminated

    def script(self, situation):
        return (PUMP,)
