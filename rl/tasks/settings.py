"""The settings of acting by options, apart from the rest: a configuration is checked first."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class HierarchicalSettings(BaseModel):
    """How a student acts that picks options in place of primitive actions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_option_steps: int = Field(
        10, ge=1, le=10_000, description="Primitive steps after which the student picks anew."
    )


Engine = Literal["batched", "gymnasium"]


class TaskSettings(BaseModel):
    """What plays a grid task's world, and what the teacher is told of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lava_known: bool = Field(
        True,
        description="Whether teacher and options know of lava. False takes it for floor: no "
        "situation and no prompt names it, and options walk into it; the student still sees it.",
    )
    engine: Engine | None = Field(
        None,
        description="What plays the levels: batched, all environments in compiled code at once, or "
        "gymnasium, Farama's MiniGrid one by one; none takes batched where it knows the level. "
        "Both play the same episodes.",
    )
