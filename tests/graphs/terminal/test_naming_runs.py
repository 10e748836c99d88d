"""Every command that takes a run takes it by `@last` and by a piece of its name, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from helpers.finished_runs import finished_run
from tutelage.agents.common.files import RunFolderError
from tutelage.graphs.terminal.app import app


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


def takes_run(parameter: Any) -> bool:
    return "RUN" in (parameter.metavar or "")


TAKING = {
    name: command
    for name, command in commands(typer.main.get_command(app))
    if any(map(takes_run, command.params))
}


def typed(command: Any, run: str) -> list[str]:
    """The arguments that a command needs, with a run wherever it takes one."""
    words = []
    for parameter in command.params:
        if parameter.param_type_name == "option" and takes_run(parameter):
            words += [parameter.opts[0], run]
        elif parameter.param_type_name == "argument" and takes_run(parameter):
            words.append(run)
        elif parameter.param_type_name == "argument" and parameter.required:
            words.append("1")
    return words


def test_the_walk_finds_them() -> None:
    assert {"resume", "eval", "watch", "export", "compare", "runs delete"} <= set(TAKING)
    assert {"trace list", "trace diff", "prompts show", "cache export"} <= set(TAKING)


@pytest.mark.parametrize("name", [name for name in TAKING if name != "trace follow"])
def test_a_name_that_is_none_is_refused_with_the_nearest(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*name.split(), *typed(TAKING[name], "@lst")])
    assert isinstance(done.exception, RunFolderError), done.output
    assert "(did you mean '@last'?)" in str(done.exception)


def test_so_are_two_that_a_piece_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my-run", "my-other-run"):
        finished_run(Path("runs") / name)
    for name, command in TAKING.items():
        done = CliRunner().invoke(app, [*name.split(), *typed(command, "run")])
        assert isinstance(done.exception, RunFolderError), (name, done.output)
        assert "2 runs have this in their names (my-other-run, my-run)" in str(done.exception)


def test_the_last_one_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    finished_run(Path("runs") / "my-run", seed=3)
    by_path = CliRunner().invoke(app, ["runs", "show", "runs/my-run", "--json"])
    for text in ("@last", "my-r"):
        done = CliRunner().invoke(app, ["runs", "show", text, "--json"])
        assert done.exit_code == 0
        assert done.stdout == by_path.stdout
