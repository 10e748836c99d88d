"""The main job, for real: the command of the README's first lines teaches a student."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.tiny_runs import ROOT
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.shapes import Summary


def run(folder: Path, *arguments: str) -> Summary:
    """Run the command line as people do, with a cache of its own."""
    done = subprocess.run(
        [
            *(sys.executable, "cli.py", "run", "--graph", "teacher_student", "--json"),
            *("--run-dir", str(folder / "run"), *arguments),
        ],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    assert printed.pop("run_dir") == str(folder / "run")
    return Summary.model_validate(printed)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_student_opens_the_door_alone(tmp_path: Path, seed: str) -> None:
    summary = run(tmp_path, "--seed", seed)
    student = summary.student
    assert student is not None
    assert student.episodes == 500
    assert student.success_rate >= 0.95
    assert student.ci95[0] <= student.success_rate <= student.ci95[1]
    assert summary.steps_to_95 is not None
    assert summary.steps_to_95 <= 50_000
    rows = RunFolder.open(tmp_path / "run").read_metrics()
    removed = summary.teacher_removed_at_step
    assert removed is not None
    alone = [row for row in rows if row.env_steps > removed]
    assert alone
    assert {row.teacher_weight for row in alone} == {0.0}
    assert {row.llm_calls for row in alone} == {summary.llm.calls}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_without_a_teacher_the_same_steps_teach_little(tmp_path: Path) -> None:
    """The contrast that the teacher must make: the same student, steps and seed, reward alone."""
    summary = run(tmp_path, "--set", "weaning.schedule=off", "--steps", "40000")
    assert summary.student is not None
    assert summary.student.success_rate < 0.5
    assert summary.llm.calls == 0
