"""Kernels of a fresh machine: compiled in advance, by other processes, and all that a run needs."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest

from helpers.tiny_runs import IMPORTABLE, environment, tiny_arguments, tiny_config
from tutelage.graphs.runtime import compiling
from tutelage.rl import kernels
from tutelage.rl.minigrid.engine.rules import play

COUNTING = """
import sys
from numba.core import event
compiled = []
class Listener(event.Listener):
    def on_start(self, e):
        compiled.append(e.data["dispatcher"].py_func.__qualname__)
    def on_end(self, e):
        pass
event.register("numba:compile", Listener())
from tutelage.graphs.terminal.app import main
try:
    main()
finally:
    print(*compiled, file=sys.stderr)
"""


def count(folder: Path, *more: str) -> list[str]:
    """The kernels that a run's own process compiles, with machine code kept in `folder/kernels`."""
    kept = {"NUMBA_CACHE_DIR": str(folder / "kernels"), "PYTHONPATH": IMPORTABLE}
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", COUNTING, "run", *tiny_arguments(folder), *more],
        env=environment(kept),
        cwd=folder,
        capture_output=True,
        check=False,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1].split()


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core compiles in the run itself")
@pytest.mark.parametrize("env", ["SimpleDoorKey", "MiniGrid-LavaGapS5-v0"])
def test_a_run_on_a_fresh_machine_compiles_nothing_itself(env: str, tmp_path: Path) -> None:
    assert count(tmp_path / "new", "--env", env) == []
    assert list((tmp_path / "new" / "kernels").rglob("rules.play-*.nbi"))


def test_nothing_is_started_where_all_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tutelage.rl.minigrid.task.is_compiled", lambda _kernel: True)
    with ExitStack() as resources:
        assert compiling.compile_ahead(tiny_config(tmp_path), resources) is None


def test_a_process_that_fails_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tutelage.rl.minigrid.task.is_compiled", lambda _kernel: False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(compiling, "_CODE", "raise SystemExit(1)")
    with ExitStack() as resources:
        wait = compiling.compile_ahead(tiny_config(tmp_path), resources)
        assert wait is not None
        wait(Event())


def test_a_stop_ends_the_wait_and_the_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tutelage.rl.minigrid.task.is_compiled", lambda _kernel: False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(compiling, "_CODE", "import time; time.sleep(600)")
    stop = Event()
    stop.set()
    with ExitStack() as resources:
        wait = compiling.compile_ahead(tiny_config(tmp_path), resources)
        assert wait is not None
        wait(stop)


def test_ones_own_task_is_not_imported_elsewhere(tmp_path: Path) -> None:
    with ExitStack() as resources:
        config = tiny_config(tmp_path, env="helpers.toy_task:ToyTask")
        assert compiling.compile_ahead(config, resources) is None


def test_machine_code_counts_while_its_source_is_as_old(tmp_path: Path) -> None:
    class Kernel:
        py_func = play.py_func

        class stats:  # noqa: N801 - numba's name
            cache_path = str(tmp_path)

    assert not kernels.is_compiled(Kernel)
    index = tmp_path / "rules.play-1.py311.nbi"
    index.touch()
    assert kernels.is_compiled(Kernel)
    os.utime(index, (0, 0))
    assert not kernels.is_compiled(Kernel)
    kernels.confirm(Kernel)
    assert kernels.is_compiled(Kernel)
