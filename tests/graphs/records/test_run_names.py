"""Naming a run: `@last`, a piece of its name, a path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helpers.finished_runs import finished_run
from tutelage.agents.common.files import RunFolderError
from tutelage.graphs.records.run_names import LAST, find_run, find_run_to_come

RUNS = Path("runs")
DOOR = "20261101-120000-teacher_student-SimpleDoorKey-0"
LAVA = "20261102-120000-teacher_student-LavaDoorKey-1"
NAMES = (DOOR, LAVA, "sweep-ab12/linear-seed0", "sweep-ab12/off-seed0", "my-run", "my-run-2")
"""From the oldest on."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for age, name in enumerate(NAMES):
        run = finished_run(RUNS / name)
        os.utime(run / "config.json", (1e9 + age, 1e9 + age))
    return tmp_path


def refused(text: str, with_groups: bool = False) -> str:
    with pytest.raises(RunFolderError) as caught:
        find_run(text, with_groups)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (LAST, "my-run-2"),
        ("lava", LAVA),
        ("SimpleDoor", DOOR),
        ("20261101", DOOR),
        ("runs/20261102", LAVA),
        ("off-seed", "sweep-ab12/off-seed0"),
        ("linear-seed0", "sweep-ab12/linear-seed0"),
        ("ab12/off", "sweep-ab12/off-seed0"),
        ("my-run", "my-run"),
        ("MY-RUN", "my-run"),
        ("runs/my-run/", "my-run"),
    ],
)
def test_a_run_is_meant(text: str, meant: str) -> None:
    assert find_run(text) == RUNS / meant
    assert find_run_to_come(text) == RUNS / meant


def test_a_folder_of_runs_is_meant_where_one_may_be() -> None:
    assert find_run("sweep", with_groups=True) == RUNS / "sweep-ab12"
    assert find_run("off-seed", with_groups=True) == RUNS / "sweep-ab12" / "off-seed0"
    assert find_run("lava", with_groups=True) == RUNS / LAVA
    assert "2 runs have this in their names" in refused("sweep")


def test_what_is_there_is_a_path_whatever_it_is_called(here: Path) -> None:
    (here / "lava").mkdir()
    assert find_run("lava") == Path("lava")
    assert find_run(str(here / "runs" / LAVA)) == here / "runs" / LAVA
    (here / "@last").touch()
    assert find_run("@last") == Path("@last")


def test_more_than_one_are_named_the_newest_first() -> None:
    said = refused("doorkey")
    assert f"({LAVA}, {DOOR}); type more of one" in said
    assert "(my-run-2, sweep-ab12/off-seed0, " in refused("2")
    assert ", …); type more of one" in refused("r")
    with pytest.raises(RunFolderError, match="2 runs"):
        find_run_to_come("doorkey")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("my-rnu", "my-rnu: there is no such run folder (did you mean 'my-run' or"),
        ("@lst", "(did you mean '@last'?); see "),
        ("nowhere", "nowhere: there is no such run folder; see "),
        ("a" * 5000, "there is no such run folder; see "),
    ],
)
def test_none_is_meant(text: str, says: str) -> None:
    assert says in refused(text)
    assert find_run_to_come(text) == Path(text)


class TestLast:
    def test_is_what_was_started_last_and_not_what_was_resumed_last(self) -> None:
        (RUNS / "my-run-2" / "summary.json").unlink()  # it runs, or it was killed
        assert find_run(LAST) == RUNS / "my-run-2"
        (RUNS / "my-run" / "metrics.jsonl").touch()
        (RUNS / "my-run" / "summary.json").touch()
        assert find_run(LAST) == RUNS / "my-run-2"

    def test_may_be_one_of_a_comparison(self) -> None:
        finished_run(RUNS / "sweep-ab12" / "off-seed1")
        assert find_run(LAST, with_groups=True) == RUNS / "sweep-ab12" / "off-seed1"

    def test_of_no_runs_is_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path / "runs")
        assert "there is no run in runs yet; make one: " in refused(LAST)
