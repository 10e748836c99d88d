"""Run folders from strangers: nothing of theirs runs, nothing outside is touched, memory is kept.

Every tampered file has the right digests: they guard against damage, not against malice.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import pickle
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from helpers.fork_server import ForkServer, Kill
from helpers.small_runs import Runner, assert_one_line, assert_only_notices, outcome
from tutelage.agents.common.files import JSON_LIMIT
from tutelage.graphs.records.checkpoints import digest_of

GIB = 1 << 30
Arrays = dict[str, np.ndarray[Any, Any]]
SAME = ("rows", "student", "result", "removed")


@pytest.fixture(scope="module")
def runner(server: ForkServer) -> Runner:
    return Runner(server)


@pytest.fixture(scope="module")
def expected(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert runner.run(folder).code == 0
    return outcome(folder)


@pytest.fixture(scope="module")
def halted(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that stopped after its checkpoints 2 and 4."""
    folder = tmp_path_factory.mktemp("halted")
    stop = Kill(4, "RunFolder.append_metrics:after", number=signal.SIGTERM)
    assert runner.run(folder, kill=stop).code == 143
    return folder


@pytest.fixture
def folder(halted: Path, tmp_path: Path) -> Path:
    """A stranger's copy of it; `copy/run` is the run, beside it its plan cache."""
    copy = tmp_path / "copy"
    shutil.copytree(halted, copy)
    configure(copy, cache=str(copy / "plans.sqlite"))
    return copy


def configure(folder: Path, **fields: Any) -> None:
    """Change fields of the stored configuration."""
    path = folder / "run" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def nothing(_value: Any) -> None:
    """No change."""


def checkpoint(folder: Path, iteration: int) -> Path:
    return folder / "run" / "checkpoints" / str(iteration)


def change_record(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change both checkpoints' records and make their digests right again."""
    for iteration in (2, 4):
        path = checkpoint(folder, iteration) / "record.json"
        whole = json.loads(path.read_text())
        change(whole["record"])
        whole["record_sha256"] = digest_of(whole["record"])
        tensors = (path.parent / "tensors.safetensors").read_bytes()
        whole["tensors_sha256"] = hashlib.sha256(tensors).hexdigest()
        path.write_text(json.dumps(whole))


def change_tensors(folder: Path, change: Callable[[Arrays], object]) -> None:
    """Change both checkpoints' tensors and make the digests right again."""
    for iteration in (2, 4):
        path = checkpoint(folder, iteration) / "tensors.safetensors"
        arrays = dict(load_file(path))
        change(arrays)
        save_file(arrays, path)
    change_record(folder, nothing)


def assert_begins_anew(
    runner: Runner, folder: Path, expected: dict[str, Any], says: str = ""
) -> None:
    """What cannot be trusted is set aside, and the run is made from its start."""
    done = runner.go_on(folder)
    assert done.code == 0, done.err
    assert_only_notices(done, says)
    assert "it begins anew" in done.err
    found = outcome(folder)
    assert {name: found[name] for name in SAME} == {name: expected[name] for name in SAME}


class TestPaths:
    @pytest.mark.parametrize(
        "name",
        [
            *("config.json", "metrics.jsonl", "trace.sqlite", "trace.sqlite-wal", ".lock"),
            *("summary.json", "checkpoints", "checkpoints/4"),
            *("checkpoints/4/record.json", "student.safetensors", ".metrics.jsonl.tmp"),
        ],
    )
    def test_no_link_is_followed(
        self, runner: Runner, folder: Path, name: str, tmp_path: Path
    ) -> None:
        victim, path = tmp_path / "victim", folder / "run" / name
        if path.exists():
            path.rename(victim)
        else:
            victim.write_text("years of work")
        path.symlink_to(victim)
        before = look(victim)
        assert_one_line(runner.go_on(folder), str(path), "symbolic link")
        assert look(victim) == before

    @pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "trace.sqlite", ".lock"])
    def test_no_pipe_is_opened(self, runner: Runner, folder: Path, name: str) -> None:
        path = folder / "run" / name
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        assert_one_line(runner.go_on(folder), str(path), "no plain file")
        listed = runner.server.run(["runs", "list", str(folder), "--json"])
        assert listed.code == 0

    def test_the_stored_place_of_the_run_does_not_count(
        self, runner: Runner, folder: Path, tmp_path: Path, expected: dict[str, Any]
    ) -> None:
        configure(folder, run_dir=str(tmp_path / "elsewhere"))
        assert runner.go_on(folder).code == 0
        assert outcome(folder) == expected
        assert not (tmp_path / "elsewhere").exists()

    def test_a_plan_cache_is_not_made_of_another_file(
        self, runner: Runner, folder: Path, tmp_path: Path
    ) -> None:
        thesis = tmp_path / "thesis.txt"
        thesis.write_text("years of work\n" * 100)
        other = tmp_path / "bookmarks.sqlite"
        with sqlite3.connect(other) as connection:
            connection.execute("CREATE TABLE bookmarks (address TEXT)")
        connection.close()
        for victim in (thesis, other):
            before = victim.read_bytes()
            configure(folder, cache=str(victim))
            assert_one_line(runner.go_on(folder), str(victim))
            assert victim.read_bytes() == before
        assert not list(tmp_path.glob("*.damaged-*"))


