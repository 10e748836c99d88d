"""`compare` with runs whose teacher never answered: it goes on, and marks them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers import finished_runs
from helpers.finished_runs import UNANSWERED, finished_run
from tutelage.graphs.analysis import experiments
from tutelage.graphs.analysis.comparison import compare
from tutelage.graphs.terminal.app import app

VARIED = ["compare", "--vary", "env=Silent,SimpleDoorKey", "--seeds", "0", "--dir", "all"]
SILENT = "all/env_Silent-seed0"


@pytest.fixture(autouse=True)
def pretending(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runs are made by a script that exits with 3 where its task is `Silent`."""
    monkeypatch.setattr(experiments, "CLI", Path(finished_runs.__file__))
    monkeypatch.chdir(tmp_path)


def test_the_other_runs_are_made_and_the_table_marks_the_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    done = CliRunner().invoke(app, VARIED)
    assert done.exit_code == 0, done.output
    lines = [line.strip() for line in done.output.splitlines()]
    assert any(line.startswith("env_Silent-seed0: finished, no answer, ") for line in lines)
    assert any(line.startswith("env_SimpleDoorKey-seed0: finished, 100 steps") for line in lines)
    (at,) = [i for i, line in enumerate(lines) if line.startswith("env=Silent")]
    assert lines[at + 1].startswith("(no answer in 1 of 1)")
    assert not any("(no answer" in line for line in lines[at + 2 :])
    assert f"{SILENT}: taught by nobody, there was no usable answer in all the run" in lines


def test_so_does_the_json_also_when_it_is_typed_again() -> None:
    for _ in range(2):
        done = CliRunner().invoke(app, [*VARIED, "--json"])
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert found["unanswered"] == [SILENT]
        assert [setting["outcomes"] for setting in found["settings"]] == [["no_answer"], [None]]


def test_it_is_one_among_the_seeds_of_its_condition(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / str(seed), seed) for seed in range(2)]
    runs.append(finished_run(tmp_path / "2", 2, outcome=UNANSWERED))
    found = compare(runs)
    (setting,) = found["settings"]
    assert setting["outcomes"] == [None, None, "no_answer"]
    assert setting["runs"][2:] == found["unanswered"] == [str(runs[2])]
    shown = CliRunner().invoke(app, ["runs", "compare", *map(str, runs)]).output
    assert "(no answer in 1 of 3)" in shown
