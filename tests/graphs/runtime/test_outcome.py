"""What happened in a run, in a sentence: from figures made up, and from runs that were made."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event as StopSignal
from typing import Any, get_args

import pytest

from helpers.finished_runs import finished_run, summary_of
from helpers.tiny_runs import NEVER, ROLLOUT, make_run
from tutelage.agents.teacher.faults import ProviderRefusedError
from tutelage.graphs.config.events import Event, IterationDone
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.shapes import NO_TEACHER, OutcomeCode, Summary
from tutelage.graphs.runtime.conditions import RunStoppedError
from tutelage.graphs.runtime.outcome import Circumstances, outcome_of
from tutelage.rl.errors import UserError

CORRIDOR = "helpers.toy_task:Corridor"
EVIDENCE = "with the student to stand in for it, 0 of 96 episodes succeeded; of its own, 9"
ADVICE: dict[str, Any] = {
    "followed_steps": 500,
    "verdict": "helps",
    "evidence": EVIDENCE,
    "rejected": 0,
}
ASKED: dict[str, Any] = {"answers": 8}
NOBODY: dict[str, Any] = {"answers": 0, "failures": {"unusable_answer": 8}}
REFUSED: dict[str, Any] = {"answers": 0, "failures": {"refused": 5}}
DOES = "succeeds in 90.0 % of 1,000 held-out episodes"


def summary(**fields: Any) -> Summary:
    advice = fields.pop("advice", {})
    given = {"advice": None if advice is None else {**ADVICE, **advice}, **fields}
    config = {"graph": "teacher_student", "env": "SimpleDoorKey", "seed": 0}
    return summary_of(config, given.pop("success", 0.9), **given)


def circumstances(**given: Any) -> Circumstances:
    return Circumstances(
        **{"steps": 600, "phase": "finished", "learns": True, "scored": False, **given}
    )


CASES: list[tuple[OutcomeCode, dict[str, Any], dict[str, Any], str]] = [
    (
        "taught",
        {},
        ASKED,
        f"The student was taught by offline until step 300 of 600, when the teacher left; alone, "
        f"it {DOES}.",
    ),
    (
        "taught",
        {"advice": {"rejected": 2}},
        ASKED,
        "when the teacher left (the teacher check rejected the advice in 2 situations); alone",
    ),
    (
        "taught",
        {"mean_return": 187.25},
        {**ASKED, "scored": True},
        f"{DOES}, at a mean return of 187.",
    ),
    (
        "taught_to_the_end",
        {"teacher_removed_at_step": 600},
        ASKED,
        f"The student was taught by offline to the last of 600 steps; alone, it {DOES}.",
    ),
    ("taught_to_the_end", {"teacher_removed_at_step": None}, ASKED, "to the last of 600 steps"),
    (
        "stand_ins",
        {"provider": "openai:m"},
        {**REFUSED, "stand_ins": 5, "fallback": ("openai:b", "offline")},
        "was taught by openai:b or offline in the place of openai:m (the key was refused) until",
    ),
    (
        "rejected",
        {"advice": {"verdict": "no help", "followed_steps": 0}},
        ASKED,
        f"Taught by nobody: the teacher check found offline to be no help: {EVIDENCE}.",
    ),
    (
        "rejected",
        {"advice": {"verdict": "no help"}},
        ASKED,
        "The student was taught by offline in 500 steps, until the teacher check found that to be "
        f"no help: {EVIDENCE}.",
    ),
    (
        "withheld",
        {"advice": {"verdict": "undecided", "followed_steps": 0}},
        ASKED,
        f"Taught by nobody: the teacher check did not see the advice of offline help: {EVIDENCE}.",
    ),
    (
        "no_answer",
        {"advice": {"verdict": "unchecked", "followed_steps": 0, "evidence": None}},
        {**ASKED, "late": True},
        "Taught by nobody: what offline said came too late to be learned from.",
    ),
    (
        "unused",
        {"advice": {"verdict": "unchecked", "followed_steps": 0, "evidence": None}},
        ASKED,
        "Taught by nobody: the advice of offline was followed in no step.",
    ),
    (
        "no_answer",
        {},
        NOBODY,
        "Taught by nobody: the script had nothing to say; offline answered 0 of 8 questions.",
    ),
    (
        "no_answer",
        {"provider": "replay:answers.jsonl"},
        {"failures": {"not_recorded": 8}},
        "Taught by nobody: the recording holds no answer to what came up; replay:answers.jsonl "
        "answered 0 of 8 questions.",
    ),
    (
        "no_answer",
        {"provider": "openai:m"},
        {"failures": {"timed_out": 2, "rate_limited": 6}},
        "the server was asked too often and the server gave no answer in time; openai:m",
    ),
    ("no_answer", {}, {"awaited": True}, "no answer had come by the end of the run;"),
    ("no_answer", {}, {}, "nothing was on offer to choose from;"),
    (
        "no_teacher",
        {"provider": NO_TEACHER, "advice": None},
        {},
        "The student learned from reward alone, for no teacher was asked; "
        "it succeeds in 90.0 % of 1,000 held-out episodes.",
    ),
    (
        "stopped",
        {"success": None},
        {**ASKED, "phase": "teaching", "steps": 5000},
        "Stopped on request at step 600 of 5,000, taught by offline.",
    ),
    (
        "stopped",
        {"success": None},
        {**NOBODY, "phase": "teaching"},
        "Stopped on request at step 600 of 600; offline had given no answer yet.",
    ),
    (
        "stopped",
        {"success": None},
        {**ASKED, "phase": "alone", "steps": 5000},
        "Stopped on request at step 600 of 5,000; the teacher had left at step 300.",
    ),
    (
        "stopped",
        {"success": None},
        ASKED,
        "Stopped on request at step 600 of 600, before its student was tested.",
    ),
    (
        "refused",
        {"success": None, "provider": "openai:m"},
        {**REFUSED, "error": ProviderRefusedError("no"), "phase": "teaching"},
        "Taught by nobody: the key was refused, so the run ended at step 600 of 600.",
    ),
    (
        "failed",
        {"success": None},
        {**ASKED, "error": UserError("the disk\nis full."), "phase": "teaching"},
        "Ended by an error at step 600 of 600: the disk is full.",
    ),
    (
        "failed",
        {"success": None},
        {**ASKED, "error": KeyError("x"), "phase": "teaching"},
        "Ended by an error at step 600 of 600: KeyError: 'x'.",
    ),
]


@pytest.mark.parametrize(("code", "figures", "run", "sentence"), CASES)
def test_each_outcome_has_its_code_and_sentence(
    code: OutcomeCode, figures: dict[str, Any], run: dict[str, Any], sentence: str
) -> None:
    found = outcome_of(summary(**figures), circumstances(**run))
    assert found.code == code
    assert sentence in found.sentence
    assert found.sentence.endswith(".")
    assert "\n" not in found.sentence


def test_all_but_the_teacher_alone_are_among_these() -> None:
    assert {case[0] for case in CASES} | {"teacher_alone"} == set(get_args(OutcomeCode))


def test_an_error_tells_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "opensesame-0123456789")
    run = circumstances(error=UserError("cannot open opensesame-0123456789"))
    assert "opensesame" not in outcome_of(summary(success=None), run).sentence


def test_a_summary_of_an_older_program_has_none(tmp_path: Path) -> None:
    folder = RunFolder.open(finished_run(tmp_path / "old"))
    written = json.loads(folder.summary.read_text("utf-8"))
    del written["outcome"]
    folder.summary.write_text(json.dumps(written), "utf-8")
    found = folder.read_summary()
    assert found is not None
    assert found.outcome is None


@pytest.mark.usefixtures("one_thread")
class TestOfRuns:
    def test_a_teacher_that_left(self, tmp_path: Path) -> None:
        run = make_run(tmp_path, env=CORRIDOR, weaning__schedule="linear", steps=8 * ROLLOUT)
        found, removed = run.summary.outcome, run.summary.teacher_removed_at_step
        assert found is not None
        assert removed is not None
        assert found.code == "taught"
        assert f"until step {removed:,} of {8 * ROLLOUT:,}, when the teacher left" in found.sentence

    def test_a_script_that_says_nothing(self, tmp_path: Path) -> None:
        run = make_run(tmp_path, env=CORRIDOR, provider="forgetful:1")
        assert run.summary.status == "finished"
        assert run.summary.outcome is not None
        assert run.summary.outcome.code == "no_answer"
        assert "the script had nothing to say" in run.summary.outcome.sentence

    def test_a_budget_that_allows_nothing(self, tmp_path: Path) -> None:
        run = make_run(tmp_path, env=CORRIDOR, teacher__budget_calls=0)
        assert run.summary.outcome is not None
        assert run.summary.outcome.code == "no_answer"
        assert "the budget was spent" in run.summary.outcome.sentence

    def test_a_teacher_that_acts_itself(self, tmp_path: Path) -> None:
        left_alone: dict[str, Any] = dict.fromkeys(("steps", "num_envs", "ppo__num_steps"))
        run = make_run(tmp_path, env=CORRIDOR, graph="teacher_only", **left_alone)
        assert run.summary.outcome is not None
        assert run.summary.outcome.code == "teacher_alone"
        assert "The teacher itself acted (offline); it succeeds in" in run.summary.outcome.sentence

    def test_a_run_that_was_stopped_while_it_was_taught(self, tmp_path: Path) -> None:
        stop = StopSignal()

        def watch(event: Event) -> None:
            if isinstance(event, IterationDone):
                stop.set()

        run = make_run(tmp_path, watch, stop, env=CORRIDOR, steps=NEVER)
        assert run.summary.outcome is not None
        assert run.summary.outcome.code == "stopped"
        assert run.summary.outcome.sentence == (
            f"Stopped on request at step {run.summary.env_steps:,} of {NEVER:,}, taught by offline."
        )

    def test_a_task_that_fails_at_the_last_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The summary is written all the same, and does not say that anybody asked for it."""

        def broken(*_: Any, **__: Any) -> None:
            raise UserError("the task is broken")

        monkeypatch.setattr("tutelage.graphs.runtime.driving.evaluate_both_ways", broken)
        with pytest.raises(RunStoppedError, match="the task is broken"):
            make_run(tmp_path, env=CORRIDOR)
        found = RunFolder.open(tmp_path / "run").read_summary()
        assert found is not None
        assert found.outcome is not None
        assert found.outcome.code == "failed"
        assert found.outcome.sentence.endswith(": the task is broken.")
