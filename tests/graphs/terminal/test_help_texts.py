"""Help at 80 columns: nothing is cut, options are in groups, defaults are the configuration's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
import typer
from typer.testing import CliRunner

import tutelage
from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.terminal.app import app
from tutelage.graphs.terminal.common.help import EXPERIMENT, FIELDS, OUTPUT, TASK, TEACHER

NARROW: Final = {"COLUMNS": "80"}
GROUPED: Final = ("run", "compare", "eval")


def groups(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of the program and of each of its groups."""
    if hasattr(group, "commands"):
        yield path
        for name, command in group.commands.items():
            yield from groups(command, (*path, name))


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


PROGRAM: Final = typer.main.get_command(app)


def help_of(*words: str) -> str:
    done = CliRunner().invoke(app, [*words], env=NARROW)
    assert done.exit_code == 0
    return done.stdout


@pytest.mark.parametrize("path", list(groups(PROGRAM)), ids=lambda path: " ".join(path) or "all")
def test_no_summary_is_cut(path: tuple[str, ...]) -> None:
    listed = help_of(*path, "--help").partition("Commands:")[2].strip().splitlines()
    assert listed
    for line in listed:
        assert line.rstrip().endswith("."), line
        assert not line.rstrip().endswith("..."), line


def test_all_fits_into_80_columns_and_h_is_help() -> None:
    for path in commands(PROGRAM):
        text = help_of(*path, "-h")
        assert text == help_of(*path, "--help")
        assert max(map(len, text.splitlines())) <= 80, path


def test_the_version_is_the_packages() -> None:
    assert help_of("--version") == f"tutelage {tutelage.__version__}\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+", tutelage.__version__)


@pytest.mark.parametrize("name", GROUPED)
def test_every_option_is_in_a_group(name: str) -> None:
    text = help_of(name, "--help")
    rest = text.partition("\nOptions:\n")[2].strip().splitlines()
    assert rest == ["-h, --help  Show this message and exit."]
    found = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    order = ["Arguments", EXPERIMENT, TASK, TEACHER, FIELDS, OUTPUT, "Options"]
    assert [heading for heading in found if heading in order] == [o for o in order if o in found]
    assert {TASK, TEACHER, OUTPUT} <= set(found)


def test_defaults_are_those_of_the_configuration() -> None:
    text = " ".join(help_of("run", "--help").split())
    defaults = RunConfig()
    for option, value in (
        ("graph", defaults.graph),
        ("env", defaults.env),
        ("provider", defaults.provider),
        ("seed", defaults.seed),
        ("num-envs", defaults.num_envs),
        ("device", defaults.device),
    ):
        assert re.search(rf"--{option} [^\[]*\[default: {value}\]", text), option
    assert "[default: None]" not in text
    assert re.search(r"--seed <int> The seed; none takes the run's own\. [^\[]", _plain("eval"))


def _plain(name: str) -> str:
    return " ".join(help_of(name, "--help").split())
