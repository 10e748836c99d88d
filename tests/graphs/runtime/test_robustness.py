"""Runs on machines that fail them: full disks, missing rights, damaged files, company."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers.fork_server import ForkServer, Kill
from helpers.small_runs import Runner, assert_one_line, assert_only_notices, assert_tidy, outcome
from helpers.tiny_runs import IMPORTABLE
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.graphs.records.run_folder import RunFolder

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system: needs root")
KIB = 1024


@pytest.fixture(scope="module")
def runner(server: ForkServer) -> Runner:
    return Runner(server)


@pytest.fixture(scope="module")
def expected(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of a run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = runner.run(folder)
    assert done.code == 0, done.err
    return outcome(folder)


@contextmanager
def small_disk(place: Path, kib: int) -> Iterator[Path]:
    """A file system of that size at a place."""
    place.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr!r}")


def assert_goes_on(runner: Runner, folder: Path, expected: dict[str, Any]) -> None:
    """With the trouble gone, a resume leads to where the undisturbed run went."""
    done = runner.go_on(folder)
    assert done.code == 0, done.err
    assert outcome(folder) == expected
    assert_tidy(folder)


def interrupted(runner: Runner, folder: Path) -> None:
    """A run that was killed after its second checkpoint."""
    assert runner.run(folder, kill=Kill(5, "RunFolder.append_metrics:after")).code == -9


class TestTheMachine:
    @ROOT_ONLY
    @pytest.mark.parametrize(
        "kib",
        [200, 320, *(pytest.param(n, marks=pytest.mark.slow) for n in range(40, 500, 40))],
    )
    def test_a_full_disk(
        self, runner: Runner, kib: int, tmp_path: Path, expected: dict[str, Any]
    ) -> None:
        with small_disk(tmp_path / "disk", kib) as disk:
            done = runner.run(disk, {"cache": tmp_path / "plans.sqlite"})
            line = assert_one_line(done)
            assert any(says in line for says in ("No space left", "disk is full", "may be full"))
            assert str(disk) in line
            mount("-o", "remount,size=50m", str(disk))
            if (disk / "run" / "config.json").exists():
                assert f"python cli.py resume {disk / 'run'}" in line
                assert_goes_on(runner, disk, expected)

    @ROOT_ONLY
    @pytest.mark.parametrize(
        "kib", [20, *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 40, 60, 80))]
    )
    def test_a_full_disk_under_the_plan_cache_stops_nothing(
        self, runner: Runner, kib: int, tmp_path: Path, expected: dict[str, Any]
    ) -> None:
        with small_disk(tmp_path / "disk", kib) as disk:
            done = runner.run(tmp_path, {"cache": disk / "plans.sqlite"})
        assert_only_notices(done)
        assert outcome(tmp_path) == expected
        assert done.err.count("going on without it") == 1

    @ROOT_ONLY
    def test_a_disk_that_can_only_be_read(
        self, runner: Runner, tmp_path: Path, expected: dict[str, Any]
    ) -> None:
        with small_disk(tmp_path / "disk", 50 * KIB) as disk:
            interrupted(runner, disk)
            mount("-o", "remount,ro", str(disk))
            before = contents(disk / "run")
            assert_one_line(runner.go_on(disk), str(disk), "Read-only file system")
            assert contents(disk / "run") == before
            other = runner.arguments(tmp_path)
            other[2] = str(disk / "other")
            assert_one_line(runner.server.run(other), str(disk / "other"), "Read-only")
            mount("-o", "remount,rw", str(disk))
            assert_goes_on(runner, disk, expected)

    @pytest.mark.parametrize(
        "size",
        [30_000, *(pytest.param(n, marks=pytest.mark.slow) for n in range(4000, 90_000, 9000))],
    )
    def test_a_limit_on_the_size_of_files(
        self, runner: Runner, size: int, tmp_path: Path, expected: dict[str, Any]
    ) -> None:
        done = runner.run(tmp_path, limits={"RLIMIT_FSIZE": size})
        assert_one_line(done, str(tmp_path))
        assert_goes_on(runner, tmp_path, expected)

    @pytest.mark.parametrize(
        "most", [14, *(pytest.param(n, marks=pytest.mark.slow) for n in range(4, 32, 2))]
    )
    def test_a_limit_on_open_files(
        self, runner: Runner, most: int, tmp_path: Path, expected: dict[str, Any]
    ) -> None:
        done = runner.run(tmp_path, limits={"RLIMIT_NOFILE": most})
        if done.code != 0:
            assert_one_line(done)
            assert_goes_on(runner, tmp_path, expected)
        else:
            assert outcome(tmp_path) == expected

    @pytest.mark.parametrize(
        "mib", [8, *(pytest.param(n, marks=pytest.mark.slow) for n in (12, 16, 24, 32, 48, 64))]
    )
    def test_a_limit_on_memory(self, runner: Runner, mib: int, tmp_path: Path) -> None:
        """64 MiB and more are asked for by the rollout's buffers alone."""
        large = {"num_envs": 4096, "ppo__num_steps": 512, "steps": 512 * 4096}
        done = runner.run(tmp_path, large, memory=mib * KIB * KIB)
        assert_one_line(done, "memory")

    def test_a_folder_deleted_under_the_run(self, runner: Runner, tmp_path: Path) -> None:
        child = runner.start(tmp_path, {"steps": 10**7})
        run = tmp_path / "run"
        await_that(lambda: (run / "checkpoints" / "4" / "record.json").exists())
        run.rename(tmp_path / "moved")
        line = assert_one_line(child.wait(), str(run))
        assert "resume" not in line
        assert not run.exists()
        stored = runner.server.run(["runs", "show", str(tmp_path / "moved"), "--json"])
        assert stored.code == 0
        assert json.loads(stored.out) == {
            "run_dir": str(tmp_path / "moved"),
            "status": "not finished",
        }


