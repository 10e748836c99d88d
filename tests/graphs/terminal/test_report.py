"""`report`: the file that it writes, and what it does not overwrite."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.finished_runs import finished_run
from helpers.html_pages import checked

TypeIn = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return finished_run(tmp_path / "run")


def refused(done: subprocess.CompletedProcess[bytes], *says: str) -> None:
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("tutelage: ")
    for part in says:
        assert part in line


def test_it_says_what_it_wrote(type_in: TypeIn, run: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "report.html"
    done = type_in("report", run, "--out", file)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().startswith(f"wrote {file}: a page of ")
    checked(file.read_text("utf-8"))
    assert [path.name for path in file.parent.iterdir()] == ["report.html"]


def test_without_a_name_it_lies_in_the_folder(type_in: TypeIn, run: Path) -> None:
    assert type_in("report", run).returncode == 0
    assert (run / "report.html").is_file()
    assert type_in("report", run.parent).returncode == 0  # as a comparison of one
    assert (run.parent / "report.html").is_file()


def test_a_file_that_is_there_stays(type_in: TypeIn, run: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("mine")
    refused(type_in("report", run, "--out", file), "is there already", "--force")
    assert file.read_text() == "mine"
    assert type_in("report", run, "--out", file, "--force").returncode == 0
    checked(file.read_text("utf-8"))


def test_a_link_stays(type_in: TypeIn, run: Path, tmp_path: Path) -> None:
    precious, link = tmp_path / "precious", tmp_path / "report.html"
    precious.write_text("mine")
    link.symlink_to(precious)
    refused(type_in("report", run, "--out", link, "--force"), "is a symbolic link")
    assert precious.read_text() == "mine"
    assert link.is_symlink()


@pytest.mark.parametrize("name", ["", "no-such-run"])
def test_what_is_no_run_is_refused(type_in: TypeIn, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    file = tmp_path / "report.html"
    refused(type_in("report", tmp_path / "folder" / name, "--out", file), "folder")
    assert not file.exists()


def test_places_where_no_file_can_be_are_refused(
    type_in: TypeIn, run: Path, tmp_path: Path
) -> None:
    refused(type_in("report", run, "--out", tmp_path), "is a folder")
    refused(type_in("report", run, "--out", run / "config.json" / "report.html"), "cannot")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_a_line(
    type_in: TypeIn, run: Path, tmp_path: Path
) -> None:
    place = tmp_path / "locked"
    place.mkdir(mode=0o500)
    refused(type_in("report", run, "--out", place / "report.html"), "cannot write")