def look(path: Path) -> Any:
    if path.is_dir():
        return {str(p.relative_to(path)): look(p) for p in path.rglob("*") if p.is_file()}
    return path.read_bytes()


class TestCode:
    @pytest.mark.parametrize("field", ["env", "provider"])
    @pytest.mark.parametrize("name", ["evil.py", "evil/__init__.py", "evil.pyc", "evil.abi3.so"])
    def test_code_in_a_run_folder_does_not_run(
        self,
        runner: Runner,
        folder: Path,
        field: str,
        name: str,
        tmp_path: Path,
    ) -> None:
        """Python looks for code in the working directory; here that is the run folder."""
        mark = tmp_path / "it ran"
        path = folder / "run" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\n")
        configure(folder, **{field: "evil:make"})
        assert_one_line(runner.go_on(folder, cwd=str(folder / "run")), str(path), "is code")
        assert_one_line(runner.go_on(folder), str(path), "is code")
        assert not mark.exists()

    def test_a_package_that_the_program_itself_may_look_for(
        self, runner: Runner, folder: Path
    ) -> None:
        (folder / "run" / "langchain_groq.py").write_text("raise SystemExit('it ran')")
        done = runner.go_on(folder, cwd=str(folder / "run"))
        assert_one_line(done, "langchain_groq.py is code")

    def test_somebodys_own_scripts_do_no_harm_elsewhere(self, runner: Runner, folder: Path) -> None:
        """The run names no code of its own and Python looks elsewhere."""
        configure(folder, env="SimpleDoorKey", steps=64)
        shutil.rmtree(folder / "run" / "checkpoints")
        (folder / "run" / "plot.py").write_text("raise SystemExit('it ran')")
        done = runner.go_on(folder)
        assert done.code == 0, done.err

    @pytest.mark.parametrize("place", ["tensors", "student"])
    def test_no_pickle_is_read(
        self, runner: Runner, folder: Path, place: str, tmp_path: Path, expected: dict[str, Any]
    ) -> None:
        mark = tmp_path / "it ran"
        content = pickle.dumps(Touch(str(mark)))
        if place == "student":
            path = folder / "run" / "student.safetensors"
            path.write_bytes(content)
            assert_one_line(runner.server.run(["eval", str(folder / "run")]), str(path))
        else:
            for iteration in (2, 4):
                (checkpoint(folder, iteration) / "tensors.safetensors").write_bytes(content)
            change_record(folder, nothing)
            assert_begins_anew(runner, folder, expected)
        assert not mark.exists()


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


DEEP = "[" * 100_000
RECORDS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no-state": lambda record: record.pop("state"),
    "state-is-a-list": lambda record: record.update(state=[]),
    "no-collector": lambda record: record.update(collector=None),
    "fewer-environments": lambda record: record["collector"]["log"]["ages"].pop(),
    "a-log-of-texts": lambda record: record["collector"]["log"].update(recent=["ab", "cd"]),
    "another-generator": lambda record: record["ppo"].update(rng={"bit_generator": "MT19937"}),
    "a-generator-of-texts": lambda record: record["collector"]["rng"].update(state="x"),
    "counters-of-texts": lambda record: record["teacher"]["counters"].update(calls="many"),
    "rests-of-texts": lambda record: record["teacher"]["scheduler"].update(back_offs={"1": "soon"}),
    "unknown-phase": lambda record: record["seconds"].update(idle_s=3.0),
    "time-is-a-text": lambda record: record.update(wall_s="long"),
    "endless-time": lambda record: record.update(wall_s=math.inf),
    "time-is-no-number": lambda record: record.update(wall_s=math.nan),
    "time-below-zero": lambda record: record.update(wall_s=-1e9),
    "endless-phase": lambda record: record["seconds"].update(update_s=math.inf),
    "endless-returns": lambda record: record["collector"]["log"]["running"].update(
        returns=[math.nan] * len(record["collector"]["log"]["ages"])
    ),
    "endless-cost": lambda record: record["teacher"]["counters"].update(usd=math.inf),
}


