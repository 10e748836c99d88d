"""The policy's settings; this file imports no torch, so that configurations are checked quickly."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SMALLEST_CONV: Final = 5
"""Side of the smallest picture that fits two 3x3 convolutions without padding."""


class StudentSettings(BaseModel):
    """What the student observes, and the sizes of its network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sees: Literal["map", "view"] = Field(
        "map",
        description="What the student observes of a grid world: a crop of the remembered map, or "
        "the bare view and the direction, from which it must remember for itself.",
    )
    memory: Literal["none", "gru"] = Field(
        "none",
        description="Recurrent memory: none, or a GRU, which is given the previous action too.",
    )
    crop: int = Field(7, ge=3, le=41, description="Side of the map crop, in cells; odd.")
    body: Literal["dense", "conv"] = Field(
        "dense", description="Encoder of the picture: one dense layer, or two 3x3 convolutions."
    )
    embedding: int = Field(
        8, ge=1, le=64, description="Embedding size of a category code before the convolutions."
    )
    hidden: int = Field(128, ge=8, le=2048, description="Width of the hidden layers.")

    @property
    def map_crop(self) -> int | None:
        """Side of the map crop; None where the student sees the bare view."""
        return self.crop if self.sees == "map" else None

    @field_validator("crop")
    @classmethod
    def _has_a_middle(cls, crop: int) -> int:
        if crop % 2 == 0:
            raise ValueError("must be odd, so that the agent stands in the middle")
        return crop

    @model_validator(mode="after")
    def _fits_the_body(self) -> Self:
        if self.body == "conv" and self.sees == "map" and self.crop < SMALLEST_CONV:
            raise ValueError(
                f"crop = {self.crop} is too small for the conv body;"
                f" allowed: {SMALLEST_CONV} and more, or the dense body"
            )
        return self
