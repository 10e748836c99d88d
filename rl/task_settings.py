"""A task's settings, apart from the task itself: a configuration is checked before it is loaded."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

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