class TestCompany:
    def test_eight_runs_share_one_plan_cache(self, runner: Runner, tmp_path: Path) -> None:
        """Each with a teacher of another seed, so that each stores answers of its own."""
        children = []
        for seed in range(8):
            (tmp_path / str(seed)).mkdir()
            settings = {"teacher__seed": seed, "cache": tmp_path / "plans.sqlite"}
            children.append(runner.start(tmp_path / str(seed), settings))
        for child in children:
            done = child.wait()
            assert (done.code, done.err) == (0, "")
            assert "going on without it" not in done.err
        with closing(PlanCache(tmp_path / "plans.sqlite")) as cache:
            assert len(cache.entries()) == 8 * 4
        assert [p.name for p in tmp_path.glob("plans*")] == ["plans.sqlite"]

    @pytest.mark.slow
    def test_eight_writers_at_once_lose_nothing_and_wait_for_moments(self, tmp_path: Path) -> None:
        """In a tight loop: far more than eight runs would ever write."""
        path = tmp_path / "plans.sqlite"
        code = """
import sys, time
from pathlib import Path
from helpers.cache_entries import entry
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.graphs.records.run_folder import RunFolder
cache, name, worst = PlanCache(Path(sys.argv[1])), sys.argv[2], 0.0
print(flush=True)
sys.stdin.readline()
for i in range(30):
    began = time.monotonic()
    cache.put_many({f"{name}-{i}-{j}": entry() for j in range(4)})
    assert len(cache.get_many([f"{name}-{i}-{j}" for j in range(4)])) == 4
    worst = max(worst, time.monotonic() - began)
print(worst, len(cache.warnings))
"""
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(path), str(number)],
                env={**os.environ, "PYTHONPATH": IMPORTABLE},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(8)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "\n"
        reports = []
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("\n")
            writer.stdin.flush()
        for writer in writers:
            out, _ = writer.communicate(timeout=120)
            worst, warnings = out.split()
            assert (writer.returncode, warnings) == (0, "0")
            reports.append(float(worst))
        assert max(reports) < 10  # 0.1 to 0.3 s where nothing else keeps the processors busy
        with closing(PlanCache(path)) as cache:
            assert len(cache.entries()) == 8 * 30 * 4

    def test_a_folder_in_use_is_refused(self, runner: Runner, tmp_path: Path) -> None:
        child = runner.start(tmp_path, {"steps": 10**7})
        run = tmp_path / "run"
        await_that(lambda: (run / "checkpoints" / "4" / "record.json").exists())
        assert_one_line(runner.go_on(tmp_path), str(run), "in use: another process runs there")
        assert_one_line(runner.run(tmp_path), f"{run} is not empty")
        child.kill()
        assert child.wait().code == -9
        rows = RunFolder.open(run).read_metrics()
        assert [row.iteration for row in rows] == list(range(1, len(rows) + 1))
        child = runner.server.start(["resume", str(run)])
        newest = max(int(p.name) for p in (run / "checkpoints").iterdir() if p.name.isdecimal())
        await_that(lambda: (run / "checkpoints" / str(newest + 4) / "record.json").exists())
        assert_one_line(runner.go_on(tmp_path), "in use")
        child.kill(signal.SIGTERM)
        assert child.wait().code == 143


DAMAGES = ("truncated", "emptied", "flipped", "scrambled", "missing")
FILES = {
    "tensors": "run/checkpoints/4/tensors.safetensors",
    "record": "run/checkpoints/4/record.json",
    "trace": "run/trace.sqlite",
    "metrics": "run/metrics.jsonl",
    "config": "run/config.json",
    "plans": "plans.sqlite",
}


