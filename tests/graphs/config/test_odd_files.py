"""What is no plain file is refused at once where one is named: pipes hang, devices have no end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tutelage.agents.client import prices
from tutelage.graphs.config.config import ConfigError, make_config
from tutelage.prompts.library import PromptLibrary
from tutelage.rl.errors import UserError
from tutelage.rl.tasks.dotted_path import modules_here
from tutelage.rl.user_files import read_plain

TypeIn = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(params=["pipe", "device", "link to a device"])
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "odd.json"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        return Path("/dev/zero")
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "words",
    [
        ["run", "--config", "{}"],
        ["run", "--provider", "replay:{}"],
        ["run", "--set", "cache={}"],
        ["run", "--prompts", "{}"],
        ["cache", "import", "{}"],
        ["cache", "show", "--file", "{}"],
        ["eval", "{}"],
    ],
    ids=" ".join,
)
def test_it_is_refused_in_a_line(
    words: list[str], odd: Path, tmp_path: Path, type_in: TypeIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(Path("/dev").iterdir())
    done = type_in(*(word.format(odd) for word in words))
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert str(odd).encode() in done.stderr
    assert sorted(Path("/dev").iterdir()) == before
    assert [path for path in tmp_path.iterdir() if path != odd] == []


@pytest.mark.timeout(10)
def test_in_places_that_are_looked_into(
    odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "planner_system.md").symlink_to(odd)
    assert PromptLibrary(prompts).check() == [
        f"{prompts / 'planner_system.md'}:1: cannot be read: it is no plain file"
    ]
    monkeypatch.setattr(prices, "own_file", lambda: odd)
    with pytest.raises(UserError, match="it is no plain file"):
        prices.list_prices()
    here = tmp_path / "here"
    here.mkdir()
    (here / "config.json").symlink_to(odd)
    (here / "mine.py").touch()
    monkeypatch.chdir(here)
    assert modules_here() == ["mine"]


def test_a_large_file_is_not_read_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(ConfigError, match=r"c\.toml: it has more than 16,777,216 bytes"):
        make_config(path, [], {})
    path.write_bytes(b"seed = 7")
    assert read_plain(path) == b"seed = 7"
