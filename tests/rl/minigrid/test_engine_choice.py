"""Which engine a run takes: chosen, written down, taken again, no matter for what is learned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.fork_server import ForkServer
from helpers.small_runs import assert_one_line
from helpers.tiny_runs import make_run, strict_json, tiny_arguments
from tutelage.graphs.runtime.run import stored_config

pytestmark = pytest.mark.usefixtures("one_thread")

TOY = "helpers.toy_task:Corridor"


def test_a_run_learns_the_same_by_either_engine(tmp_path: Path) -> None:
    runs = {}
    for asked in (None, "gymnasium"):
        runs[asked] = make_run(tmp_path / str(asked), task__engine=asked)
    assert runs[None].figures() == runs["gymnasium"].figures()
    assert runs[None].summary.student == runs["gymnasium"].summary.student
    stored = [strict_json(made.folder.config)["task"]["engine"] for made in runs.values()]
    assert stored == ["batched", "gymnasium"]
    assert stored_config(runs[None].folder).task.engine == "batched"


def test_the_engine_is_an_option_of_run(server: ForkServer, tmp_path: Path) -> None:
    arguments = ["run", *tiny_arguments(tmp_path), "--engine", "gymnasium", "--json"]
    done = server.run(arguments)
    assert done.code == 0, done.err
    assert strict_json(tmp_path / "run" / "config.json")["task"]["engine"] == "gymnasium"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--engine", "warp"], ("task.engine = 'warp'", "'batched' or 'gymnasium'")),
        (
            ["--engine", "batched", "--env", TOY],
            ("task.*", TOY),
        ),
    ],
)
def test_an_engine_that_cannot_be_had_is_one_line(
    server: ForkServer, tmp_path: Path, arguments: list[str], says: tuple[str, ...]
) -> None:
    done = server.run(["run", *tiny_arguments(tmp_path), *arguments])
    assert_one_line(done, *says)
    assert not (tmp_path / "run").exists()


def test_envs_show_names_the_engine(server: ForkServer) -> None:
    assert "engine: batched" in server.run(["envs", "show", "SimpleDoorKey"]).out
    shown = json.loads(server.run(["envs", "show", "SimpleDoorKey", "--json"]).out)
    assert shown["engine"] == "batched"
    assert json.loads(server.run(["envs", "show", TOY, "--json"]).out)["engine"] is None
