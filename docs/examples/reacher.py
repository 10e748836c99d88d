r"""Reacher: continuous actions of two motors, taught by inverse kinematics. Needs MuJoCo.

In this folder, after `pip install "gymnasium[mujoco]"`:

    tutelage run --env reacher:Reacher --steps 60000 --set ppo.minibatch_size=128 \
        --set weaning.floor_at=0.8 --set weaning.removal_at=0.9
"""

import numpy as np

from tutelage import GymTask, Option, OptionStep

UPPER, LOWER = 0.1, 0.11  # metres, from shoulder to elbow and from elbow to fingertip

LEFT = Option("reach", "bent left", help="Move the fingertip to the target, the elbow on one side.")
RIGHT = Option("reach", "bent right", help="Move the fingertip there, the elbow on the other side.")
HOLD = Option("hold_still", help="Slow both joints down.")


def joints_at(target, bend):
    """The angles of shoulder and elbow at which the fingertip is at the target. bend: 1 or -1."""
    cosine = (target @ target - UPPER**2 - LOWER**2) / (2 * UPPER * LOWER)
    elbow = bend * np.arccos(np.clip(cosine, -1, 1))
    ahead = np.arctan2(LOWER * np.sin(elbow), UPPER + LOWER * np.cos(elbow))
    return np.array([np.arctan2(target[1], target[0]) - ahead, elbow])


class Reacher(GymTask):
    notes = (
        "An arm of two links turns in a plane; a motor is in its shoulder, another in its elbow. "
        "Each step costs the distance from fingertip to target and the squared force of the motors."
    )

    info_keys = ("reward_dist",)
    action_names = ("shoulder", "elbow")

    def __init__(self):
        super().__init__("Reacher-v5")

    def situation(self, obs, info):
        distance, speed = np.linalg.norm(obs[8:10]), np.abs(obs[6:8]).max()
        place = "touched" if distance < 0.01 else "near" if distance < 0.05 else "far"
        return (
            "mission: hold the fingertip at the target\n"
            f"target: {place}\nelbow: bent {'left' if obs[3] > 0 else 'right'}\n"
            f"arm: {'turns' if speed > 0.5 else 'rests'}"
        )

    def options(self, situation):
        return LEFT, RIGHT, HOLD

    def run_option(self, option, obs, info):
        (cosines, sines, target, speeds) = np.split(obs[:8], 4)
        away = np.zeros(2)
        if option != HOLD:
            away = joints_at(target, 1 if option == LEFT else -1) - np.arctan2(sines, cosines)
            away = (away + np.pi) % (2 * np.pi) - np.pi  # the shorter way round
        force = np.clip(0.4 * away, -0.5, 0.5) - 0.06 * speeds
        return OptionStep(np.clip(force, -1, 1), std=0.05)

    def script(self, situation):
        return (LEFT,)

    def success(self, episode):
        return episode.info["reward_dist"] > -0.03  # metres, at the end
