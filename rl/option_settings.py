"""The settings of acting by options, apart from the rest: a configuration is checked first."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class HierarchicalSettings(BaseModel):
    """How a student acts that picks options in place of primitive actions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_option_steps: int = Field(
        10, ge=1, le=10_000, description="Primitive steps after which the student picks anew."
    )
