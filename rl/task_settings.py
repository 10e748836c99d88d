"""A task's settings, apart from the task itself: a configuration is checked before it is loaded."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TaskSettings(BaseModel):
    """What the teacher is told of a grid task's world."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lava_known: bool = Field(
        True,
        description="Whether teacher and options know of lava. False takes it for floor: no "
        "situation and no prompt names it, and options walk into it; the student still sees it.",
    )
