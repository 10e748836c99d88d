"""`eval`: the student of a run, its teacher, on its own task and on others."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from helpers.openai_server import OpenAIServer, status
from helpers.tiny_runs import CLI, TinyRun, environment, make_run
from tutelage.graphs.analysis.evaluation import evaluate_run
from tutelage.graphs.analysis.watching import EpisodeViewer
from tutelage.graphs.config.config import ConfigError
from tutelage.graphs.terminal.app import app

CORRIDOR = "helpers.toy_task:Corridor"


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return make_run(tmp_path_factory.mktemp("taught"), env="helpers.toy_task:Settled")


def invoke(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["eval", *map(str, arguments)])


def test_the_student_is_tested_as_at_the_end_of_its_run(taught: TinyRun) -> None:
    test = evaluate_run(taught.path, 5)
    assert test.student == taught.summary.student
    assert test.teacher is None
    assert evaluate_run(taught.path, 40, seed=9).student != evaluate_run(taught.path, 40).student


def test_the_script_solves_the_corridor_by_what_the_cache_holds(taught: TinyRun) -> None:
    test = evaluate_run(taught.path, 60, teacher=True)
    assert test.teacher is not None
    found = test.teacher
    assert found.result.success_rate == 1.0
    assert found.result.episodes == 60
    assert found.result.mean_length < 15
    assert (found.unadvised_steps, found.failures, found.cost_usd) == (0, 0, 0.0)
    # Situations that the run met are not asked about again; the test may meet others.
    assert found.cache_hits == taught.summary.llm.situations
    again = evaluate_run(taught.path, 60, teacher=True).teacher
    assert again is not None
    assert (again.result, again.calls) == (found.result, 0)


@pytest.mark.parametrize(
    "env",
    [
        "helpers.numbered_task:Numbered",
        "helpers.taught_tasks:TaughtCar",
        "MiniGrid-Fetch-5x5-N2-v0",
    ],
)
def test_a_teacher_knows_situations_by_the_numbers_of_the_task_it_plays_in(
    tmp_path: Path, env: str
) -> None:
    """Where numbers are handed out at first sight, two tasks number them in two ways."""
    run = make_run(tmp_path, env=env)
    found = evaluate_run(run.path, 4, teacher=True).teacher
    assert found is not None
    assert found.result.episodes == 4
    assert found.failures == 0
    with ExitStack() as resources:
        viewer = EpisodeViewer(run.path, resources, provider="offline")
        frames = list(islice(viewer.frames(0), 3))
    assert all(frame.said is not None for frame in frames)


def test_a_teacher_that_cannot_answer_is_lost_and_says_so(tmp_path: Path) -> None:
    """Each situation is tried once, and the evaluation ends all the same."""
    with OpenAIServer(status(500)) as server:
        run = make_run(
            tmp_path,
            env=CORRIDOR,
            provider="openai:none",
            base_url=server.base_url,
            steps=128,
            teacher__max_tries=1,
            teacher__backoff_s=0.0,
        )
        before = len(server.requests)
        found = evaluate_run(run.path, 3, teacher=True).teacher
        assert found is not None
        assert found.unadvised_steps == round(found.result.mean_length * 3)
        assert 1 <= found.failures <= 4
        assert len(server.requests) - before == found.calls


def test_people_and_machines_see_both(taught: TinyRun) -> None:
    shown = invoke(taught.path, "--episodes", "8", "--teacher").output
    for expected in ("student alone", "teacher alone (offline)", "argmax", "100.0 % of 8"):
        assert expected in shown
    done = invoke(taught.path, "--episodes", "8", "--teacher", "--json")
    told = json.loads(done.stdout)
    assert told["student"]["episodes"] == told["teacher"]["result"]["episodes"] == 8
    assert told["env"] == "Corridor"
    assert invoke(taught.path, "--episodes", "8", "--json").stdout.count('"teacher": null') == 1


def test_a_run_without_a_teacher_has_none_to_test(tmp_path: Path) -> None:
    run = make_run(tmp_path, env=CORRIDOR, weaning__schedule="off")
    with pytest.raises(ConfigError, match=r"--teacher: this run had none.*'off'"):
        evaluate_run(run.path, 4, teacher=True)


def test_another_task_must_look_the_same(taught: TinyRun) -> None:
    with pytest.raises(ConfigError, match=r"env = 'SimpleDoorKey'.*taught on Corridor.*allowed"):
        evaluate_run(taught.path, 4, env="SimpleDoorKey")


class TestErrorLines:
    @pytest.mark.parametrize(
        "arguments",
        [
            *("eval nowhere", "watch nowhere", "resume nowhere", "runs show nowhere"),
            *("trace list nowhere", "trace replay nowhere 1"),
        ],
    )
    def test_a_mistyped_folder_is_one_line_without_heavy_imports(self, arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-X", "importtime", str(CLI), *arguments.split()],
            capture_output=True,
            check=False,
            env=environment({}),
        )
        assert done.returncode == 2
        lines = done.stderr.decode().splitlines()
        (said,) = [line for line in lines if not line.startswith("import time:")]
        assert said.startswith("tutelage: ")
        imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
        assert "pydantic" in imported
        assert not imported & {"torch", "langchain_core", "langgraph", "numba", "scipy"}
