"""Runs that are killed anywhere and resumed: the numbers that the unbroken run gives, always."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helpers.fork_server import ForkServer, Kill
from helpers.openai_server import OpenAIServer
from helpers.small_runs import Runner, assert_only_notices, assert_tidy, outcome

KINDS = ("corridor", "numbered", "grid", "http")
"""A task of one's own, one that numbers its situations at first sight, a shipped one, and a teacher
behind a socket whose answers are waited for. All with the script's answers, so that they can be
repeated."""


@pytest.fixture(scope="module")
def teacher() -> Iterator[OpenAIServer]:
    with OpenAIServer() as teacher:
        yield teacher


_UNBROKEN: dict[str, tuple[dict[str, Any], int]] = {}
"""By a runner's options."""


@pytest.fixture
def runner(request: pytest.FixtureRequest, server: ForkServer, teacher: OpenAIServer) -> Runner:
    options = {
        "corridor": ["--env", "helpers.toy_task:Corridor"],
        "numbered": ["--env", "helpers.numbered_task:Numbered"],
        "grid": ["--env", "SimpleDoorKey", "--set", "teacher.lookups=objects,inventory,record"],
        "http": ["--env", "helpers.toy_task:Corridor", "--wait", "--provider", "openai:test-model"],
    }[request.param]
    return Runner(server, [*options, *(["--base-url", teacher.base_url] * ("--wait" in options))])


def unbroken(
    runner: Runner, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], int]:
    """The outcome of an unbroken run of that kind, and how many points it passes."""
    kind = " ".join(runner.options)
    if kind not in _UNBROKEN:
        folder = tmp_path_factory.mktemp("unbroken")
        done = runner.run(folder)
        assert done.code == 0, done.err
        assert_tidy(folder)
        _UNBROKEN[kind] = outcome(folder), len(done.points)
    return _UNBROKEN[kind]


def assert_resumes(runner: Runner, folder: Path, expected: dict[str, Any]) -> None:
    done = runner.go_on(folder)
    assert_only_notices(done)
    assert outcome(folder) == expected
    assert_tidy(folder)


FEW = [
    ("os.replace:record.json:before", 2),  # after the tensors, before the record
    ("os.replace:record.json:after", 2),  # after the record, before the call of the graph ends
    ("TraceWriter.commit:before", 3),
    ("evaluate.evaluate:after", 1),  # between the two final evaluations
]
MORE = [
    ("os.replace:config.json:before", 1),
    ("os.replace:config.json:after", 1),
    ("RunFolder.append_metrics:before", 1),
    ("RunFolder.append_metrics:after", 1),  # before there is any checkpoint
    ("TraceWriter.commit:after", 3),
    ("os.mkdir:before", 4),
    ("os.replace:tensors.safetensors:before", 1),
    ("os.replace:tensors.safetensors:after", 3),
    ("os.replace:record.json:after", 3),
    ("Checkpoints.delete:before", 1),
    ("shutil.rmtree:before", 1),  # its record is gone, its tensors are not
    ("Checkpoints.delete:before", 2),  # at the end of the run
    ("evaluate.evaluate:before", 1),
    ("os.replace:student.safetensors:before", 1),
    ("os.replace:summary.json:before", 1),
    ("os.replace:summary.json:after", 1),
    ("TraceWriter.close:before", 1),
]


