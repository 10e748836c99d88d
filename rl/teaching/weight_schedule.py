"""The weight schedule: how much the teacher's advice counts, until it is withdrawn for good.

Two things keep a wrong teacher from doing harm: the teacher check (`rl.teaching.teacher_check`),
and the retention targets of a student where there is no advice (`rl.advice.labels`).
docs/teachers.md has the results of both, and of other means that were tried in their place.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Schedule = Literal["adaptive", "linear", "constant", "off"]


class WeaningSettings(BaseModel):
    """How the teacher is withdrawn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schedule: Schedule = Field(
        "adaptive",
        description="adaptive falls as the student catches up with its teacher, or learns nothing "
        "more from it, and never exceeds linear; linear falls from start to floor and is then "
        "cut; constant never falls; off asks no teacher at all.",
    )
    start: float = Field(5.0, gt=0, le=1000, description="The teacher's weight at the start.")
    floor: float = Field(
        0.1,
        ge=0,
        le=1000,
        description="What a linear weight falls to, and below which adaptive removes the teacher.",
    )
    floor_at: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of the run's steps at which the floor is reached.",
    )
    removal_at: float = Field(
        0.6,
        gt=0,
        le=1,
        description="Share of the run's steps at which the teacher is removed, at the latest.",
    )
    fall: float = Field(
        0.8, gt=0, lt=1, description="adaptive: what the weight is multiplied with as it falls."
    )
    margin: float = Field(
        0.05,
        ge=0,
        le=0.5,
        description="adaptive: the student has caught up when its success is less than this below "
        "the teacher's, and has fallen behind again at twice as much.",
    )
    patience: int = Field(
        8,
        ge=1,
        le=100_000,
        description="adaptive: rollouts without a student that is better, or closer to its "
        "teacher, after which the weight falls too, whatever its teacher does.",
    )
    check_share: float = Field(
        0.1,
        gt=0,
        le=1,
        description="adaptive: steps that the teacher check may take before the first update, as a "
        "share of the run's.",
    )
    check_steps: int = Field(
        50_000,
        ge=1,
        le=2**31,
        description="adaptive: steps that it may take then in any case: some seconds.",
    )
    hold: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Weight of the retention targets, as a share of the teacher's weight: where it "
        "has no advice, the student is held to its own policy while it is advised elsewhere.",
    )
    chance: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the uniform policy in the retention targets while the teacher often "
        "fails: what it does not know, the student still has to find out.",
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

    @property
    def first_weight(self) -> float:
        """The teacher's weight before the first step; 0 where no teacher is asked at all."""
        return 0.0 if self.schedule == "off" else self.start

    @property
    def ends(self) -> bool:
        """Whether a run ends without its teacher."""
        return self.schedule in ("adaptive", "linear")

    def first_check(self, steps: int, longest: int) -> int:
        """Steps that the teacher check may take before the first update of a run of so many.

        longest: steps of the longest episode; there is room for eight of them in any case.
        """
        return max(min(int(self.check_share * steps), self.check_steps), 8 * longest)


_BETTER = 0.02
"""By how much success or agreement must rise to count as better: less is chance."""
GOOD = 0.9
"""The success rate from which on a teacher is good."""
_LEAST_TRUST = 0.04
_RARELY = 0.1
"""The success rate below which success says nothing of a teacher where there is a score, and of a
student that its teacher can still help."""


