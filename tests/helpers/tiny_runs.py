"""Small real runs for the end-to-end tests: a rollout is 8 environments of 16 steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event as StopSignal
from typing import Any

from tutelage.graphs.config.config import RunConfig, make_config
from tutelage.graphs.config.events import Event
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.shapes import MetricsRow, Summary
from tutelage.graphs.records.trace.reader import TraceReader

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
CLI = ROOT / "cli.py"
IMPORTABLE = os.pathsep.join((str(ROOT / ".package"), str(TESTS)))
"""As PYTHONPATH: where a process finds the package and what tests share."""

ROLLOUT = 8 * 16
"""Environment steps of an iteration."""

NEVER = 1_000_000
TINY: Mapping[str, Any] = {
    "num_envs": 8,
    "ppo.num_steps": 16,
    "steps": 3 * ROLLOUT,
    "evaluation.every": NEVER,
    "evaluation.episodes": 5,
    "evaluation.final_episodes": 5,
}
"""Three iterations of SimpleDoorKey, without an evaluation but the last."""


@dataclass(frozen=True)
class TinyRun:
    """A run that was made. cache: its plan cache's file."""

    folder: RunFolder
    cache: Path
    summary: Summary

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def rows(self) -> list[MetricsRow]:
        """metrics.jsonl."""
        return self.folder.read_metrics()

    def trace(self) -> TraceReader:
        """The trace, to be closed by the caller."""
        return TraceReader(self.folder.trace)

    def figures(self, *leave_out: str) -> list[dict[str, Any]]:
        """metrics.jsonl as plain values without the wall clock and what else is left out."""
        return [row.model_dump(exclude={"wall_s", *leave_out}) for row in self.rows]


def tiny_config(folder: Path, **options: Any) -> RunConfig:
    """A configuration with run folder and cache inside a folder; options: `ppo__epochs=1`."""
    given = {name.replace("__", "."): value for name, value in options.items()}
    places = {"run_dir": folder / "run", "cache": folder / "plans.sqlite"}
    return make_config(None, [], {**TINY, **places, **given})


def make_run(
    folder: Path,
    on_event: Callable[[Event], None] | None = None,
    stop: StopSignal | None = None,
    **options: Any,
) -> TinyRun:
    """Make a tiny run; see `tiny_config`."""
    from tutelage.graphs.runtime.run import (
        run,  # here and not above: the command line is tested without torch
    )

    config = tiny_config(folder, **options)
    summary = run(config, on_event, stop)
    assert config.run_dir is not None
    assert config.cache is not None
    return TinyRun(RunFolder.open(config.run_dir), config.cache, summary)


def strict_json(path: Path) -> Any:
    """A file's JSON. Raises ValueError for NaN and the like, which are no JSON."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{path} holds {constant}, which is no JSON")

    return json.loads(path.read_text("utf-8"), parse_constant=refuse)


def tiny_arguments(folder: Path) -> list[str]:
    """The arguments of `cli.py run` for a tiny run."""
    arguments = ["--run-dir", str(folder / "run")]
    for name, value in {**TINY, "cache": folder / "plans.sqlite"}.items():
        arguments += ["--set", f"{name}={value}"]
    return arguments


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of a plain terminal-less process, without anybody's keys or colours."""
    unwanted = ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith("_API_KEY") and name not in unwanted
    }
    return {**kept, "TERM": "xterm-256color", **variables}


def cli(
    *arguments: str | Path, cwd: Path = ROOT, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a process of its own to its end."""
    return subprocess.run(
        [sys.executable, str(CLI), *map(str, arguments)],
        capture_output=True,
        check=False,
        cwd=cwd,
        env=environment(variables or {}),
        stdin=subprocess.DEVNULL,
        timeout=120,
    )


def start_cli(
    *arguments: str | Path, cwd: Path = ROOT, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start the command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(CLI), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=environment(variables or {}),
    )


def wait_for(
    condition: Callable[[], bool], process: subprocess.Popen[bytes], limit_s: float = 100.0
) -> None:
    """Wait until something is true. Raises AssertionError where the process ends before."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert process.poll() is None, "the process ended before anything happened"
        assert time.monotonic() < deadline, f"nothing happened within {limit_s} s"
        time.sleep(0.05)