def wide(arrays: Arrays) -> None:
    arrays["network.value_head.weight"] = np.zeros((1, 7), np.float32)


def moments(arrays: Arrays) -> None:
    name = next(name for name in arrays if name.endswith("exp_avg"))
    arrays[name] = np.zeros(3, np.float32)


TENSORS: dict[str, Callable[[Arrays], object]] = {
    "no-network": lambda arrays: [arrays.pop(n) for n in list(arrays) if n.startswith("network")],
    "another-network": wide,
    "other-moments": moments,
    "odd-names": lambda arrays: arrays.update({"adam.x.y.z": np.zeros(1, np.float32)}),
    "no-actions": lambda arrays: arrays.pop("collector.replay.actions"),
    "actions-out-of-range": lambda arrays: arrays["collector.replay.actions"].fill(10**9),
    "actions-below-range": lambda arrays: arrays["collector.replay.actions"].fill(-7),
    "actions-of-others": lambda arrays: arrays.update(
        {"collector.replay.actions": np.zeros((9, 2), int)}
    ),
    "actions-as-floats": lambda arrays: arrays.update(
        {"collector.replay.actions": np.zeros((4, 1))}
    ),
    "actions-in-a-row": lambda arrays: arrays.update(
        {"collector.replay.actions": np.zeros(4, int)}
    ),
    "episodes-below-zero": lambda arrays: arrays["collector.replay.episodes"].fill(-(2**62)),
    "endless-episodes": lambda arrays: arrays.update(
        {"collector.replay.actions": np.zeros((4, 99), int)}
    ),
}


STATES: dict[str, Callable[[dict[str, Any]], object]] = {
    "steps-are-a-text": lambda state: state.update(env_steps="many"),
    "a-check-of-texts": lambda state: state["teacher_check"].update(fresh="many"),
    "a-schedule-of-texts": lambda state: state["weight_schedule"].update(factor="all"),
    "an-unknown-phase": lambda state: state.update(phase="resting"),
    "endless-weight": lambda state: state.update(teacher_weight=math.inf),
    "a-weight-that-is-no-number": lambda state: state.update(teacher_weight=math.nan),
    "steps-beyond-all": lambda state: state.update(env_steps=10**30),
    "a-check-below-zero": lambda state: state["teacher_check"].update(batches=-1),
    "a-check-beyond-all": lambda state: state["teacher_check"].update(batches=10**30),
    "another-iteration": lambda state: state.update(iteration=3),
    "advice-is-a-text": lambda state: state.update(advice="pull"),
    "advice-without-plans": lambda state: state.update(advice={"0": {"plans": [], "probs": []}}),
    "advice-on-no-option": lambda state: state.update(
        advice={"0": {"plans": [[{"name": "fly", "target": "home"}]], "probs": [1.0]}}
    ),
    "advice-on-no-situation": lambda state: state.update(
        advice={"99": {"plans": [[{"name": "pull", "target": None}]], "probs": [1.0]}}
    ),
    "no-situation-is-rejected": lambda state: state["teacher_check"].update(rejected=[-1]),
    "no-situation-lies-ahead": lambda state: state["teacher_check"].update(ahead=[10**30]),
    "no-situation-is-met": lambda state: state["teacher_check"].update(met={"x": ""}),
    "situations-of-texts": lambda state: state.update(
        advice={"x": {"plans": [[{"name": "pull", "target": None}]], "probs": [1.0]}}
    ),
}


