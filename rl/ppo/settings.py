"""PPO's settings; this file imports no torch, so that configurations are checked quickly."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

LARGEST: Final = 1e12
"""The largest coefficient or limit: as good as none, and far from what float32 cannot hold."""
_LEAST_GAMMA: Final = 0.97
_MOST_GAMMA: Final = 0.99
"""What the task's own gamma may be: horizons of 33 and 100 steps."""


class PPOSettings(BaseModel):
    """PPO's hyper-parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_steps: int = Field(
        32, ge=1, le=65_536, description="Steps of each environment in a rollout."
    )
    epochs: int = Field(4, ge=1, le=100, description="Passes over each rollout without advice.")
    advised_epochs: int = Field(
        6, ge=1, le=100, description="Passes over each rollout while the teacher's advice counts."
    )
    minibatch_size: int = Field(512, ge=1, le=2**31, description="Steps in each minibatch.")
    learning_rate: float = Field(2e-3, gt=0, lt=1, description="Adam's learning rate at the start.")
    final_learning_rate: float = Field(
        2e-4, gt=0, lt=1, description="Adam's learning rate at the end; linear in between."
    )
    gamma: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Discount factor of a step; none takes the task's own: rewards count for a "
        "tenth of its longest episode, 0.97 for short ones to 0.99.",
    )
    gae_lambda: float = Field(
        0.95, ge=0, le=1, description="GAE's lambda: less bias and more variance towards 1."
    )
    clip_range: float = Field(0.2, gt=0, lt=1, description="PPO clip range.")
    target_kl: float = Field(
        0.03,
        gt=0,
        le=LARGEST,
        description="KL divergence from the rollout's policy, in a pass's last minibatch, above "
        "which no further pass follows; only without advice, which moves the policy further.",
    )
    value_coef: float = Field(
        0.1,
        ge=0,
        le=LARGEST,
        description="Weight of the value loss, which is measured in variances of the returns.",
    )
    entropy_coef: float = Field(
        0.003,
        ge=0,
        le=LARGEST,
        description="Weight of the entropy bonus at the start; linear to 0 at the end.",
    )
    final_entropy_coef: float = Field(
        -0.15,
        ge=-10,
        le=10,
        description="What the student's success adds to the entropy bonus of discrete actions: "
        "nothing up to half of the run, then linear to this, times its success rate, at the end. "
        "Below 0 a student that succeeds leaves nothing to chance: its likeliest actions become as "
        "good as those that it draws.",
    )
    max_grad_norm: float = Field(
        0.5, gt=0, le=LARGEST, description="Gradients are clipped to this norm."
    )

    def gamma_for(self, max_episode_steps: int) -> float:
        """The discount factor of a step in a task whose longest episode has so many.

        The task's own has a tenth of that as its horizon, 1 / (1 - gamma): students dawdle with a
        longer one, and with a shorter one they do not see what the first steps are good for.
        """
        if self.gamma is not None:
            return self.gamma
        return min(max(1.0 - 10.0 / max_episode_steps, _LEAST_GAMMA), _MOST_GAMMA)

    def at(self, progress: float, success: float = 0.0) -> PPOSettings:
        """The settings when this share of the run, 0..1, is done: what is annealed has changed.

        success: the student's success rate, as far as chance is to be taken out of its actions.
        """
        left = 1.0 - min(progress, 1.0)
        rate = self.final_learning_rate + left * (self.learning_rate - self.final_learning_rate)
        certain = success * max(0.0, 1.0 - 2.0 * left)
        entropy = left * self.entropy_coef + certain * self.final_entropy_coef
        return self.model_copy(update={"learning_rate": rate, "entropy_coef": entropy})

    def in_units_of(self, return_variance: float) -> PPOSettings:
        """The settings of a value loss as it stands, where the returns have this variance."""
        return self.model_copy(update={"value_coef": self.value_coef / return_variance})
