"""Testing the student of a run that was made: alone, on episodes that its training never saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphs.config import ConfigError
from graphs.run import stored_config
from graphs.tasks import task_of
from rl.evaluation import evaluate_both_ways
from rl.runfolder import RunFolder
from rl.student import load_student


def evaluate_run(
    path: Path,
    episodes: int,
    env: str | None = None,
    seed: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """How the student of a run does: run, env, seed and a `StudentResult`.

    env, seed: another task, which must look the same to the student, and another seed than the
    run's own. on_progress: told how many episodes have ended. Raises ConfigError, RunFolderError,
    StudentError or UnknownTaskError.
    """
    config = stored_config(RunFolder.open(path))
    student = load_student(path)
    name = env or config.env
    task = task_of(config.model_copy(update={"env": name}))
    if (task.observation_spec, len(task.action_names)) != (student.spec, student.num_actions):
        raise ConfigError(
            f"env = {name!r}: the student of {path} was taught on {student.task_name} and cannot "
            f"see or act there; allowed: tasks that look like that one"
        )
    chosen = config.seed if seed is None else seed
    result = evaluate_both_ways(task, student, episodes, chosen, on_progress)
    return {"run": str(path), "env": task.name, "seed": chosen, "student": result}
