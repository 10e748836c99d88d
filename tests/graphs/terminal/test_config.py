"""`config show --diff`: the fields in which a run differs from the defaults, or from options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers.finished_runs import finished_run
from tutelage.graphs.terminal.app import app


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    settled = {"steps": 100_352, "task": {"engine": "batched"}}
    settings = {**settled, "ppo": {"gamma": 0.9}, "loggers": [], "env_args": {"size": 5}}
    return finished_run(Path("runs") / "my-run", seed=3, settings=settings)


def shown(*options: str) -> Any:
    done = CliRunner().invoke(app, ["config", "show", "--diff", "my-run", *options, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_what_differs_from_the_defaults_is_shown_alone() -> None:
    assert shown() == {
        "run_dir": "runs/my-run",
        "against": "defaults",
        "fields": [
            {"field": "seed", "run": 3, "other": 0},
            {"field": "ppo.gamma", "run": 0.9, "other": None},
            {"field": "env.size", "run": 5, "other": None},
        ],
    }


def test_or_from_the_options_that_are_given() -> None:
    found = shown("--set", "seed=3", "--set", "env.size=5", "--set", "steps=4096")
    assert found["against"] == "options"
    assert {row["field"]: row["other"] for row in found["fields"]} == {
        "ppo.gamma": None,
        "steps": 4096,
    }


def test_people_get_a_table_or_a_line() -> None:
    table = CliRunner().invoke(app, ["config", "show", "--diff", "@last"]).stdout
    assert "in the defaults" in table
    assert "ppo.gamma" in table
    assert "gae_lambda" not in table
    same = ["--set", "seed=3", "--set", "env.size=5", "--set", "ppo.gamma=0.9"]
    line = CliRunner().invoke(app, ["config", "show", "--diff", "@last", *same]).stdout
    assert line == "runs/my-run differs in no field from the options\n"
