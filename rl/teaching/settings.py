"""The settings of reward shaping, apart from the rest: a configuration is checked first."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ShapingSettings(BaseModel):
    """How much the teacher's advice is worth as reward."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: float = Field(
        0.1,
        gt=0,
        le=100,
        description="Potential of an action that the teacher is sure of, at a weight of 1.",
    )
