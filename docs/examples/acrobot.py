"""Acrobot: a vector of six numbers, three torques, and options that pump energy into a swing.

In this folder:

    tutelage run --env acrobot:Acrobot --steps 40000
"""

import numpy as np

from tutelage import GymTask, Option, OptionStep

ELBOW = Option("pump", "elbow", help="Push the lower link the way it turns.")
SHOULDER = Option("pump", "shoulder", help="Push the lower link against the upper one's swing.")
BOTH = Option("pump", "both", help="Push the lower link the way it turns as the upper one sees it.")
LET_GO = Option("let_go", help="No torque.")

WEIGHTS = {"shoulder": (-1.0, 0.0), "elbow": (0.0, 1.0), "both": (-1.0, 1.0)}
"""What the torque's sign follows: the speeds of shoulder and elbow, times these."""


class Acrobot(GymTask):
    notes = (
        "Two links hang from a fixed shoulder; the only motor is in the elbow between them. It is "
        "too weak to lift them at once, so the links must be swung higher and higher. The episode "
        "ends in success when the tip is one link's length above the shoulder; each step costs 1."
    )

    action_names = ("push left", "no torque", "push right")

    def __init__(self):
        super().__init__("Acrobot-v1")

    def situation(self, obs, info):
        shoulder, elbow = np.arctan2(obs[1], obs[0]), np.arctan2(obs[3], obs[2])
        height = -np.cos(shoulder) - np.cos(shoulder + elbow)
        tip = "hangs low" if height < -1 else "swings" if height < 0 else "is nearly there"
        turns = ["left" if speed < 0 else "right" for speed in obs[4:]]
        return (
            "mission: swing the tip up above the line\n"
            f"tip: {tip}\nshoulder turns: {turns[0]}\nelbow turns: {turns[1]}"
        )

    def options(self, situation):
        return ELBOW, SHOULDER, BOTH, LET_GO

    def run_option(self, option, obs, info):
        if option == LET_GO:
            return OptionStep(1)
        push = np.dot(WEIGHTS[option.target], obs[4:])
        return OptionStep(2 if push > 0 else 0)

    def success(self, episode):
        return episode.terminated

    def script(self, situation):
        return (BOTH,)
