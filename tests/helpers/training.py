"""What several tests of learning share."""

from __future__ import annotations

from typing import Final

from helpers.toy_task import PULL_IT, WALK_TO_EXIT, WALK_TO_LEVER, Corridor
from tutelage.rl.advice.advice import Advice
from tutelage.rl.advice.labels import label
from tutelage.rl.policy.policy import make_policy
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.ppo.ppo import PPO
from tutelage.rl.ppo.settings import PPOSettings
from tutelage.rl.rollouts.collector import Collector
from tutelage.rl.rollouts.evaluate import evaluate
from tutelage.rl.tasks.seeding import generator

GOOD_ADVICE = {
    situation_id: Advice(((option,),), (1.0,))
    for situation_id, option in enumerate((WALK_TO_LEVER, WALK_TO_EXIT, PULL_IT, WALK_TO_EXIT))
}


GAMMA: Final = 0.99


class Training:
    """The corridor with 16 environments and rollouts of 32 steps: 512 steps an iteration."""

    STEPS = 512
    GAE_LAMBDA = 0.95

    def __init__(self, seed: int, taught: bool, reseeded: str = "") -> None:
        self.task, self._taught = Corridor(), taught
        streams = {
            name: generator(seed + (name == reseeded), name)
            for name in ("network", "actions", "minibatches")
        }
        settings = PPOSettings(
            num_steps=32,
            minibatch_size=128,
            learning_rate=5e-3,
            final_learning_rate=5e-3,
            advised_epochs=4,
            gamma=GAMMA,
            gae_lambda=self.GAE_LAMBDA,
        )
        self.student = make_policy(
            self.task,
            StudentSettings(hidden=32),
            "cpu",
            int(streams["network"].integers(2**31)),
        )
        self._ppo = PPO(self.student, settings, streams["minibatches"])
        envs = self.task.make_envs(16, "train", seed)
        self._collector = Collector(self.task, self.student, envs, 32, streams["actions"], GAMMA)

    def advance(self) -> None:
        """One rollout and its update."""
        rollout = self._collector.collect()
        labels = None
        if self._taught:
            states = self._collector.states()
            labels = label(self.task, states, rollout.situation_ids.reshape(-1), GOOD_ADVICE)
        self._ppo.update(rollout, labels, 1.0, 0.0)

    def steps_to_95(self, most: int) -> int | None:
        """Steps until an evaluation is at or above 0.95; None where `most` do not suffice."""
        for steps in range(self.STEPS, most + 1, self.STEPS):
            self.advance()
            if evaluate(self.task, self.student, 100, seed=1).success_rate >= 0.95:
                return steps
        return None
