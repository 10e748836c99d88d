"""The settings of evaluation, apart from torch: a configuration is checked before it is loaded."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EvaluationSettings(BaseModel):
    """When the student is tested alone, and on how many episodes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every: int = Field(
        10_000, ge=1, le=2**53, description="Environment steps between two evaluations."
    )
    episodes: int = Field(100, ge=1, le=100_000, description="Episodes of each of them.")
    final_episodes: int = Field(
        500, ge=1, le=1_000_000, description="Episodes of the last one, sampled and argmax alike."
    )