def damage(path: Path, how: str, seed: int) -> None:
    draw = random.Random(f"{path.name} {how} {seed}")
    for ending in ("-wal", "-shm"):
        path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)
    raw = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
        return
    if how == "truncated":
        raw = raw[: draw.randrange(1, len(raw))]
    elif how == "emptied":
        raw = bytearray()
    elif how == "flipped":
        raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
    else:
        start = draw.randrange(max(len(raw) - 4000, 1))
        raw[start : start + 4000] = draw.randbytes(min(4000, len(raw) - start))
    path.write_bytes(raw)


@pytest.fixture(scope="module")
def halted(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped in order after two checkpoints: no file has a journal beside it."""
    folder = tmp_path_factory.mktemp("halted")
    stop = Kill(4, "RunFolder.append_metrics:after", number=signal.SIGTERM)
    assert runner.run(folder, kill=stop).code == 128 + signal.SIGTERM
    return folder


class TestDamage:
    """Whatever is damaged: the same end as ever, or one line. Nothing that was there is lost."""

    @pytest.mark.parametrize("file", FILES)
    @pytest.mark.parametrize(
        ("how", "seed"),
        [
            ("truncated", 0),
            *(
                pytest.param(how, seed, marks=pytest.mark.slow)
                for how in DAMAGES
                for seed in range(1 if how in ("emptied", "missing") else 3)
            ),
        ],
    )
    def test_a_damaged_file(
        self,
        runner: Runner,
        halted: Path,
        file: str,
        how: str,
        seed: int,
        tmp_path: Path,
        expected: dict[str, Any],
    ) -> None:
        folder = moved_copy(halted, tmp_path)
        path = folder / FILES[file]
        damage(path, how, seed)
        before = path.read_bytes() if path.exists() else None
        done = runner.go_on(folder)
        assert "Traceback" not in done.err + done.out
        if file == "config":
            if done.code:  # a flipped bit may leave a configuration
                assert_one_line(done, str(path) if how != "missing" else "")
            return
        assert done.code == 0, done.err
        same = ("rows", "student", "result", "removed")
        found = outcome(folder)
        if file != "metrics":
            assert {name: found[name] for name in same} == {name: expected[name] for name in same}
        if file in ("tensors", "record"):
            assert found["trace"] == expected["trace"]
        kept = [p for p in folder.rglob("*") if p.is_file() and ".damaged-" in str(p)]
        said = done.err
        for each in kept:
            assert each.name in said or each.parent.name in said
        aside = [p for p in kept if path.name in (p.name, p.name.removesuffix(".damaged-1"))]
        assert {p.read_bytes() for p in aside} <= {before}
        if how == "truncated":
            # A cut that nothing was read from is not met; then nothing was written over it either.
            assert aside or path.read_bytes() == before

    def test_both_checkpoints_damaged_begins_anew(
        self, runner: Runner, halted: Path, tmp_path: Path, expected: dict[str, Any]
    ) -> None:
        folder = moved_copy(halted, tmp_path)
        rows = (folder / "run" / "metrics.jsonl").read_bytes()
        for number in (2, 4):
            damage(folder / f"run/checkpoints/{number}/tensors.safetensors", "flipped", 0)
        done = runner.go_on(folder)
        assert done.code == 0, done.err
        assert outcome(folder) == expected
        assert "it begins anew" in done.err
        assert (folder / "run" / "metrics.jsonl.damaged-1").read_bytes() == rows
        assert (folder / "run" / "trace.sqlite.damaged-1").exists()
        assert (folder / "run" / "checkpoints" / "4.damaged-1").is_dir()

    def test_a_kill_between_setting_checkpoints_and_records_aside_loses_nothing(
        self, runner: Runner, halted: Path, tmp_path: Path, expected: dict[str, Any]
    ) -> None:
        folder = moved_copy(halted, tmp_path)
        rows = (folder / "run" / "metrics.jsonl").read_bytes()
        for number in (2, 4):
            damage(folder / f"run/checkpoints/{number}/tensors.safetensors", "flipped", 0)
        kill = Kill(1, "os.rename:metrics.jsonl.damaged-1:before")
        done = runner.go_on(folder, kill=kill)
        assert done.code == -signal.SIGKILL, done.points
        assert not list((folder / "run").glob("checkpoints/?")), "no checkpoint is left"
        assert runner.go_on(folder).code == 0
        assert outcome(folder) == expected
        assert (folder / "run" / "metrics.jsonl.damaged-1").read_bytes() == rows
        assert (folder / "run" / "trace.sqlite.damaged-1").exists()


def moved_copy(folder: Path, place: Path) -> Path:
    """A copy of a run and its cache, whose configuration names the copy's."""
    copy = place / "copy"
    shutil.copytree(folder, copy)
    config = copy / "run" / "config.json"
    config.write_text(config.read_text().replace(str(folder), str(copy)))
    return copy


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def await_that(condition: Any, limit_s: float = 120.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
