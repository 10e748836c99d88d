"""Files that commands write: what is there stays, and a run's own files always do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.finished_runs import finished_run
from tutelage.graphs.records.outputs import OutputError, check_output
from tutelage.graphs.records.trace.writer import TraceWriter
from tutelage.graphs.terminal.app import app

COMMANDS = {
    "trace export RUN FILE": ".jsonl",
    "cache export FILE --run RUN": ".jsonl",
    "report RUN --out FILE": ".html",
    "runs plot RUN --out FILE": ".png",
    "compare RUN --plot FILE": ".svg",
    "watch RUN --gif FILE": ".gif",
}
"""With the ending of their files; those of `export` have names of their own."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = finished_run(tmp_path / "run")
    TraceWriter(run / "trace.sqlite").close()
    return run


def refusal(command: str, run: Path, file: Path, *more: str) -> str:
    words = [{"RUN": str(run), "FILE": str(file)}.get(word, word) for word in command.split()]
    done = CliRunner().invoke(app, [*words, *more])
    assert isinstance(done.exception, OutputError), (done.output, done.exception)
    return str(done.exception)


@pytest.mark.parametrize(
    "command",
    [
        # It imports torch before it looks.
        pytest.param(command, marks=[pytest.mark.slow] if command.startswith("watch") else [])
        for command in COMMANDS
    ],
)
def test_no_command_overwrites_what_is_there(command: str, run: Path, tmp_path: Path) -> None:
    thesis = tmp_path / f"thesis{COMMANDS[command]}"
    thesis.write_text("years of work")
    assert "is there already; --force" in refusal(command, run, thesis)
    assert thesis.read_text() == "years of work"
    link = tmp_path / f"link{COMMANDS[command]}"
    link.symlink_to(thesis)
    assert "is a symbolic link" in refusal(command, run, link, "--force")
    own = run / "checkpoints" / thesis.name
    assert "run's own files" in refusal(command, run, own, "--force")
    assert not own.exists()


def test_what_is_meant_to_be_overwritten_is(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    file.write_text("older spans")
    words = ["trace", "export", str(run), str(file), "--force"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert file.read_text() == ""


@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "Config.JSON", "metrics.jsonl", "trace.sqlite", "trace.sqlite-wal"),
        *("summary.json", "summary.json.damaged-1", "student.safetensors", "prompts/a.md", ".lock"),
        "checkpoints/4/record.json",
    ],
)
def test_no_file_of_a_run_is_written(run: Path, name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="run's own files"):
        check_output(run / name, force=True)
    link = tmp_path / "link"
    link.symlink_to(run)
    with pytest.raises(OutputError, match="run's own files"):
        check_output(link / name, force=True)


@pytest.mark.parametrize("name", ["report.html", "export/README.md", "prompts.jsonl"])
def test_other_files_may_lie_in_a_run(run: Path, name: str) -> None:
    check_output(run / name, force=False)


def test_what_is_no_plain_file_is_never_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for file, kind in (
        (tmp_path, "a folder"),
        (tmp_path / "pipe", "no plain"),
        ("/dev/null", "no"),
    ):
        with pytest.raises(OutputError, match=kind):
            check_output(Path(file), force=True)
    for file in (tmp_path / "pipe" / "file", tmp_path / ("a" * 300)):
        with pytest.raises(OutputError, match="cannot write"):
            check_output(file, force=True)
