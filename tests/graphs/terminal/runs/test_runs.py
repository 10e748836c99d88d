"""`runs show` of several and `runs delete`: what it refuses, and what stays."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers.commands import tell
from helpers.finished_runs import finished_run, summary_of
from helpers.tiny_runs import IMPORTABLE
from tutelage.agents.common.files import RunFolderError
from tutelage.graphs.records.lock import check_deletable, delete_run, locked
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.terminal.app import app
from tutelage.graphs.terminal.run.summary import summary_rows


def test_a_run_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    run, other = finished_run(tmp_path / "run"), finished_run(tmp_path / "other")
    delete_run(run)
    assert [path.name for path in tmp_path.iterdir()] == [other.name]


def test_the_working_directory_is_a_run_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished_run(tmp_path / "run"))
    done = CliRunner().invoke(app, ["runs", "delete", ".", "--yes"])
    assert done.exit_code == 0, done.exception
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    for place in (".", "..", "/"):
        done = CliRunner().invoke(app, ["runs", "delete", place, "--yes"])
        assert isinstance(done.exception, RunFolderError)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def nested(path: Path) -> Path:
    """Folders in each other, deeper than Python calls itself."""
    path.mkdir(parents=True)
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path)
        for _ in range(1200):
            Path("d").mkdir()
            os.chdir("d")
    finally:
        os.chdir(here)
        os.close(here)
    return path


def unnest(path: Path) -> None:
    subprocess.run(["rm", "-r", path], check=True)  # pytest cannot


@pytest.mark.slow
def test_folders_that_are_nested_deeply_hide_no_run(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    good = finished_run(runs / "good")
    deep = [nested(runs / "deep"), nested(finished_run(runs / "odd") / "checkpoints" / "1")]
    try:
        assert sorted(row["run_dir"] for row in tell("runs", "list", runs)) == [
            str(good),
            str(runs / "odd"),
        ]
        done = CliRunner().invoke(app, ["runs", "delete", str(runs / "odd"), "--yes"])
        assert isinstance(done.exception, RunFolderError)
        assert "too deeply" in str(done.exception)
    finally:
        for path in deep:
            unnest(path)


def test_what_a_link_in_it_leads_to_stays(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    (run / "notes").symlink_to(precious)
    delete_run(run)
    assert (precious / "file").read_text() == "mine"
    assert not run.exists()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("mine")
    with pytest.raises(RunFolderError, match="not a run folder"):
        delete_run(folder)
    (folder / "config.json").write_text('{"name": "a package of somebody else"}')
    with pytest.raises(RunFolderError, match="schema_version"):
        delete_run(folder)
    whole = json.loads((finished_run(tmp_path / "run") / "config.json").read_text())
    for lacking, sign in [("versions", "versions"), ("graph", "graph"), ("", "checkpoints")]:
        config = {name: value for name, value in whole.items() if name != lacking}
        (folder / "config.json").write_text(json.dumps(config))
        done = CliRunner().invoke(app, ["runs", "delete", str(folder), "--yes"])
        assert isinstance(done.exception, RunFolderError)
        assert re.search(f"not a run folder: .*{sign}", str(done.exception))
    assert (folder / "file").read_text() == "mine"
    with pytest.raises(RunFolderError, match="no such"):
        delete_run(tmp_path / "nowhere")
    assert (folder / "file").read_text() == "mine"


def test_a_link_is_refused(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    link = tmp_path / "link"
    link.symlink_to(run)
    with pytest.raises(RunFolderError, match="symbolic link"):
        delete_run(link)
    assert run.is_dir()


def test_one_in_use_is_refused(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    with locked(RunFolder(run)):
        code = (
            "from pathlib import Path; from tutelage.graphs.records.lock import delete_run;"
            f"delete_run(Path({str(run)!r}))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": IMPORTABLE},
            capture_output=True,
            text=True,
            check=False,
        )
    assert "is in use: another process runs there" in done.stderr
    assert run.is_dir()
    check_deletable(run)


def test_people_are_asked(tmp_path: Path) -> None:
    run = str(finished_run(tmp_path / "run"))
    for answer in ("n\n", "\n", ""):
        assert CliRunner().invoke(app, ["runs", "delete", run], input=answer).exit_code == 1
        assert Path(run).is_dir()
    done = CliRunner().invoke(app, ["runs", "delete", run], input="y\n")
    assert done.exit_code == 0
    assert "files" in done.output
    assert not Path(run).exists()


def test_one_that_cannot_go_keeps_all_of_them(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    done = CliRunner().invoke(app, ["runs", "delete", str(run), str(tmp_path / "no"), "--yes"])
    assert isinstance(done.exception, RunFolderError)
    assert run.is_dir()


def test_several_are_shown_side_by_side(tmp_path: Path) -> None:
    for seed, success in ((0, 0.9), (1, 0.7)):
        finished_run(tmp_path / str(seed), seed, success)
    runner = CliRunner(env={"COLUMNS": "200"})
    shown = runner.invoke(app, ["runs", "show", str(tmp_path)]).output
    (line,) = [line for line in shown.splitlines() if "held out" in line]
    assert "90.0 %" in line
    assert "70.0 %" in line
    rows = json.loads(runner.invoke(app, ["runs", "show", str(tmp_path), "--json"]).stdout)
    assert [row["student"]["success_rate"] for row in rows] == [0.9, 0.7]


@pytest.mark.parametrize(("columns", "blocks"), [(80, 4), (120, 2), (200, 1)])
def test_runs_that_have_no_room_beside_each_other_stand_below(
    tmp_path: Path, columns: int, blocks: int
) -> None:
    for seed in range(4):
        finished_run(tmp_path / f"run-{seed}", seed, 0.9)
    runner = CliRunner(env={"COLUMNS": str(columns)})
    shown = runner.invoke(app, ["runs", "show", str(tmp_path)]).output
    assert max(map(len, shown.splitlines())) <= columns
    assert len([line for line in shown.splitlines() if line.startswith(" task ")]) == blocks


STARTED = "20251128-235959-teacher_student-SimpleDoorKey-"


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_a_list_keeps_what_tells_runs_apart(
    tmp_path: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their names, whole if that is to be had, and how they ended; the rest as there is room."""
    monkeypatch.chdir(tmp_path)
    for seed in range(2):
        finished_run(Path("runs") / f"{STARTED}{seed}", seed, 0.876, trial_steps=156_153)
    runner = CliRunner(env={"COLUMNS": str(columns)})
    shown = runner.invoke(app, ["runs", "list"]).output
    lines = shown.splitlines()
    assert max(map(len, lines)) <= columns
    assert "0.876" in shown
    assert (f" runs/{STARTED}1 " in shown) == (columns >= 80)
    assert "156,753" in shown or columns == 80, "the whole name comes first"
    assert ("calls" in shown) == (columns >= 200)
    rows = json.loads(runner.invoke(app, ["runs", "list", "--json"]).stdout)
    assert [row["total_steps"] for row in rows] == [156_753, 156_753]
    assert [row["total_steps_to_95"] for row in rows] == [400, 400]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"steps_to_95": 400, "total_steps_to_95": 900}, "step 400, 900 in total"),
        ({"steps_to_95": 400, "total_steps_to_95": 400}, "step 400"),
        ({"steps_to_95": None, "evaluations": 0}, "no evaluation"),
        ({"steps_to_95": None, "evaluations": 1}, "two in a row"),
        ({"steps_to_95": None, "evaluations": 2}, "not reached"),
    ],
)
def test_what_was_not_tested_was_not_missed(fields: dict[str, Any], says: str) -> None:
    config = {"graph": "teacher_student", "env": "SimpleDoorKey", "seed": 0}
    rows = dict(summary_rows(summary_of(config, 0.9, **fields)))
    said = rows["95 % first reached at"]
    assert said.endswith(says) or (says in said and "not reached" not in said)


