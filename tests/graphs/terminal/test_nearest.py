"""What the command line refuses by name, it refuses with the nearest names that there are."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.finished_runs import finished_run
from tutelage.graphs.terminal.app import app
from tutelage.rl.errors import UserError, did_you_mean, nearest


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return finished_run(Path("runs") / "my-run")


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("run --graph hierarchicl", "'hierarchical'"),
        ("graphs show teacher_studnt", "'teacher_student'"),
        ("config show --set gamma=0.9", "'ppo.gamma'"),
        ("compare --vary weaning.schedle=linear", "'weaning.schedule'"),
        ("compare --vary weaning.schedule=linaer", "'linear'"),
        ("run --set teacher.lookups=objcts", "'objects'"),
        ("prompts show planer_thinking", "'planner_thinking'"),
        ("prompts diff planer_thinking", "'planner_thinking'"),
        ("prompts try --task SimpleDorKey", "'SimpleDoorKey'"),
        ("prompts try --provider ofline", "'offline'"),
        ("providers check ofline", "'offline'"),
        ("envs show SimpleDorKey", "'SimpleDoorKey'"),
        ("runs plot my-run --metric sucess", "'success'"),
        ("runs plot my-run --x wall", "'wall_s'"),
        ("trace list my-run cals", "'calls'"),
        ("runs show my-rn", "'my-run'"),
    ],
)
def test_the_nearest_is_named(typed: str, near: str) -> None:
    done = CliRunner().invoke(app, typed.split())
    assert isinstance(done.exception, UserError), (done.output, done.exception)
    assert f"(did you mean {near}" in str(done.exception)
    assert "\n" not in str(done.exception)


@pytest.mark.parametrize(
    ("typed", "near"),
    [("runs lst", "'list'"), ("trase list", "'trace'"), ("run --provder x", "--provider")],
)
def test_so_it_is_for_commands_and_options(typed: str, near: str) -> None:
    done = CliRunner().invoke(app, typed.split())
    assert done.exit_code == 2
    assert near in done.output


def test_three_at_the_most_and_none_that_is_far() -> None:
    names = ["linear", "linear2", "linear3", "linear4", "off"]
    assert nearest("Linaer", names)[0] == "linear"
    assert len(nearest("linear1", names)) == 3
    assert did_you_mean("ofline", ["offline", "human"]) == " (did you mean 'offline'?)"
    assert did_you_mean("xyz", names) == ""
