"""A user's code that fails ends the run with one line and exit code 2; mended, the run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.failing_task import EARLY, LATE
from helpers.fork_server import Done, ForkServer
from helpers.small_runs import Runner, assert_one_line, assert_only_notices, assert_tidy, outcome
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader


def runner_of(server: ForkServer, folder: Path, method: str, rows: int, workers: int) -> Runner:
    options = ["--env", "helpers.failing_task:Failing", "--provider", "offline"]
    arguments = {"method": method, "folder": folder, "rows": rows, "workers": workers}
    for name, value in arguments.items():
        options += ["--set", f"env.{name}={value}"]
    return Runner(server, options)


@pytest.fixture(scope="module")
def expected(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of a run in which nothing fails."""
    folder = tmp_path_factory.mktemp("flawless")
    done = runner_of(server, folder, "nothing", 0, 0).run(folder)
    assert done.code == 0, done.err
    return outcome(folder)


def assert_saved(folder: Path) -> int:
    """All that there was is there; the number of rows of the metrics."""
    run = RunFolder.open(folder / "run")
    summary = run.read_summary()
    assert summary is not None
    assert summary.status == "interrupted"
    assert summary.student is None
    assert run.student.is_file()
    rows = run.read_metrics()
    assert summary.env_steps >= max((row.env_steps for row in rows), default=0)
    with TraceReader(run.trace) as reader:
        visited = {
            visit.iteration for s in reader.situations() for visit in reader.visits(s.situation_id)
        }
    assert visited >= {row.iteration for row in rows}
    return len(rows)


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "run" / "checkpoints").iterdir())


def assert_fails(done: Done, method: str) -> None:
    says = [f".{method}", "failing_task.py:", "ZeroDivisionError: not yet mended", "resume"]
    assert_one_line(done, *says)


def mended(runner: Runner, folder: Path) -> dict[str, Any]:
    """The outcome once the task does not fail any more."""
    (folder / "mended").touch()
    done = runner.go_on(folder)
    assert_only_notices(done)
    assert_tidy(folder)
    return outcome(folder)


@pytest.mark.parametrize("method", LATE)
def test_in_the_midst_of_a_run(
    method: str, server: ForkServer, tmp_path: Path, expected: dict[str, Any]
) -> None:
    runner = runner_of(server, tmp_path, method, 2, 0)
    assert_fails(runner.run(tmp_path), method)
    assert assert_saved(tmp_path) >= 2
    assert mended(runner, tmp_path) == expected


@pytest.mark.parametrize(
    "method",
    [
        *("step", "situation"),
        *(pytest.param(m, marks=pytest.mark.slow) for m in LATE if m not in ("step", "situation")),
    ],
)
def test_with_workers(
    method: str, server: ForkServer, tmp_path: Path, expected: dict[str, Any]
) -> None:
    runner = runner_of(server, tmp_path, method, 2, 2)
    assert_fails(runner.run(tmp_path), method)
    assert assert_saved(tmp_path) >= 2
    assert mended(runner, tmp_path) == expected


@pytest.mark.parametrize("method", EARLY)
def test_before_there_is_a_checkpoint(
    method: str, server: ForkServer, tmp_path: Path, expected: dict[str, Any]
) -> None:
    runner = runner_of(server, tmp_path, method, 0, 0)
    assert_fails(runner.run(tmp_path), method)
    assert mended(runner, tmp_path) == expected


def test_in_the_last_evaluation(
    server: ForkServer, tmp_path: Path, expected: dict[str, Any]
) -> None:
    runner = runner_of(server, tmp_path, "success", 7, 0)
    assert_fails(runner.run(tmp_path), "success")
    assert assert_saved(tmp_path) == 7
    assert mended(runner, tmp_path) == expected


def test_in_the_replay_of_a_resume(
    server: ForkServer, tmp_path: Path, expected: dict[str, Any]
) -> None:
    """The code is still wrong, and no checkpoint is to blame for that."""
    runner = runner_of(server, tmp_path, "step", 2, 0)
    assert_fails(runner.run(tmp_path), "step")
    saved = checkpoints(tmp_path)
    assert saved
    assert_fails(runner.go_on(tmp_path), "step")
    assert checkpoints(tmp_path) == saved
    assert mended(runner, tmp_path) == expected
