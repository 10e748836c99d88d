"""The shapes of what a run folder holds: a row of metrics.jsonl, and summary.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from tutelage.graphs.records import versions
from tutelage.rl.rollouts.results import Count, Shape, StudentResult, TeacherResult

NO_TEACHER: Final = "none"
"""The provider of a run in which no teacher was asked."""


def _finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
_Measured = Annotated[float | None, AfterValidator(_finite_or_none)]
"""A number, or null where there is none yet; NaN and infinity become null."""


class MetricsRow(Shape):
    """One iteration's row of metrics.jsonl. The eval_* keys are there after an evaluation only.

    teacher_success, trial_steps, doubted: of the teacher check (`rl.teaching.teacher_check`): its
    success rate so far, the environment steps that it took, and how many situations' advice is
    rejected.
    """

    iteration: Count
    env_steps: Count
    wall_s: Seconds
    train_success: _Measured = None
    train_return: _Measured = None
    teacher_weight: _Measured = None
    teacher_success: _Measured = None
    trial_steps: Count = 0
    doubted: Count = 0
    advised_share: _Measured = None
    agreement: _Measured = None
    policy_loss: _Measured = None
    value_loss: _Measured = None
    entropy: _Measured = None
    approx_kl: _Measured = None
    clip_fraction: _Measured = None
    explained_variance: _Measured = None
    llm_calls: Count
    cache_hits: Count
    eval_success: _Measured = None
    eval_return: _Measured = None
    eval_length: _Measured = None

    @property
    def total_steps(self) -> int:
        """Environment steps up to here, those of the teacher check included."""
        return self.env_steps + self.trial_steps

    @model_serializer(mode="wrap")
    def _leave_out_what_was_not_evaluated(
        self, serialize: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        row = serialize(self)
        given = self.model_fields_set
        return {k: v for k, v in row.items() if k in given or not k.startswith("eval_")}


class TimeShares(Shape):
    """Seconds of each phase, as `graphs.runtime.timers.PhaseTimers.seconds` gives them."""

    import_s: Seconds
    collect_s: Seconds
    advice_s: Seconds
    update_s: Seconds
    evaluate_s: Seconds
    graph_s: Seconds
    record_s: Seconds


class LlmUse(Shape):
    """What the teacher cost. cost_usd is None where no price is known."""

    calls: Count
    situations: Count
    cache_hits: Count
    prompt_tokens: Count
    completion_tokens: Count
    cost_usd: Seconds | None
    failures: Count
    fallbacks: Count


class AdviceUse(Shape):
    """What became of the teacher's advice.

    followed_steps: the environment steps that were learned from with advice. verdict: what the
    teacher check found (`rl.teaching.teacher_check`): that the teacher helps, that it is no help,
    or neither yet; `unchecked` under the schedules that check nothing. evidence: what team and
    student did, in words. rejected: how many situations' advice was rejected for itself. covered:
    the share of the student's steps, while it was taught, in situations with an answer, late ones
    included; None in a summary of an older program, and before the first step.
    """

    followed_steps: Count
    verdict: Literal["helps", "no help", "undecided", "unchecked"]
    evidence: str | None
    rejected: Count
    covered: Annotated[float, Field(ge=0.0, le=1.0)] | None = None


OutcomeCode = Literal[
    "taught",
    "taught_to_the_end",
    "stand_ins",
    "rejected",
    "withheld",
    "unused",
    "no_answer",
    "no_teacher",
    "teacher_alone",
    "stopped",
    "refused",
    "failed",
]
"""taught: the teacher left before the end. taught_to_the_end: it did not. stand_ins: it never
answered, and the fallback chain taught. rejected: the teacher check found it to be no help.
withheld: the check did not see its advice help. unused: nothing of it was followed for another
reason. no_answer: there was no usable answer in all the run, or none in time. no_teacher: none was
to be asked. teacher_alone: no student was there. stopped: somebody asked the run to stop. refused:
the provider refused for good before it had answered. failed: another error that people can mend."""


class Outcome(Shape):
    """What happened in a run, for programs and for people. sentence: one, in plain words."""

    code: OutcomeCode
    sentence: str


class Summary(Shape):
    """How a run ended: summary.json.

    trial_steps: environment steps of the teacher check, which are not among env_steps; total_steps:
    both together, which is what the run took of its environment. evaluations: how often the student
    was tested during training, None where that is not known. steps_to_95: environment steps at the
    first of two evaluations in a row at or above 0.95; total_steps_to_95: with those that the
    teacher check had taken by then. advice: None where nobody taught, or where the teacher acted
    itself. outcome: None in a summary of an older program.
    """

    schema_version: Literal[1] = versions.SUMMARY
    graph: str
    env: str
    provider: str
    seed: int
    env_steps: Count
    wall_s: Seconds
    steps_per_s: Seconds
    status: Literal["finished", "interrupted"]
    student: StudentResult | None
    teacher: TeacherResult | None
    teacher_removed_at_step: Count | None
    steps_to_95: Count | None
    trial_steps: Count = 0
    total_steps: Count = 0
    total_steps_to_95: Count | None = None
    evaluations: Count | None = None
    advice: AdviceUse | None = None
    outcome: Outcome | None = None
    time: TimeShares
    llm: LlmUse

    @model_validator(mode="before")
    @classmethod
    def _add_up(cls, values: Any) -> Any:
        """The total follows from its parts; files of before it was written have none."""
        if not isinstance(values, Mapping):
            return values
        parts = (values.get("env_steps"), values.get("trial_steps", 0))
        counted = all(isinstance(steps, int | float) for steps in parts)
        return {**values, "total_steps": sum(parts)} if counted else values
