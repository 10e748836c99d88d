"""PPO's settings, apart from torch: a configuration is checked before it is loaded."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PPOSettings(BaseModel):
    """How the student learns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_steps: int = Field(32, ge=1, le=65_536, description="Steps of each environment a rollout.")
    epochs: int = Field(4, ge=1, le=100, description="Passes over each rollout without advice.")
    advised_epochs: int = Field(
        6, ge=1, le=100, description="Passes over each rollout while the teacher's advice counts."
    )
    minibatch_size: int = Field(512, ge=1, description="Steps in each gradient step.")
    learning_rate: float = Field(2e-3, gt=0, lt=1, description="Adam's step size at the start.")
    final_learning_rate: float = Field(
        2e-4, gt=0, lt=1, description="Adam's step size at the end; linear in between."
    )
    gamma: float = Field(0.97, ge=0, le=1, description="Discount of a step.")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="GAE's trade of bias for variance.")
    clip_range: float = Field(0.2, gt=0, lt=1, description="How far the policy ratio counts.")
    target_kl: float = Field(
        0.03,
        gt=0,
        description="Where the policy has moved this far from the rollout's (KL divergence, in its "
        "last minibatch), no further pass follows; only without advice, which moves it further.",
    )
    value_coef: float = Field(0.5, ge=0, description="Weight of the value loss.")
    entropy_coef: float = Field(
        0.003, ge=0, description="Weight of the entropy bonus at the start; linear to 0 at the end."
    )
    max_grad_norm: float = Field(0.5, gt=0, description="Gradients are scaled down to this norm.")

    def at(self, progress: float) -> PPOSettings:
        """The settings in force when a share of the run is done, 0..1."""
        left = 1.0 - min(progress, 1.0)
        fallen = self.final_learning_rate + left * (self.learning_rate - self.final_learning_rate)
        return self.model_copy(
            update={"learning_rate": fallen, "entropy_coef": left * self.entropy_coef}
        )
