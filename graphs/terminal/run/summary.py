"""The end of a run at the terminal: a table of its figures, what happened, what to type next."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from tutelage.graphs.records.shapes import NO_TEACHER, Summary
from tutelage.graphs.terminal.common.text import percent, safe
from tutelage.graphs.terminal.run.next_steps import next_steps, print_next
from tutelage.rl.rollouts.results import StudentResult, TeacherResult


def print_summary(
    out: Console, run_dir: str, summary: Summary, arguments: Mapping[str, str] | None = None
) -> None:
    """The summary of a run, what happened in a sentence, and the commands that look further.

    arguments: those of its task, by dotted key, where they are to be shown.
    """
    table = Table(title=safe(f"{summary.env}: {summary.status}"), show_header=False)
    table.add_column(style="dim")
    table.add_column()
    for name, value in [*(arguments or {}).items(), *summary_rows(summary)]:
        table.add_row(safe(name), safe(value))
    out.print(table)
    if summary.outcome is not None:
        # Where nobody reads it on a screen, it is one line, to be searched for.
        out.print(safe(summary.outcome.sentence, "bold"), soft_wrap=not out.is_terminal)
    print_next(out, next_steps(run_dir, summary))


def summary_rows(summary: Summary) -> list[tuple[str, str]]:
    """The figures of a run that ended, by name."""
    phases = {
        name: seconds for name, seconds in summary.time.model_dump().items() if seconds >= 0.05
    }
    return [
        *_outcome(summary),
        ("environment steps", _steps(summary)),
        ("teacher", summary.provider),
        *([] if summary.provider == NO_TEACHER else _use_of_teacher(summary)),
        ("wall time", f"{summary.wall_s:.1f} s, {summary.steps_per_s:,.0f} steps/s"),
        (
            "of which",
            ", ".join(f"{name.removesuffix('_s')} {s:.1f} s" for name, s in phases.items()),
        ),
    ]


def _outcome(summary: Summary) -> list[tuple[str, str]]:
    """How the student ended, or the teacher that acted in its place."""
    removed = summary.teacher_removed_at_step
    if summary.teacher is not None and summary.student is None:
        return [
            ("teacher alone, held out", solved(summary.teacher)),
            ("episode return, length", return_and_length(summary.teacher)),
        ]
    rows = [
        *student_rows(summary.student),
        ("95 % first reached at", reached_95(summary)),
    ]
    if summary.provider != NO_TEACHER:
        rows.append(
            ("teacher removed at", "not removed" if removed is None else f"step {removed:,}")
        )
        rows += _use_of_advice(summary)
    return rows


def _use_of_advice(summary: Summary) -> list[tuple[str, str]]:
    """What became of the advice, and why."""
    use = summary.advice
    if use is None:
        return []
    followed = f"followed in {use.followed_steps:,} of {summary.env_steps:,} environment steps"
    if not use.followed_steps:
        followed = "none of it was followed"
    said = [followed]
    if use.covered is not None and use.covered < 1.0:
        said.append(f"the answers cover {percent(use.covered)} of the student's visits")
    if use.verdict in ("no help", "undecided") and use.evidence is not None:
        said.append(f"{use.verdict}: {use.evidence}")
    if use.rejected:
        said.append(f"rejected in {use.rejected:,} situations")
    return [("advice", "; ".join(said))]


def _steps(summary: Summary) -> str:
    """What the run took of its environment, the teacher check included."""
    if not summary.trial_steps:
        return f"{summary.env_steps:,}"
    return (
        f"{summary.total_steps:,} in total: {summary.env_steps:,} of the student, "
        f"{summary.trial_steps:,} of the teacher check"
    )


def reached_95(summary: Summary) -> str:
    """When the student first succeeded in 95 % of held-out episodes, as far as that was tested."""
    reached, total = summary.steps_to_95, summary.total_steps_to_95
    if reached is not None:
        apart = "" if total is None or total == reached else f", {total:,} in total"
        return f"step {reached:,}{apart}"
    untold = {
        None: "not known",
        0: "not known: no evaluation during training",
        1: "not known: one evaluation during training, and it takes two in a row",
    }
    return untold.get(summary.evaluations, "not reached")


def _use_of_teacher(summary: Summary) -> list[tuple[str, str]]:
    """What was asked, and what it cost."""
    llm = summary.llm
    return [
        (
            "asked",
            f"{llm.situations:,} situations in {llm.calls:,} calls, {llm.cache_hits:,} from the "
            f"cache; {llm.failures:,} failed, {llm.fallbacks:,} settled by the fallback",
        ),
        ("tokens", f"{llm.prompt_tokens:,} in, {llm.completion_tokens:,} out{_cost(llm.cost_usd)}"),
    ]


def student_rows(student: StudentResult | None) -> list[tuple[str, str]]:
    """How a student does alone, as names and figures."""
    if student is None:
        return [("student", "not evaluated: the run was interrupted")]
    return [
        ("student alone, held out", solved(student)),
        ("with argmax actions", percent(student.argmax_success_rate)),
        ("episode return, length", return_and_length(student)),
    ]


def solved(result: StudentResult | TeacherResult) -> str:
    """How many episodes succeeded, and how sure that is."""
    low, high = result.ci95
    return (
        f"{percent(result.success_rate)} of {result.episodes:,} episodes "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f})"
    )


def return_and_length(result: StudentResult | TeacherResult) -> str:
    """The means over the episodes."""
    return f"{result.mean_return:.3f}, {result.mean_length:.1f} steps"


def _cost(cost_usd: float | None) -> str:
    return "; cost not known" if cost_usd is None else f"; {cost_usd:.4f} USD"