def test_the_steps_of_the_teacher_check_are_in_the_headline() -> None:
    config = {"graph": "teacher_student", "env": "SimpleDoorKey", "seed": 0}
    plain = dict(summary_rows(summary_of(config, 0.9)))
    assert plain["environment steps"] == "600"
    checked = dict(summary_rows(summary_of(config, 0.9, trial_steps=156_153)))
    assert checked["environment steps"] == (
        "156,753 in total: 600 of the student, 156,153 of the teacher check"
    )


@pytest.mark.parametrize(
    ("started_by", "typed"),
    [("/somewhere/cli.py", "python cli.py run"), ("/usr/bin/tutelage", "tutelage run")],
)
def test_a_hint_is_what_one_would_type(
    started_by: str, typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [started_by])
    shown = CliRunner().invoke(app, ["runs", "list", str(tmp_path)]).output
    assert shown.endswith(f"make one: {typed}\n")


EVIL = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202e[bold]m[/bold]"


@pytest.mark.parametrize("words", ["list RUNS", "show RUN", "show RUNS", "plot RUN", "compare RUN"])
@pytest.mark.parametrize("as_json", [False, True])
def test_hostile_text_never_reaches_the_terminal(words: str, as_json: bool, tmp_path: Path) -> None:
    """Not the task's or the teacher's name, nor the name of a folder that was unpacked."""
    names = {"env": EVIL, "graph": EVIL, "provider": EVIL}
    for name in (EVIL, f"{EVIL} 2"):
        finished_run(tmp_path / "runs" / name, settings=names, provider=EVIL)
    places = {"RUN": str(tmp_path / "runs" / EVIL), "RUNS": str(tmp_path / "runs")}
    arguments = ["runs", *(places.get(word, word) for word in words.split())]
    done = CliRunner().invoke(
        app, [*arguments, *(["--json"] if as_json else [])], env={"COLUMNS": "300"}
    )
    assert done.exit_code == 0, done.output
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", done.output)
    assert "[bold]m[/bold]" in done.output, "markup is text like any other"
