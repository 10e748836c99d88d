"""Runs of a few seconds on the command line of a fork server, and what they leave behind."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from helpers.fork_server import Child, Done, ForkServer
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader

SMALL: dict[str, Any] = {
    "num_envs": 4,
    "ppo.num_steps": 8,
    "steps": 7 * 32,
    "checkpoint_every": 2,
    "evaluation.every": 64,
    "evaluation.episodes": 2,
    "evaluation.final_episodes": 4,
}


@dataclass
class Runner:
    """Makes runs in folders, one in each. options: of `cli.py run`."""

    server: ForkServer
    options: list[str] = field(default_factory=lambda: ["--env", "helpers.toy_task:Corridor"])

    def arguments(self, folder: Path, **settings: Any) -> list[str]:
        """The command line of a run. settings: fields of the configuration, `ppo__epochs=1`."""
        given = {name.replace("__", "."): value for name, value in settings.items()}
        arguments = ["run", "--run-dir", str(folder / "run"), *self.options]
        for name, value in {**SMALL, "cache": folder / "plans.sqlite", **given}.items():
            arguments += ["--set", f"{name}={value}"]
        return arguments

    def run(self, folder: Path, settings: dict[str, Any] | None = None, **how: Any) -> Done:
        """Run to the end. how: as `ForkServer.start` has it."""
        return self.server.run(self.arguments(folder, **settings or {}), **how)

    def start(self, folder: Path, settings: dict[str, Any] | None = None, **how: Any) -> Child:
        """Start a run; see `run`."""
        return self.server.start(self.arguments(folder, **settings or {}), **how)

    def go_on(self, folder: Path, **how: Any) -> Done:
        """What a person would do: resume, or run once more where nothing had begun yet."""
        if not (folder / "run" / "config.json").exists():
            return self.run(folder, **how)
        return self.server.run(["resume", str(folder / "run")], **how)


def outcome(folder: Path, trace: bool = True) -> dict[str, Any]:
    """Everything that a resumed run must have in common with an unbroken one.

    trace: what was recorded of each situation, too.
    """
    run = RunFolder.open(folder / "run")
    summary = run.read_summary()
    assert summary is not None
    assert summary.status == "finished"
    unlike = {"wall_s", "llm_calls", "cache_hits"}
    return {
        "rows": [row.model_dump(exclude=unlike) for row in run.read_metrics()],
        "student": run.student.read_bytes(),
        "result": summary.student,
        "removed": summary.teacher_removed_at_step,
        "trace": _recorded(run) if trace else None,
    }


def _recorded(run: RunFolder) -> dict[str, Any]:
    """By the situations' texts: their ids mean something in one process only."""
    with TraceReader(run.trace) as reader:
        situations = reader.situations()
        recorded = {
            each.text: (
                [replace(row, situation_id=0) for row in reader.visits(each.situation_id)],
                [row.plans for row in reader.advice(each.situation_id)],
                [example.picture for example in reader.examples(each.situation_id)],
            )
            for each in situations
        }
    assert len(recorded) == len(situations), "a text stands there twice"
    return recorded


def assert_tidy(folder: Path) -> None:
    """Nothing is left of what was cut short."""
    left = [path.name for path in (folder / "run").rglob("*")]
    assert not [name for name in left if name.endswith(".tmp") or ".damaged-" in name]
    checkpoints = [name for name in left if name.isdecimal()]
    assert len(checkpoints) == 2
    assert left.count("record.json") == left.count("tensors.safetensors") == 2


WRONG = ("Traceback", "Warning", "tutelage: ")
"""How mistakes, and what libraries warn of, begin on standard error."""


def assert_only_notices(done: Done, says: str = "") -> None:
    """A run that ended well. Standard error has what it tells, and no mistake or warning.

    says: what is in the warnings that may be there.
    """
    assert done.code == 0, done.err
    lines = [line for line in done.err.splitlines() if any(word in line for word in WRONG)]
    assert all(says and says in line for line in lines), done.err


def assert_one_line(done: Done, *says: str) -> str:
    """A command that ended with exit code 2 and one clear line, which is returned.

    Before it there may be what a run told while it went on.
    """
    assert done.code == 2, done.err
    *told, line = done.err.strip().splitlines()
    assert line.startswith("tutelage: ")
    assert not any(word in each for word in WRONG for each in told), done.err
    assert "Traceback" not in done.out
    for part in says:
        assert part in line
    return line