@pytest.mark.parametrize("runner", ["corridor"], indirect=True)
@pytest.mark.parametrize(
    ("point", "at"), [*FEW, *(pytest.param(*each, marks=pytest.mark.slow) for each in MORE)]
)
def test_killed_between_two_pieces_of_work(
    runner: Runner, point: str, at: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected, _ = unbroken(runner, tmp_path_factory)
    killed = runner.run(tmp_path, kill=Kill(at, point))
    assert killed.code == -9, f"{point} was passed {killed.points.count(point)} times"
    if (tmp_path / "run" / "summary.json").exists():
        assert runner.go_on(tmp_path).code == 2, "it is finished"
        assert outcome(tmp_path) == expected
    else:
        assert_resumes(runner, tmp_path, expected)


@pytest.mark.parametrize("runner", ["numbered"], indirect=True)
@pytest.mark.parametrize(("point", "at"), FEW)
def test_situations_are_numbered_anew_after_a_kill(
    runner: Runner, point: str, at: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Other processes number new situations in another order: the numbers and texts stay."""
    expected, _ = unbroken(runner, tmp_path_factory)
    assert runner.run(tmp_path, kill=Kill(at, point)).code == -9
    assert_resumes(runner, tmp_path, expected)


@pytest.mark.parametrize("runner", ["numbered"], indirect=True)
def test_what_was_recorded_under_other_numbers_is_removed(
    runner: Runner, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A run that is left in its first rollout keeps what it was told there, beyond all rollouts."""
    expected, _ = unbroken(runner, tmp_path_factory)
    killed = runner.run(tmp_path, kill=Kill(2, "os.replace:record.json:after"))
    assert killed.code == -9
    path = tmp_path / "run" / "trace.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE situations SET text = 'swapped' WHERE situation_id = 0")
        connection.execute("INSERT INTO situations VALUES (999, 999, 'seen after the checkpoint')")
        connection.execute(
            "INSERT INTO advice (iteration, env_steps, situation_id, source, plans)"
            " VALUES (0, 0, 999, 'model', '[]')"
        )
    done = runner.go_on(tmp_path)
    assert done.code == 0, done.err
    found = outcome(tmp_path)
    lost = set(expected["trace"]) - set(found["trace"])
    assert len(lost) <= 1, "the swapped one, unless it was met again"
    assert not {"swapped", "seen after the checkpoint"} & set(found["trace"])
    assert {**found, "trace": None} == {**expected, "trace": None}


@pytest.mark.slow
@pytest.mark.parametrize("runner", KINDS, indirect=True)
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_random_and_again_while_resuming(
    runner: Runner, seed: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Thirty moments; a third of the time, the resumed run is killed as well."""
    expected, points = unbroken(runner, tmp_path_factory)
    draw = random.Random(f"{runner.options[:2]} {len(runner.options)} {seed}")
    killed = runner.run(tmp_path, kill=Kill(draw.randint(1, points)))
    assert killed.code in (-9, 0)
    for _ in range(draw.choice((0, 0, 1, 2))):
        runner.go_on(tmp_path, kill=Kill(draw.randint(1, points)))
    if (tmp_path / "run" / "summary.json").exists():
        assert outcome(tmp_path) == expected
    else:
        assert_resumes(runner, tmp_path, expected)


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["grid", "corridor"], indirect=True)
@pytest.mark.parametrize("seed", range(8))
def test_killed_while_sqlite_or_the_disk_is_at_work(
    runner: Runner, seed: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By a clock that runs from the beginning of a piece of a save: inside it, as a rule."""
    expected, _ = unbroken(runner, tmp_path_factory)
    draw = random.Random(seed)
    pieces = ("TraceWriter.commit:before", "TraceWriter.sync:before", "Checkpoints.save:before")
    point = pieces[seed % len(pieces)]
    kill = Kill(draw.randint(1, 3), point, later_s=draw.uniform(0.0, 0.004) + 1e-5)
    assert runner.run(tmp_path, kill=kill).code == -14
    assert_resumes(runner, tmp_path, expected)


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["grid", "http"], indirect=True)
@pytest.mark.parametrize("seed", range(4))
def test_killed_by_the_clock(
    runner: Runner, seed: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected, _ = unbroken(runner, tmp_path_factory)
    child = runner.start(tmp_path)
    time.sleep(random.Random(seed).uniform(0.05, 1.5))
    child.kill()
    if child.wait().code == -9 and not (tmp_path / "run" / "summary.json").exists():
        assert_resumes(runner, tmp_path, expected)
    else:
        assert outcome(tmp_path) == expected


@pytest.mark.parametrize("runner", ["http"], indirect=True)
def test_answers_that_were_waited_for_are_not_paid_for_twice(
    runner: Runner,
    teacher: OpenAIServer,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    expected, _ = unbroken(runner, tmp_path_factory)
    before = len(teacher.requests)
    assert runner.run(tmp_path, kill=Kill(1, "RunFolder.append_metrics:after")).code == -9
    asked = len(teacher.requests) - before
    assert asked > 0
    assert_resumes(runner, tmp_path, expected)
    sent = [request.body["messages"] for request in teacher.requests[before:]]
    first = sent[:asked]
    assert not [messages for messages in sent[asked:] if messages in first]