class WeightSchedule(BaseModel):
    """How far the teacher has been withdrawn.

    factor: the share of the linear weight that adaptive leaves, 0..1. best, closest: the student's
    best training success so far, and its best agreement with the teacher; idle: the rollouts since
    either was reached. lowest_return: of its mean training returns so far, where the task is
    scored.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    factor: float = 1.0
    best: float = 0.0
    closest: float = 0.0
    idle: int = Field(0, ge=0, le=2**53)
    lowest_return: float | None = None

    def weight(
        self, settings: WeaningSettings, progress: float, teacher: float | None = None
    ) -> float:
        """The teacher's weight when a share of the run's steps is done, 0..1. At 0 it is removed.

        teacher: its success rate as in `after`, None where unknown. `adaptive` weighs a teacher
        that often fails less, so that it does not outweigh what its student finds out.

        `linear` is LLM4Teach's own schedule (Zhou et al. 2024: 10, minus 0.005 an iteration, floor
        0.1, cut at iteration 3,000) with shares of the run in place of iterations.
        """
        if not settings.ends:
            return settings.first_weight
        if progress >= settings.removal_at:
            return 0.0
        fallen = min(progress / settings.floor_at, 1.0)
        linear = settings.start + fallen * (settings.floor - settings.start)
        if settings.schedule == "linear":
            return linear
        if self.factor < 1.0 and linear * self.factor < settings.floor:
            return 0.0
        return min(linear, settings.start * _trust(teacher)) * self.factor

    def after(
        self,
        settings: WeaningSettings,
        student: float | None,
        teacher: float | None,
        agreement: float | None,
    ) -> WeightSchedule:
        """The schedule after an iteration.

        student, teacher: their success rates, None where nothing is known yet. The teacher's is
        that of its team (`rl.teaching.teacher_check`). agreement: the share of the advised states
        in which the student's likeliest action is the teacher's; None where nothing is followed.
        The weight falls while the student is as good as its teacher, rises again where it has
        fallen behind, and stays in between: like TGRL (Shenfeld et al. 2023) the student's own
        success against the teacher's decides, and not a clock. A student that gets neither better
        nor closer to its teacher has nothing more to learn from it: then it falls too.
        """
        if student is None:
            return self
        better, closer = student > self.best + _BETTER, (agreement or 0.0) > self.closest + _BETTER
        # Closer to a teacher that often fails is not yet better.
        closer = closer and (teacher is None or teacher >= GOOD)
        idle = 0 if better or closer else self.idle + 1
        factor = self.factor
        caught_up = teacher is not None and student >= teacher - settings.margin
        # A student that hardly ever succeeded has not stopped learning: it has not begun. Where
        # nothing is known of its teacher either, what it imitates is all that tells.
        begun = teacher is None or max(self.best, student) > _RARELY
        if caught_up or (begun and idle >= settings.patience):
            factor *= settings.fall
        elif teacher is not None and student < teacher - 2 * settings.margin:
            factor = min(1.0, factor / settings.fall)
        return self.model_copy(
            update={
                "factor": factor,
                "best": student if better else self.best,
                "closest": agreement if closer else self.closest,
                "idle": idle,
            }
        )

    def scored(self, student_return: float | None) -> WeightSchedule:
        """The schedule that knows of the student's mean training return, None where unknown."""
        if student_return is None:
            return self
        lowest = student_return if self.lowest_return is None else self.lowest_return
        return self.model_copy(update={"lowest_return": min(lowest, student_return)})

    def scored_success(
        self,
        success: float | None,
        student_return: float | None,
        teacher: float | None,
        teacher_return: float | None,
    ) -> tuple[float | None, float | None]:
        """The successes of student and teacher where the return counts too: for `after`.

        Success may be easy where a good score is not. So the student's is worth no more than the
        share of the way from its lowest mean return to the teacher's that it has made, as a share
        of the teacher's success. Where the teacher hardly ever succeeds, as in a task without an
        end to reach, that share alone tells, beside a teacher that has made all of the way.
        """
        lowest = self.lowest_return
        if success is None or student_return is None or lowest is None:
            return success, teacher
        if teacher is None or teacher_return is None:
            return success, teacher
        way = teacher_return - lowest
        made = min(max((student_return - lowest) / way, 0.0), 1.0) if way > 0 else 1.0
        return (made, 1.0) if teacher < _RARELY else (min(success, teacher * made), teacher)


def _trust(teacher: float | None) -> float:
    """The share of the first weight that a teacher of this success rate has: the square of how far
    it is from nothing to a good one. docs/teachers.md has what was measured.
    """
    return 1.0 if teacher is None else max(min(teacher / GOOD, 1.0) ** 2, _LEAST_TRUST)
