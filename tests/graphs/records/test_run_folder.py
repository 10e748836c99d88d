"""The run folder, and what goes into its summary: phase times and success intervals."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import binomtest

from helpers.tiny_runs import ROOT
from tutelage.agents.common.files import RunFolderError
from tutelage.agents.common.invocation import command
from tutelage.graphs.records.run_folder import RunFolder, default_run_dir, list_runs
from tutelage.graphs.records.shapes import MetricsRow, Summary, TimeShares
from tutelage.graphs.records.versions import CONFIG
from tutelage.graphs.runtime.timers import PHASES, PhaseTimers
from tutelage.rl.rollouts.statistics import wilson_interval

SUMMARY: dict[str, Any] = {
    "schema_version": 1,
    "graph": "teacher_student",
    "env": "MiniGrid-DoorKey-8x8-v0",
    "provider": "offline",
    "seed": 3,
    "env_steps": 100_000,
    "wall_s": 12.5,
    "steps_per_s": 9000.0,
    "status": "finished",
    "student": {
        "success_rate": 0.98,
        "ci95": [0.96, 0.99],
        "episodes": 500,
        "mean_return": 0.9,
        "mean_length": 21.5,
        "argmax_success_rate": 0.99,
    },
    "teacher": {
        "success_rate": 0.7,
        "ci95": [0.6, 0.8],
        "episodes": 100,
        "mean_return": 0.6,
        "mean_length": 80.0,
    },
    "teacher_removed_at_step": 60_000,
    "steps_to_95": None,
    "trial_steps": 4096,
    "total_steps": 104_096,
    "total_steps_to_95": None,
    "evaluations": 10,
    "advice": {
        "followed_steps": 40_000,
        "verdict": "helps",
        "evidence": "16 of 16 episodes succeeded",
        "rejected": 0,
        "covered": 0.83,
    },
    "outcome": {"code": "taught", "sentence": "The student was taught by offline."},
    "time": {f"{name}_s": 1.0 for name in PHASES},
    "llm": {
        "calls": 40,
        "situations": 40,
        "cache_hits": 2,
        "prompt_tokens": 30_000,
        "completion_tokens": 900,
        "cost_usd": None,
        "failures": 1,
        "fallbacks": 1,
    },
}

numbers = st.one_of(st.none(), st.floats())
measured = [
    *("train_success", "train_return", "teacher_weight", "teacher_success"),
    *("advised_share", "agreement"),
    *("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction"),
    "explained_variance",
]
evaluated = ["eval_success", "eval_return", "eval_length"]
rows = st.fixed_dictionaries(
    {
        "iteration": st.integers(0, 2**40),
        "env_steps": st.integers(0, 2**62),
        "wall_s": st.floats(0, allow_nan=False, allow_infinity=False),
        "llm_calls": st.integers(0, 2**40),
        "cache_hits": st.integers(0, 2**40),
    },
    optional=dict.fromkeys([*measured, *evaluated], numbers),
)


def row(iteration: int, **more: Any) -> dict[str, Any]:
    counters = {"env_steps": 64 * iteration, "wall_s": 0.5, "llm_calls": 0, "cache_hits": 0}
    return {"iteration": iteration, **counters, **more}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run")


def one_line(error: pytest.ExceptionInfo[RunFolderError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_create_makes_the_parents_and_takes_an_empty_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    path.mkdir(parents=True)
    assert RunFolder.create(path).checkpoints.is_dir()
    assert RunFolder.create(tmp_path / "c" / "d").checkpoints.is_dir()


def test_a_folder_in_use_is_refused_with_a_hint_that_a_shell_can_run(tmp_path: Path) -> None:
    path = tmp_path / "my run"
    path.mkdir()
    (path / "thesis.tex").write_text("work of years")
    with pytest.raises(RunFolderError) as error:
        RunFolder.create(path)
    assert one_line(error) == (
        f"{path} is not empty; choose another --run-dir, or continue that run with:"
        f" {command()} resume '{path}'"
    )
    assert [p.name for p in path.iterdir()] == ["thesis.tex"]


def test_places_that_cannot_be_written_are_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "below", Path("/proc/nowhere/run"), tmp_path / ("x" * 300)):
        with pytest.raises(RunFolderError) as error:
            RunFolder.create(path)
        assert f"cannot make the run folder {path}: " in one_line(error)


def test_open_refuses_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no such run folder"):
        RunFolder.open(tmp_path / "missing")
    with pytest.raises(RunFolderError, match=r"no config\.json"):
        RunFolder.open(tmp_path)


def test_config_round_trip_adds_versions(run: RunFolder) -> None:
    config = {"graph": "teacher_student", "ppo": {"lr": 3e-4, "epochs": 4}, "name": "größe"}
    run.write_config(config)
    stored = RunFolder.open(run.path).read_config()
    assert stored.pop("schema_version") == CONFIG
    versions = stored.pop("versions")
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"torch", "numpy", "gymnasium", "minigrid"} < set(versions)
    assert stored == config


def test_json_files_never_hold_what_json_has_no_word_for(run: RunFolder) -> None:
    run.write_config({"lr": 1.0})
    for bad in (math.nan, math.inf, object()):
        with pytest.raises((ValueError, TypeError)):
            run.write_config({"lr": bad})
    assert run.read_config()["lr"] == 1.0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"schema_version": 99}', "schema_version 99 is newer than "),
        (b"{}", "schema_version is None"),
        (b'{"schema_version": "1"}', "schema_version is '1'"),
        (b'{"schema_ver', "damaged"),
        (b"[1]", "no JSON object"),
        (b"\xff\xfe", "damaged"),
        (b"", "damaged"),
    ],
)
def test_damaged_or_newer_files_say_so(run: RunFolder, content: bytes, problem: str) -> None:
    run.config.write_bytes(content)
    run.summary.write_bytes(content)
    for read, path in ((run.read_config, run.config), (run.read_summary, run.summary)):
        with pytest.raises(RunFolderError) as error:
            read()
        assert problem in one_line(error)
        assert str(path) in one_line(error)


@given(st.lists(rows, max_size=4))
def test_metrics_round_trip(tmp_path_factory: pytest.TempPathFactory, written: list[Any]) -> None:
    run = RunFolder.create(tmp_path_factory.mktemp("runs") / "run")
    for each in written:
        run.append_metrics(each)

    def as_stored(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    read = run.read_metrics()
    assert len(read) == len(written)
    for given_row, read_row in zip(written, read, strict=True):
        absent = dict.fromkeys(measured) | {"trial_steps": 0, "doubted": 0}
        expected = absent | {k: as_stored(v) for k, v in given_row.items()}
        assert read_row.model_dump() == expected
    lines = run.metrics.read_text().splitlines() if written else []
    assert [json.loads(line) for line in lines] == [r.model_dump() for r in read]


def test_metrics_refuse_other_keys_and_missing_counters(run: RunFolder) -> None:
    with pytest.raises(ValidationError, match="rewards"):
        run.append_metrics(row(0, rewards=1.0))
    with pytest.raises(ValidationError, match="env_steps"):
        run.append_metrics({k: v for k, v in row(0).items() if k != "env_steps"})
    assert run.read_metrics() == []


@given(cut=st.integers(1, 400))
def test_a_torn_last_line_is_skipped_and_then_replaced(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    run = RunFolder.create(tmp_path_factory.mktemp("runs") / "run")
    run.append_metrics(row(0))
    whole = run.metrics.stat().st_size
    run.append_metrics(row(1, train_success=0.5))
    size = run.metrics.stat().st_size
    os.truncate(run.metrics, max(size - cut, whole + 1))
    assert [r.iteration for r in run.read_metrics()] == [0]
    run.append_metrics(row(1))
    run.append_metrics(row(2))
    assert [r.iteration for r in run.read_metrics()] == [0, 1, 2]


@pytest.mark.parametrize("damage", [b"{}", b"", b'{"iteration": 1', b"\xff", b"\x00" * 9])
def test_any_other_damaged_line_is_named(run: RunFolder, damage: bytes) -> None:
    run.append_metrics(row(0))
    good = run.metrics.read_bytes()
    run.metrics.write_bytes(good + damage + b"\n" + good)
    with pytest.raises(RunFolderError) as error:
        run.read_metrics()
    assert f"{run.metrics}, line 2 is damaged" in one_line(error)


def test_cut_metrics_keeps_the_earlier_lines_as_they_were(run: RunFolder) -> None:
    for i in range(1, 6):
        run.append_metrics(row(i, train_return=0.1 * i))
    lines = run.metrics.read_bytes().splitlines(keepends=True)
    with run.metrics.open("ab") as file:
        file.write(b'{"iteration": 6, "env_st')
    assert run.cut_metrics(3) is None
    assert run.metrics.read_bytes() == b"".join(lines[:3])
    assert run.cut_metrics(3) is None, "a second time changes nothing"


@pytest.mark.parametrize("damage", [b"{}\n", b"\xff\n", b"\0" * 200_000 + b"\n", b""])
def test_cut_metrics_sets_a_damaged_file_aside_and_keeps_its_rows(
    run: RunFolder, damage: bytes
) -> None:
    for i in (1, 2, 3):
        run.append_metrics(row(i))
    lines = run.metrics.read_bytes().splitlines(keepends=True)
    raw = lines[0] + damage + lines[2]
    run.metrics.write_bytes(raw)
    problem = run.cut_metrics(3)
    assert str(run.metrics) in (problem or "")
    assert run.metrics.read_bytes() == lines[0] + lines[2]
    assert (run.path / "metrics.jsonl.damaged-1").read_bytes() == raw


@pytest.mark.parametrize(("version", "age"), [(99, "newer"), (1, "older")])
def test_a_configuration_of_another_version_is_refused(
    run: RunFolder, version: int, age: str
) -> None:
    run.write_config({"lr": 0.5})
    run.write_json("config.json", {**run.read_config(), "schema_version": version})
    with pytest.raises(RunFolderError, match=f"schema_version {version} is {age} than"):
        run.read_config()


def test_a_begun_folder_without_a_configuration_can_be_used_again(tmp_path: Path) -> None:
    """What a process leaves that was killed before it had written the configuration."""
    path = tmp_path / "run"
    (path / "checkpoints").mkdir(parents=True)
    (path / ".config.json.tmp").write_text("{")
    RunFolder.create(path)
    (path / "checkpoints" / "mine").write_text("not ours")
    with pytest.raises(RunFolderError, match="is not empty"):
        RunFolder.create(path)


def test_a_deleted_folder_does_not_come_back(run: RunFolder) -> None:
    run.append_metrics(row(1))
    shutil.rmtree(run.path)
    for write in (
        lambda: run.append_metrics(row(2)),
        lambda: run.write_json("checkpoints/1/record.json", {}),
        lambda: run.write_summary(SUMMARY),
    ):
        with pytest.raises(RunFolderError, match=str(run.path)):
            write()
    assert not run.path.exists()


def test_summary_round_trip_has_exactly_the_documented_keys(run: RunFolder) -> None:
    assert run.read_summary() is None
    run.write_summary(SUMMARY)
    assert json.loads(run.summary.read_text()) == SUMMARY
    assert run.read_summary() == Summary.model_validate(SUMMARY)
    run.write_summary({**SUMMARY, "status": "interrupted", "student": None, "teacher": None})
    summary = run.read_summary()
    assert summary is not None
    assert summary.student is None


def test_an_older_summary_is_completed_by_the_rows_of_its_run(run: RunFolder) -> None:
    """The total follows from its parts; what evaluations told is in metrics.jsonl."""
    new = ("total_steps", "total_steps_to_95", "evaluations")
    old = {name: value for name, value in SUMMARY.items() if name not in new}
    run.write_json("summary.json", {**old, "steps_to_95": 128})
    for number in (1, 2, 3):
        run.append_metrics(row(number, trial_steps=500 * number, eval_success=0.96))
    summary = run.read_summary()
    assert summary is not None
    assert (summary.total_steps, summary.evaluations) == (104_096, 3)
    assert (summary.steps_to_95, summary.total_steps_to_95) == (128, 1128)


@pytest.mark.parametrize("rows_there", [b"", b"{no row}\n"])
def test_a_summary_is_read_whatever_has_become_of_the_rows(
    run: RunFolder, rows_there: bytes
) -> None:
    run.metrics.write_bytes(rows_there)
    run.write_json("summary.json", {**SUMMARY, "evaluations": None, "steps_to_95": 128})
    summary = run.read_summary()
    assert summary is not None
    assert (summary.evaluations, summary.total_steps_to_95) == (None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "done"},
        {"extra": 1},
        {"student": {**SUMMARY["student"], "success_rate": 1.2}},
        {"student": {**SUMMARY["student"], "mean_return": math.nan}},
        {"teacher": {**SUMMARY["teacher"], "argmax_success_rate": 1.0}},
        {"time": {"collect_s": 1.0}},
        {"env_steps": -1},
        {"schema_version": 2},
    ],
)
def test_summary_refuses_other_shapes(run: RunFolder, change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        run.write_summary({**SUMMARY, **change})
    assert not run.summary.exists()


def test_a_failed_write_leaves_the_old_file(run: RunFolder) -> None:
    run.write_atomic("student.safetensors", lambda path: _write(path, b"old"))

    def fails(path: Path) -> None:
        path.write_bytes(b"half of the new")
        raise RuntimeError("no tensors today")

    with pytest.raises(RuntimeError, match="no tensors today"):
        run.write_atomic("student.safetensors", fails)
    with pytest.raises(RunFolderError, match=r"cannot write .*student\.safetensors"):
        run.write_atomic("student.safetensors", lambda _path: None)
    assert run.student.read_bytes() == b"old"
    assert sorted(p.name for p in run.path.iterdir()) == ["checkpoints", "student.safetensors"]


def test_a_crash_in_the_middle_of_a_write_leaves_the_old_file(run: RunFolder) -> None:
    run.write_atomic("checkpoints/7/state.bin", lambda path: _write(path, b"old"))
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tutelage.graphs.records.run_folder import RunFolder\n"
        "def dies(path):\n"
        "    path.write_bytes(b'half of the new')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "RunFolder(Path(sys.argv[1])).write_atomic('checkpoints/7/state.bin', dies)\n"
    )
    crashed = subprocess.run([sys.executable, "-c", script, str(run.path)], cwd=ROOT / ".package")
    assert crashed.returncode == -9
    folder = run.checkpoints / "7"
    assert (folder / "state.bin").read_bytes() == b"old"
    run.write_atomic("checkpoints/7/state.bin", lambda path: _write(path, b"new"))
    assert [(p.name, p.read_bytes()) for p in folder.iterdir()] == [("state.bin", b"new")]


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def test_who_reads_during_a_write_reads_the_old_file(run: RunFolder) -> None:
    run.write_json("state.json", {"iteration": 1})
    with (run.path / "state.json").open() as file:
        run.write_json("state.json", {"iteration": 2})
        assert json.load(file) == {"iteration": 1}
    assert run.read_json("state.json") == {"iteration": 2}


def test_default_run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    now = datetime(2031, 2, 3, 4, 5, 6)

    def next_dir() -> str:
        path = default_run_dir("teacher_student", "my/env:Task", 7, now)
        RunFolder.create(path)
        return str(path)

    first = "runs/20310203-040506-teacher_student-my-env-Task-7"
    assert [next_dir() for _ in range(3)] == [first, f"{first}-2", f"{first}-3"]


def test_list_runs_newest_first_and_damaged_ones_with_their_problem(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "missing") == []
    for age, name in enumerate(["sweep/seed1", "finished", "damaged", "odd summary"]):
        run = RunFolder.create(tmp_path / name)
        run.write_config({"seed": age})
        os.utime(run.config, (1e9 - age, 1e9 - age))
    run = RunFolder.open(tmp_path / "finished")
    run.write_summary(SUMMARY)
    run.write_json("checkpoints/config.json", {"not": "a run"})
    (tmp_path / "damaged" / "config.json").write_text("{")
    os.utime(tmp_path / "damaged" / "config.json", (1, 1))
    (tmp_path / "odd summary" / "summary.json").write_text('{"schema_version": 1, "graph": 5}')
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling" / "config.json").symlink_to("nowhere")
    (tmp_path / "not a run").mkdir()

    entries = list_runs(tmp_path)
    names = ["dangling", "sweep/seed1", "finished", "odd summary", "damaged"]
    assert [str(e.path.relative_to(tmp_path)) for e in entries] == names
    dangling, unfinished, finished, odd, damaged = entries
    assert (unfinished.config or {})["seed"] == 0
    assert unfinished.summary is None
    assert unfinished.problem is None
    assert finished.summary is not None
    assert finished.problem is None
    assert odd.config is not None
    for entry, problem in ((odd, "graph"), (damaged, "damaged"), (dangling, "cannot read")):
        assert entry.summary is None
        assert problem in (entry.problem or "")


@given(st.integers(1, 100_000), st.data(), st.floats(0.5, 0.999))
def test_wilson_interval_is_that_of_scipy(n: int, data: st.DataObject, level: float) -> None:
    k = data.draw(st.integers(0, n))
    known = binomtest(k, n).proportion_ci(level, method="wilson")
    low, high = wilson_interval(k, n, level)
    assert (low, high) == pytest.approx((known.low, known.high), abs=1e-9)
    assert 0.0 <= low <= k / n <= high <= 1.0


def test_wilson_interval_without_episodes() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    for successes, episodes in ((1, 0), (5, 4), (-1, 4)):
        with pytest.raises(ValueError, match="must"):
            wilson_interval(successes, episodes)


def test_nested_phases_count_for_the_innermost_only() -> None:
    timers = PhaseTimers()
    begun = time.perf_counter()
    with timers.phase("graph"):
        time.sleep(0.02)
        with timers.phase("collect"), timers.phase("collect"):
            time.sleep(0.04)
            with suppress(RuntimeError), timers.phase("advice"):
                time.sleep(0.03)
                raise RuntimeError
        time.sleep(0.02)
        open_yet = timers.seconds()
    time.sleep(0.02)
    wall = time.perf_counter() - begun
    seconds = timers.seconds()
    assert 0.04 <= open_yet["graph_s"] <= seconds["graph_s"]
    assert seconds["collect_s"] >= 0.04
    assert seconds["advice_s"] >= 0.03
    assert sum(seconds.values()) <= wall - 0.02
    assert seconds["update_s"] == 0.0


def test_timers_fill_the_summary() -> None:
    timers = PhaseTimers()
    timers.add("import", 2.5)
    assert TimeShares.model_validate(timers.seconds()).import_s == 2.5
    with pytest.raises(KeyError):
        timers.phase("nap")  # type: ignore[arg-type]  # what an untyped caller would do


def test_rows_are_typed(run: RunFolder) -> None:
    run.append_metrics(MetricsRow.model_validate(row(1, eval_success=0.5)))
    assert run.read_metrics()[0].eval_success == 0.5


def test_a_run_cut_short_before_its_configuration_can_be_begun_again(tmp_path: Path) -> None:
    """Its prompts are recorded first; a folder of that name alone is somebody else's."""
    RunFolder.create(tmp_path / "run").write_prompts({"planner_system": "text"})
    again = RunFolder.create(tmp_path / "run")
    again.write_prompts({"planner_system": "other"})
    assert (again.prompts / "planner_system.md").read_text() == "other"
    (tmp_path / "mine" / "prompts").mkdir(parents=True)
    with pytest.raises(RunFolderError, match="not empty"):
        RunFolder.create(tmp_path / "mine")


def test_a_folder_can_be_opened_while_its_run_goes_on(run: RunFolder) -> None:
    """Files come and go between listing a folder and looking at them."""
    run.write_config({})
    over = threading.Event()

    def go_on() -> None:
        for number in itertools.cycle(range(8)):
            if over.is_set():
                return
            place = run.checkpoints / str(number)
            place.mkdir()
            (place / "record.json").touch()
            (place / "record.json").unlink()
            place.rmdir()

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        for _ in range(2000):
            RunFolder.open(run.path)
    finally:
        over.set()
        writer.join()