class TestValues:
    @pytest.mark.parametrize(
        "name",
        [
            "fewer-environments",
            "endless-time",
            *(pytest.param(n, marks=pytest.mark.slow) for n in RECORDS),
        ],
    )
    def test_a_record_of_anything(
        self, runner: Runner, folder: Path, name: str, expected: dict[str, Any]
    ) -> None:
        change_record(folder, RECORDS[name])
        assert_begins_anew(runner, folder, expected)

    @pytest.mark.parametrize(
        "name",
        ["actions-out-of-range", *(pytest.param(n, marks=pytest.mark.slow) for n in TENSORS)],
    )
    def test_tensors_of_anything(
        self, runner: Runner, folder: Path, name: str, expected: dict[str, Any]
    ) -> None:
        change_tensors(folder, TENSORS[name])
        assert_begins_anew(runner, folder, expected)

    @pytest.mark.parametrize(
        "name",
        [
            "advice-on-no-option",
            "endless-weight",
            "advice-on-no-situation",
            *(pytest.param(n, marks=pytest.mark.slow) for n in STATES),
        ],
    )
    def test_a_state_of_anything(
        self, runner: Runner, folder: Path, name: str, expected: dict[str, Any]
    ) -> None:
        change_record(folder, lambda record: STATES[name](record["state"]))
        assert_begins_anew(runner, folder, expected)

    def test_the_tampering_itself_is_not_what_is_refused(
        self, runner: Runner, folder: Path, expected: dict[str, Any]
    ) -> None:
        change_tensors(folder, nothing)
        change_record(folder, lambda record: nothing(record["state"]))
        assert runner.go_on(folder).code == 0
        assert outcome(folder) == expected


class TestSizes:
    """Each file is sparse: it takes no room on the disk and would take all of the memory."""

    def test_tensors_that_are_absurdly_large(
        self, runner: Runner, folder: Path, expected: dict[str, Any]
    ) -> None:
        for iteration in (2, 4):
            os.truncate(checkpoint(folder, iteration) / "tensors.safetensors", 300 * GIB)
        done = runner.go_on(folder, memory=2 * GIB)
        assert_only_notices(done)
        assert outcome(folder)["student"] == expected["student"]

    @pytest.mark.parametrize("name", ["config.json", "summary.json", "checkpoints/4/record.json"])
    def test_json_that_is_absurdly_large(self, runner: Runner, folder: Path, name: str) -> None:
        os.truncate(folder / "run" / name, JSON_LIMIT + 1)
        done = runner.go_on(folder, memory=2 * GIB)
        if "checkpoints" in name:
            assert_only_notices(done)
        else:
            assert_one_line(done, str(folder / "run" / name), "bytes are no JSON of a run")

    @pytest.mark.parametrize("name", ["config.json", "summary.json", "checkpoints/4/record.json"])
    @pytest.mark.parametrize(
        "deep", [DEEP, pytest.param('{"a":' * 100_000, marks=pytest.mark.slow)]
    )
    def test_json_that_nests_deeply(
        self, runner: Runner, folder: Path, name: str, deep: str
    ) -> None:
        path = folder / "run" / name
        path.write_text(deep)
        done = runner.go_on(folder)
        if "checkpoints" in name:
            assert_only_notices(done)
        else:
            assert_one_line(done, str(path), "damaged")

    def test_a_line_of_metrics_that_never_ends(
        self, runner: Runner, folder: Path, expected: dict[str, Any]
    ) -> None:
        os.truncate(folder / "run" / "metrics.jsonl", GIB // 4)
        done = runner.go_on(folder, memory=GIB)
        assert_only_notices(done)
        found = outcome(folder)
        assert found["rows"] == expected["rows"]


class TestVersions:
    """What a newer program wrote is refused and stays as it is."""

    @pytest.mark.parametrize("name", ["config.json", "summary.json", "checkpoints/4/record.json"])
    def test_json(self, runner: Runner, folder: Path, name: str) -> None:
        path = folder / "run" / name
        stored = json.loads(path.read_text())
        path.write_text(json.dumps(stored | {"schema_version": 99}))
        before = look(folder / "run" / "checkpoints")
        assert_one_line(runner.go_on(folder), str(path), "schema_version 99 is newer than ")
        after = look(folder / "run" / "checkpoints")
        assert {k: v for k, v in after.items() if k in before} == before

    @pytest.mark.parametrize("name", ["run/trace.sqlite", "plans.sqlite"])
    def test_sqlite(self, runner: Runner, folder: Path, name: str) -> None:
        path = folder / name
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        assert_one_line(runner.go_on(folder), str(path), "version 99 is newer than")
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)
        connection.close()
        assert not list(path.parent.glob("*.damaged-*"))
