"""The worked examples: short, checked, and trained a little; the encoders that their page names."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from gymnasium import spaces
from typer.testing import CliRunner

from helpers.fresh_modules import fresh_modules
from helpers.tiny_runs import ROOT
from tutelage.graphs.terminal.app import app
from tutelage.rl.policy.encoders import (
    CategoryEncoder,
    PictureEncoder,
    TokenEncoder,
    VectorEncoder,
    make_encoder,
)
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.tasks.observations import ObservationEncoder

EXAMPLES: Final = ROOT / "docs" / "examples"
PAGE: Final = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
TINY: Final = [
    *("--steps", "64"),
    *("--num-envs", "4"),
    *("--set", "ppo.num_steps=8"),
    *("--set", "evaluation.final_episodes=2"),
    *("--run-dir", "run"),
]


def files() -> list[str]:
    """The examples' names."""
    return sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "measure")


def named_in(example: str) -> list[str]:
    """The command in an example's docstring, after `tutelage`."""
    text = (EXAMPLES / f"{example}.py").read_text("utf-8")
    command = re.search(r"^    tutelage (run(?: .*\\\n)*.*)$", text, re.MULTILINE)
    assert command is not None, f"{example} names no command"
    return command[1].replace("\\\n", " ").split()


def invoke(*arguments: str) -> str:
    """The output of a command, which must succeed."""
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, (arguments, done.output[-3000:], done.exception)
    return done.output


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the examples, where the reader is."""
    for path in EXAMPLES.glob("*.py"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with fresh_modules():
        yield tmp_path


def test_there_is_an_example_of_each_kind() -> None:
    assert len(files()) >= 9


@pytest.mark.parametrize("example", files())
class TestExample:
    def test_it_has_fewer_than_80_lines(self, example: str) -> None:
        assert len((EXAMPLES / f"{example}.py").read_text("utf-8").splitlines()) < 80

    @pytest.mark.slow
    def test_it_breaks_no_promise_and_trains(self, example: str, examples: Path) -> None:
        if example == "reacher" and importlib.util.find_spec("mujoco") is None:
            pytest.skip("the extra mujoco is not installed")
        command = named_in(example)
        output = invoke("envs", "check", command[command.index("--env") + 1], "--episodes", "6")
        assert "✗" not in output
        assert "script" in output
        invoke(*command, *TINY)
        assert (examples / "run" / "summary.json").is_file()


@pytest.mark.parametrize(
    ("space", "row", "encoder"),
    [
        (spaces.Box(-1, 1, (3,)), "Box of floats", VectorEncoder),
        (spaces.Box(0, 255, (64, 64, 3), np.uint8), "Box of uint8", PictureEncoder),
        (spaces.Discrete(4), "Discrete", CategoryEncoder),
        (spaces.MultiDiscrete([4, 2]), "MultiDiscrete", CategoryEncoder),
        (spaces.MultiBinary(4), "MultiBinary", VectorEncoder),
        (spaces.Text(9), "Text", TokenEncoder),
    ],
)
def test_the_page_names_the_encoders(
    space: spaces.Space[Any], row: str, encoder: type[torch.nn.Module]
) -> None:
    says = {
        "one dense layer": VectorEncoder,
        "convolutions": PictureEncoder,
        "an embedding for each category": CategoryEncoder,
        "embeddings of its words": TokenEncoder,
    }
    rows = re.findall(rf"^\|[^|]*\b{row}\b[^|]*\| ([^|]*) \|$", PAGE, re.MULTILINE)
    assert [encoder] == [kind for text in rows for start, kind in says.items() if start in text]
    (seen,) = ObservationEncoder(space).observation_space.values()
    assert type(make_encoder(seen, StudentSettings(), normalise=True)) is encoder
