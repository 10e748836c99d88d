"""Results of a student or a teacher on held-out episodes, as summaries and commands show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from tutelage.rl.rollouts.statistics import wilson_interval

Count = Annotated[int, Field(ge=0)]
_Rate = Annotated[float, Field(ge=0.0, le=1.0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Shape(BaseModel):
    """The base of what is written as JSON: unchangeable, without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _EpisodeResults(Shape):
    success_rate: _Rate
    ci95: tuple[_Rate, _Rate]
    episodes: Count
    mean_return: Finite
    mean_length: Finite


class TeacherResult(_EpisodeResults):
    """The success of the teacher's own plans, carried out by the options."""


class StudentResult(_EpisodeResults):
    """The student alone: its results with sampled actions, and its argmax success.

    argmax_success_rate is None where only sampled actions were evaluated.
    """

    argmax_success_rate: _Rate | None


@dataclass(frozen=True)
class Evaluation:
    """Outcomes of a number of episodes."""

    successes: int
    episodes: int
    mean_return: float
    mean_length: float

    @property
    def success_rate(self) -> float:
        """Share of the episodes that succeeded."""
        return self.successes / self.episodes

    @property
    def ci95(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the success rate."""
        return wilson_interval(self.successes, self.episodes)

    def figures(self) -> dict[str, Any]:
        """The fields of `TeacherResult` by name."""
        return {name: getattr(self, name) for name in TeacherResult.model_fields}

    def of_teacher(self) -> TeacherResult:
        """The result of a teacher that acted alone."""
        return TeacherResult(**self.figures())
