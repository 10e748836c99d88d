"""`compare` in processes of its own, stopped in the middle by every signal, and typed again."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from helpers.tiny_runs import cli, start_cli, wait_for
from tutelage.graphs.records.lock import in_use
from tutelage.graphs.records.run_folder import RunFolder

pytestmark = pytest.mark.slow

FIELDS = {
    "num_envs": 8,
    "ppo.num_steps": 16,
    "checkpoint_every": 5,
    "evaluation.every": 2048,
    "evaluation.episodes": 5,
    "student.hidden": 16,
    "steps": 40_000,
}
OPEN: list[str] = []
GIVEN = ["--set", "task.engine=batched", "--set", "device=cpu"]


def typed(folder: Path, *more: str) -> list[str | Path]:
    """The command. Nothing of it names a folder: it is found again by what is asked for."""
    words: list[str | Path] = ["compare", "--vary", "ppo.gamma=0.9,0.97", "--seeds", "0"]
    words += ["--episodes", "10", "--jobs", "2", "--set", f"cache={folder / 'plans.sqlite'}"]
    for key, value in FIELDS.items():
        words += ["--set", f"{key}={value}"]
    return [*words, *more, "--json"]


def table(folder: Path, *more: str) -> Any:
    """What the command says in the end, without what a clock has measured."""
    done = cli(*typed(folder, *more), cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    comparison = json.loads(done.stdout)
    for setting in comparison["settings"]:
        for measured in ("wall_s", "llm_calls", "llm_situations"):
            del setting[measured]
    return comparison


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return table(tmp_path_factory.mktemp("unbroken"))


@pytest.mark.parametrize(
    ("sent", "how"),
    [
        (signal.SIGINT, OPEN),
        (signal.SIGTERM, GIVEN),
        (signal.SIGKILL, OPEN),
        (signal.SIGKILL, GIVEN),
    ],
)
def test_the_same_command_goes_on_to_the_same_table(
    sent: signal.Signals, how: list[str], unbroken: Any, tmp_path: Path
) -> None:
    """Also at once, while the runs of one that was killed are still being saved."""
    started = start_cli(*typed(tmp_path, *how), cwd=tmp_path)
    wait_for(lambda: any(rows(run) > 8 for run in runs(tmp_path)), started)
    started.send_signal(sent)
    started.communicate(timeout=100)
    assert started.returncode == (-sent if sent == signal.SIGKILL else 128 + sent)
    assert any(RunFolder(run).read_summary() is None or unfinished(run) for run in runs(tmp_path))
    found = table(tmp_path, *how)
    assert without_places(found) == without_places(unbroken)
    assert table(tmp_path, *how) == found, "a third time nothing is left to do"


def test_runs_end_with_the_command_that_made_them(tmp_path: Path) -> None:
    """Killed, it cannot ask them to; left behind, they would go on for hours, unseen."""
    started = start_cli(*typed(tmp_path, "--set", "steps=2000000"), cwd=tmp_path)
    wait_for(lambda: sum(rows(run) > 8 for run in runs(tmp_path)) == 2, started)
    started.kill()
    started.communicate(timeout=100)
    deadline = time.monotonic() + 60
    while any(in_use(run) for run in runs(tmp_path)):
        assert time.monotonic() < deadline, "a run goes on although nobody has it made any more"
        time.sleep(0.1)
    assert all(unfinished(run) for run in runs(tmp_path)), "they were saved, as after a stop"


def runs(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("runs/compare-*/*/config.json"))


def rows(run: Path) -> int:
    file = run / "metrics.jsonl"
    return len(file.read_bytes().splitlines()) if file.exists() else 0


def unfinished(run: Path) -> bool:
    summary = RunFolder(run).read_summary()
    return summary is not None and summary.status == "interrupted"


def without_places(comparison: Any) -> Any:
    """Explicit fields give the experiment another name."""
    return {
        **comparison,
        "settings": [
            {**setting, "runs": [Path(run).name for run in setting["runs"]]}
            for setting in comparison["settings"]
        ],
    }
