"""What happened in a run, in one plain sentence and a code, from its figures and its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tutelage.agents.client.cures import cause
from tutelage.agents.client.errors import FailureName
from tutelage.agents.common.redact import redact
from tutelage.agents.providers.catalogue import is_embedded
from tutelage.agents.teacher.faults import ProviderRefusedError
from tutelage.graphs.records.shapes import NO_TEACHER, AdviceUse, Outcome, OutcomeCode, Summary
from tutelage.graphs.state import Phase
from tutelage.rl.errors import UserError, one_line


@dataclass(frozen=True)
class Circumstances:
    """What the figures of a summary do not tell.

    steps: that the run was to take. phase: in which it ended. learns: whether a student was there.
    scored: whether returns tell more than successes do (`rl.tasks.base.Task`). answers: situations
    on which the teacher gave advice, the cache included; stand_ins: those that the fallback chain
    settled; late: whether advice has come and none of it before the end. failures: of the teacher,
    by name. awaited: whether answers were still awaited. fallback: who was to stand in. error: what
    ended the run before its time; None where nothing did, or it was asked to stop.
    """

    steps: int
    phase: Phase
    learns: bool
    scored: bool
    answers: int = 0
    stand_ins: int = 0
    late: bool = False
    failures: Mapping[FailureName, int] | None = None
    awaited: bool = False
    fallback: tuple[str, ...] = ()
    error: BaseException | None = None


def outcome_of(summary: Summary, run: Circumstances) -> Outcome:
    """The outcome of a run with that summary, whose own `outcome` is not looked at."""
    if summary.status == "interrupted":
        return _cut_short(summary, run)
    if summary.provider == NO_TEACHER:
        return Outcome(
            code="no_teacher",
            sentence="The student learned from reward alone, for no teacher was asked; "
            f"it {_does(summary, run)}.",
        )
    if not (run.answers or run.stand_ins):
        return Outcome(code="no_answer", sentence=_nobody(_unanswered(summary, run)))
    if summary.advice is None:
        who = _taught_by(summary, run)
        return Outcome(
            code="teacher_alone",
            sentence=f"The teacher itself acted ({who}); it {_does(summary, run)}.",
        )
    return _taught(summary, run, summary.advice)


def _taught(summary: Summary, run: Circumstances, use: AdviceUse) -> Outcome:
    """A student that learned to the end, with a teacher that had something to say."""
    who, removed, steps = _taught_by(summary, run), summary.teacher_removed_at_step, run.steps
    if use.verdict == "no help":
        sentence = _nobody(f"the teacher check found {who} to be no help: {use.evidence}")
        if use.followed_steps:
            sentence = (
                f"The student was taught by {who} in {use.followed_steps:,} steps, until the "
                f"teacher check found that to be no help: {use.evidence}."
            )
        return Outcome(code="rejected", sentence=sentence)
    if not use.followed_steps:
        return _not_followed(use, run, who)
    if removed is None or removed >= summary.env_steps:
        code: OutcomeCode = "taught_to_the_end"
        when = f"to the last of {summary.env_steps:,} steps"
    else:
        code = "taught"
        when = f"until step {removed:,} of {max(steps, summary.env_steps):,}, when the teacher left"
    return Outcome(
        code=code if run.answers else "stand_ins",
        sentence=f"The student was taught by {who} {when}{_rejected(use)}; "
        f"alone, it {_does(summary, run)}.",
    )


def _not_followed(use: AdviceUse, run: Circumstances, who: str) -> Outcome:
    """A teacher that had something to say, of which nothing was followed."""
    if not run.late and use.verdict == "undecided" and use.evidence is not None:
        why = f"the teacher check did not see the advice of {who} help: {use.evidence}"
        return Outcome(code="withheld", sentence=_nobody(why))
    if run.late:
        why = f"what {who} said came too late to be learned from"
        return Outcome(code="no_answer", sentence=_nobody(why))
    why = f"the advice of {who} was followed in no step{_rejected(use)}"
    return Outcome(code="unused", sentence=_nobody(why))


def _cut_short(summary: Summary, run: Circumstances) -> Outcome:
    """A run that did not come to its end."""
    place = f"at step {summary.env_steps:,}"
    if run.learns:
        place += f" of {run.steps:,}"
    if isinstance(run.error, ProviderRefusedError):
        why = f"{_why(summary, run)}, so the run ended {place}"
        return Outcome(code="refused", sentence=_nobody(why))
    if run.error is not None:
        kind = "" if isinstance(run.error, UserError) else f"{type(run.error).__name__}: "
        said = one_line(redact(f"{kind}{run.error}")).rstrip(".")
        return Outcome(code="failed", sentence=f"Ended by an error {place}: {said}.")
    stopped = f"Stopped on request {place}{_meanwhile(summary, run)}."
    return Outcome(code="stopped", sentence=stopped)


def _meanwhile(summary: Summary, run: Circumstances) -> str:
    """What was going on when a run was stopped."""
    if run.phase == "finished":
        return ", before its student was tested"
    if not run.learns or summary.provider == NO_TEACHER:
        return ""
    if run.phase == "alone":
        return f"; the teacher had left at step {summary.teacher_removed_at_step or 0:,}"
    if not (run.answers or run.stand_ins):
        return f"; {summary.provider} had given no answer yet"
    return f", taught by {_taught_by(summary, run)}"


def _nobody(why: str) -> str:
    return f"Taught by nobody: {why}."


def _unanswered(summary: Summary, run: Circumstances) -> str:
    asked = summary.llm.situations
    return f"{_why(summary, run)}; {summary.provider} answered 0 of {asked:,} questions"


def _why(summary: Summary, run: Circumstances) -> str:
    """Why the teacher gave no answer, the most frequent cause first."""
    failures = run.failures or {}
    names = sorted(failures, key=lambda name: (-failures[name], name))
    if names:
        return " and ".join(_cause(summary.provider, name) for name in names)
    if run.awaited:
        return "no answer had come by the end of the run"
    return "nothing was on offer to choose from" if summary.llm.situations else "nobody was asked"


def _cause(provider: str, failure: FailureName) -> str:
    if failure == "unusable_answer" and is_embedded(provider):
        return "the script had nothing to say"
    return cause(failure)


def _taught_by(summary: Summary, run: Circumstances) -> str:
    """Who gave the advice: those who stood in, where the teacher itself never answered."""
    if run.answers:
        return summary.provider
    return f"{' or '.join(run.fallback)} in the place of {summary.provider} ({_why(summary, run)})"


def _rejected(use: AdviceUse) -> str:
    """How much of the advice the teacher check rejected, as a clause; empty for none of it."""
    if not use.rejected:
        return ""
    many = "1 situation" if use.rejected == 1 else f"{use.rejected:,} situations"
    return f" (the teacher check rejected the advice in {many})"


def _does(summary: Summary, run: Circumstances) -> str:
    """How student or teacher did on held-out episodes, with `it` as the subject."""
    result = summary.student or summary.teacher
    assert result is not None, "the run has finished"
    rate = f"succeeds in {100 * result.success_rate:.1f} % of {result.episodes:,} held-out episodes"
    return f"{rate}, at a mean return of {result.mean_return:.3g}" if run.scored else rate
