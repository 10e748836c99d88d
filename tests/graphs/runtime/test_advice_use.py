"""What a run tells of its teacher's advice: what was followed, what was rejected, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.tiny_runs import TinyRun, make_run
from tutelage.graphs.records.trace.records import TEACHER_REJECTED
from tutelage.graphs.records.trace.search import Wanted
from tutelage.graphs.terminal.run.summary import summary_rows

CORRIDOR = "helpers.toy_task:Corridor"


def made(folder: Path, provider: str, schedule: str = "adaptive", steps: int = 20_480) -> TinyRun:
    return make_run(
        folder,
        env=CORRIDOR,
        provider=provider,
        num_envs=32,
        ppo__num_steps=32,
        steps=steps,
        weaning__schedule=schedule,
        weaning__check_share=1.0,
    )


@pytest.mark.usefixtures("one_thread")
def test_a_teacher_that_is_no_help_is_told_of_with_its_figures(tmp_path: Path) -> None:
    run = made(tmp_path, "adversarial")
    use = run.summary.advice
    assert use is not None
    assert (use.followed_steps, use.verdict) == (0, "no help")
    assert use.evidence is not None
    assert "of the student's own" in use.evidence
    assert sum((row.advised_share or 0.0) > 0 for row in run.rows) == 0
    (shown,) = [text for name, text in summary_rows(run.summary) if name == "advice"]
    assert shown.startswith("none of it was followed; no help: ")
    assert use.evidence in shown
    assert run.summary.outcome is not None
    assert run.summary.outcome.code == "rejected"
    assert run.summary.outcome.sentence == (
        f"Taught by nobody: the teacher check found adversarial to be no help: {use.evidence}."
    )
    with run.trace() as trace:
        (event,) = [e for e in trace.events() if e.kind == TEACHER_REJECTED]
        failures, _ = trace.find_calls(Wanted(), failures_only=True)
        (told,) = [row for row in failures if row.status == TEACHER_REJECTED]
        calls, _ = trace.find_calls(Wanted())
    assert told.error == event.message
    assert "episodes succeeded" in event.message
    assert (told.situation_id, told.number, told.text) == (None, None, None)
    assert all(call.iteration <= event.iteration for call in calls), "nobody asks it any more"


@pytest.mark.usefixtures("one_thread")
def test_what_was_followed_is_counted(tmp_path: Path) -> None:
    run = made(tmp_path, "offline")
    use = run.summary.advice
    assert use is not None
    assert (use.verdict, use.rejected) == ("helps", 0)
    shares = [row.advised_share or 0.0 for row in run.rows]
    assert use.followed_steps == round(sum(share * 1024 for share in shares)) > 0


@pytest.mark.usefixtures("one_thread")
def test_where_nothing_is_checked_nothing_is_said_of_it(tmp_path: Path) -> None:
    linear = made(tmp_path / "linear", "offline", "linear", 4096)
    assert linear.summary.advice is not None
    assert linear.summary.advice.verdict == "unchecked"
    assert linear.summary.advice.evidence is None
    assert linear.summary.advice.followed_steps > 0
    alone = make_run(tmp_path / "alone", env=CORRIDOR, graph="student_only")
    assert alone.summary.advice is None
