"""Weaning: how much the teacher's advice weighs, until it is withdrawn for good."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class WeaningSettings(BaseModel):
    """How the teacher is withdrawn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schedule: Literal["linear", "constant", "off"] = Field(
        "linear",
        description="linear falls from start to floor and is then cut; constant never falls; "
        "off asks no teacher at all.",
    )
    start: float = Field(5.0, gt=0, le=1000, description="The teacher's weight at the start.")
    floor: float = Field(0.1, ge=0, le=1000, description="What a linear weight falls to.")
    floor_at: float = Field(
        0.5, gt=0, le=1, description="Share of the run's steps at which the floor is reached."
    )
    removal_at: float = Field(
        0.6, gt=0, le=1, description="Share of the run's steps at which the teacher is removed."
    )

    @model_validator(mode="after")
    def _falling(self) -> Self:
        if self.floor > self.start:
            raise ValueError(f"floor {self.floor} must not exceed start {self.start}")
        if self.floor_at > self.removal_at:
            raise ValueError(
                f"floor_at {self.floor_at} must not exceed removal_at {self.removal_at}"
            )
        return self


def teacher_weight(settings: WeaningSettings, progress: float) -> float:
    """The teacher's weight when a share of the run's steps is done, 0..1. At 0 it is removed.

    `linear` is LLM4Teach's own schedule (Zhou et al. 2024: 10, minus 0.005 an iteration, floor
    0.1, cut at iteration 3,000) with shares of the run in place of iterations.
    """
    if settings.schedule == "off":
        return 0.0
    if settings.schedule == "constant":
        return settings.start
    if progress >= settings.removal_at:
        return 0.0
    fallen = min(progress / settings.floor_at, 1.0)
    return settings.start + fallen * (settings.floor - settings.start)
