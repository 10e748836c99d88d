"""The student's settings, apart from torch: a configuration is checked before it is loaded."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class StudentSettings(BaseModel):
    """The student's eyes and its network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    crop: int = Field(9, ge=3, le=41, description="Side of the map crop it sees, in cells; odd.")
    body: Literal["dense", "conv"] = Field(
        "conv", description="How the crop is read: one dense layer, or two 3x3 convolutions."
    )
    embedding: int = Field(8, ge=1, le=64, description="Numbers for each category code.")
    hidden: int = Field(128, ge=8, le=2048, description="Width of the hidden layers.")
