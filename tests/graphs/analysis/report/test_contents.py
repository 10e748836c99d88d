"""What a report says of a run: the outcome in a sentence, the order, the command, what is amiss."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers.finished_runs import ITERATIONS, STEPS, finished_run, row_of
from helpers.reported_runs import traced_run
from tutelage.agents.common.files import RunFolderError
from tutelage.graphs.analysis.report.contents import RunContents, read_run
from tutelage.graphs.config.config import RunConfig, flat
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.shapes import NO_TEACHER
from tutelage.graphs.terminal.app import app

TEACHER = {
    "success_rate": 0.8,
    "ci95": (0.7, 0.9),
    "episodes": 100,
    "mean_return": 0.5,
    "mean_length": 30.0,
}


def told(tmp_path: Path, success: float | None = 0.9, **run: Any) -> RunContents:
    return read_run(finished_run(tmp_path / "run", success=success, **run))


class TestOutcome:
    def test_of_a_taught_student(self, tmp_path: Path) -> None:
        outcome = told(tmp_path).outcome
        assert "The student alone solves 90.0 % of 1,000 held-out episodes" in outcome
        assert "88.0 to 92.0" in outcome
        assert "its teacher was removed at step 300" in outcome

    def test_of_a_student_whom_nobody_taught(self, tmp_path: Path) -> None:
        run = told(tmp_path, provider=NO_TEACHER, teacher_removed_at_step=0)
        assert "nobody taught it" in run.outcome
        assert run.title == "SimpleDoorKey, taught by nobody"
        assert run.removed == []

    def test_of_a_teacher_that_was_not_followed(self, tmp_path: Path) -> None:
        use = {"followed_steps": 0, "verdict": "no help", "evidence": "0 of 9", "rejected": 0}
        assert "none of the teacher's advice was followed" in told(tmp_path, advice=use).outcome

    def test_of_a_teacher_that_acted_itself(self, tmp_path: Path) -> None:
        run = told(tmp_path, None, teacher=TEACHER, status="finished")
        assert run.outcome.startswith("The teacher acts alone: it solves 80.0 %")
        assert run.title == "SimpleDoorKey, played by offline"

    def test_of_an_interrupted_run(self, tmp_path: Path) -> None:
        outcome = told(tmp_path, None).outcome
        assert outcome.startswith("The run was interrupted.")
        assert "600 steps" in outcome

    def test_of_a_run_that_goes_on(self, tmp_path: Path) -> None:
        folder = RunFolder.create(tmp_path / "run")
        folder.write_config({"steps": 5000})
        assert "no steps yet" in read_run(folder.path).outcome
        folder.append_metrics(row_of(2, 0))
        assert "at 200 of 5,000 environment steps" in read_run(folder.path).outcome


def test_situations_come_by_the_visits_in_which_they_disagree(tmp_path: Path) -> None:
    texts = {7: "often, and they agree", 8: "often, and they disagree", 9: "hardly ever"}
    run = read_run(traced_run(tmp_path / "run", texts, {7: 0.99, 8: 0.3, 9: 0.0}))
    shown = [situation.text for situation in run.traced.situations]
    assert shown == ["hardly ever", "often, and they disagree", "often, and they agree"]
    assert [s.disagreements for s in run.traced.situations] == pytest.approx([98, 69.3, 1])


def test_a_rejection_is_told_with_its_figures(tmp_path: Path) -> None:
    said = "advice does worse than the student: 0 of 48, 5 of 54"
    run = read_run(traced_run(tmp_path / "run", {7: "a", 8: "b"}, rejected={8: said}))
    found = {s.text: s.rejection and s.rejection.message for s in run.traced.situations}
    assert found == {"a": None, "b": said}


class TestConfiguration:
    def test_says_what_differs_from_the_default(self, tmp_path: Path) -> None:
        settings = {
            "ppo": {"gamma": 0.5, "epochs": RunConfig().ppo.epochs},
            "env_args": {"size": 9},
        }
        run = told(tmp_path, settings=settings, seed=3)
        assert {each.key: each.value for each in run.changed} == {
            "ppo.gamma": 0.5,
            "env.size": 9,
            "seed": 3,
        }

    def test_the_command_makes_the_same_configuration(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = {
            "env": "ColoredDoorKey",
            "steps": 4096,
            "teacher": {"fallback": ["offline"], "budget_calls": 7, "lookups": []},
            "env_args": {"name": "it's", "text": "5", "none": None},
            "wait": True,
            "ppo": {"target_kl": 0.05, "final_learning_rate": 1e-5},
        }
        run = told(tmp_path, settings=settings, seed=3)
        made: list[RunConfig] = []
        monkeypatch.setattr(
            "tutelage.graphs.runtime.run.run",
            lambda config, *_, **__: (
                made.append(config) or (_ for _ in ()).throw(KeyboardInterrupt)
            ),
        )
        words = shlex.split(run.command)
        arguments = words[words.index("run") :]
        CliRunner().invoke(app, [*arguments, "--json"])
        assert len(made) == 1, run.command
        wanted = {each.key: each.value for each in run.fields}
        again = flat(made[0].model_dump(mode="json"))
        assert {k: again.get(k) for k in wanted if k != "run_dir"} == {
            k: v for k, v in wanted.items() if k != "run_dir"
        }

    def test_the_command_uses_the_prompts_as_they_were(self, tmp_path: Path) -> None:
        run = told(tmp_path, settings={"prompts": "my_prompts"})
        RunFolder(run.path).write_prompts({"planner_system": "teach"})
        assert f"--prompts {run.path / 'prompts'}" in run.command


class TestDamage:
    def test_what_can_be_read_is_told(self, tmp_path: Path) -> None:
        path = traced_run(tmp_path / "run", {7: "a"})
        (path / "summary.json").write_text("{", "utf-8")
        (path / "trace.sqlite").write_bytes(b"SQLite format 3\0 but no more")
        run = read_run(path)
        assert run.summary is None
        assert run.last is not None
        assert run.last.env_steps == ITERATIONS * STEPS
        assert run.panels[0].title == "held-out success"
        assert len(run.notes) == 2
        assert "summary.json" in run.notes[0]
        assert "trace.sqlite" in run.notes[1]

    def test_damaged_metrics_are_a_note(self, tmp_path: Path) -> None:
        path = finished_run(tmp_path / "run")
        (path / "metrics.jsonl").write_text("{}\n", "utf-8")
        run = read_run(path)
        assert run.panels == []
        assert any("metrics.jsonl" in note for note in run.notes)
        assert "90.0 %" in run.outcome

    def test_a_folder_that_is_no_run_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RunFolderError):
            read_run(tmp_path)
