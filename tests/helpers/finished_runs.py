"""Run folders as a finished run leaves them, written in a moment. As a script: a run that pretends.

    python finished_runs.py run --config FILE --json      python finished_runs.py resume RUN --json

The script stands for the command where only processes matter. The run's task says what becomes of
it: `Broken` fails with a line, `Endless` goes on until it is interrupted, the first time at least,
`Silent` finishes without an answer of its teacher; all others finish. The seed decides how well the
student does.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # started as a program, in another folder, with nothing installed
    sys.path[0] = str(Path(__file__).resolve().parents[2] / ".package")

from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.shapes import Summary
from tutelage.graphs.runtime.errors import NO_ANSWER
from tutelage.rl.rollouts.results import StudentResult

ITERATIONS = 6
STEPS = 100
"""Of each iteration."""

UNANSWERED = {"code": "no_answer", "sentence": "Taught by nobody: the key was refused."}
"""The outcome of a run whose teacher never answered."""


def summary_of(config: dict[str, Any], success: float | None, **fields: Any) -> Summary:
    """A summary with these figures. success: None for a run that was interrupted."""
    zero = {"calls": 8, "situations": 8, "cache_hits": 0, "prompt_tokens": 0}
    phases = ("import", "collect", "advice", "update", "evaluate", "graph", "record")
    student = None
    if success is not None:
        episodes = fields.pop("episodes", 1000)
        student = StudentResult(
            success_rate=success,
            ci95=(max(success - 0.02, 0.0), min(success + 0.02, 1.0)),
            episodes=episodes,
            mean_return=fields.pop("mean_return", success * 0.8),
            mean_length=fields.pop("mean_length", 30.0),
            argmax_success_rate=fields.pop("argmax_success_rate", success),
        )
    return Summary.model_validate(
        {
            "graph": config["graph"],
            "env": config["env"],
            "provider": "offline",
            "seed": config["seed"],
            "env_steps": ITERATIONS * STEPS,
            "wall_s": 60.0,
            "steps_per_s": 100.0,
            "status": "interrupted" if student is None else "finished",
            "student": student,
            "teacher": None,
            "teacher_removed_at_step": 300,
            "steps_to_95": 400,
            "time": {f"{phase}_s": 1.0 for phase in phases},
            "llm": {**zero, "completion_tokens": 0, "cost_usd": 0.0, "failures": 0, "fallbacks": 0},
            **fields,
        }
    )


def finished_run(
    path: Path,
    seed: int = 0,
    success: float | None = 0.9,
    settings: dict[str, Any] | None = None,
    **fields: Any,
) -> Path:
    """Write a run folder. settings: of its configuration, nested; fields: of its summary."""
    config = {"graph": "teacher_student", "env": "SimpleDoorKey", "seed": seed, **(settings or {})}
    folder = RunFolder.create(path)
    folder.write_config({**config, "run_dir": str(path)})
    for iteration in range(1, ITERATIONS + 1):
        folder.append_metrics(row_of(iteration, seed))
    folder.write_summary(summary_of(config, success, **fields))
    return path


def row_of(iteration: int, seed: int) -> dict[str, Any]:
    """A row of metrics; every other one has an evaluation."""
    share = iteration / ITERATIONS
    row = {
        "iteration": iteration,
        "env_steps": iteration * STEPS,
        "wall_s": iteration * 2.0,
        "train_success": share,
        "train_return": share * 0.8,
        "teacher_weight": max(0.0, 5.0 * (1.0 - 2 * share)),
        "agreement": share if share < 0.5 else None,
        "llm_calls": 8,
        "cache_hits": 0,
    }
    evaluated = {
        "eval_success": share - 0.01 * seed,
        "eval_return": share,
        "eval_length": 90 * (1.5 - share),
    }
    return {**row, **(evaluated if iteration % 2 == 0 else {})}


def pretend(arguments: Sequence[str]) -> int:
    """The script. Returns the exit code."""
    verb, *rest = arguments
    if verb == "resume":
        folder = RunFolder.open(Path(rest[0]))
        config = folder.read_config()
    else:
        config = json.loads(Path(rest[1]).read_text("utf-8"))
        if config["env"] == "Broken":
            print("Traceback: some\ntutelage: the machine is on fire", file=sys.stderr)
            return 2
        folder = RunFolder.create(Path(config["run_dir"]))
        folder.write_config(config)
        if config["env"] == "Endless":
            return _until_interrupted(folder, config)
    time.sleep(0.3)
    folder.append_metrics(row_of(1, config["seed"]))
    silent = config["env"] == "Silent"
    fields = {"outcome": UNANSWERED} if silent else {}
    folder.write_summary(summary_of(config, 1.0 - 0.01 * config["seed"], **fields))
    return NO_ANSWER if silent else 0


def _until_interrupted(folder: RunFolder, config: dict[str, Any]) -> int:
    asked: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    (folder.path.parent / f"{folder.path.name}.ready").touch()
    while not asked:
        time.sleep(0.02)
    folder.write_summary(summary_of(config, None))
    return 130


if __name__ == "__main__":
    sys.exit(pretend(sys.argv[1:]))
