"""Compiles a run's kernels in processes of their own, while this one loads what takes seconds.

Only where none is compiled yet, as on a fresh machine: there it took most of the time to the first
result, one kernel after the other. What comes of it lies in numba's folder. A process that fails
does no harm: then the run compiles what it lacks where it first needs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from threading import Event as StopSignal
from typing import Any, Final

from tutelage.graphs.config.config import RunConfig
from tutelage.rl.tasks.base import Rehearsed, Task
from tutelage.rl.tasks.registry import is_own_code, make_task
from tutelage.rl.tasks.settings import TaskSettings
from tutelage.rl.tasks.wrappers import find_ability

_POLL_S: Final = 0.05
_CODE: Final = (
    "import gc, json, sys; gc.disable(); path, job = map(json.loads, sys.argv[1:]); "
    "sys.path[:] = path; from tutelage.graphs.runtime.compiling import rehearse; rehearse(**job)"
)
"""Without the collection of garbage, a tenth of the time: what is compiled stays until the end."""


def compile_ahead(config: RunConfig, resources: ExitStack) -> Callable[[StopSignal], None] | None:
    """Begin to compile; returns what waits for its end, or None where there is nothing to compile.

    What is given to that function ends the wait once it is set. The processes are ended with
    `resources`. One's own tasks are left out: their code may do anything when it is imported.
    """
    if is_own_code(config.env) or (os.cpu_count() or 1) < 2:
        return None
    job = {
        "env": config.env,
        "crop": config.student.map_crop,
        "settings": config.task.model_dump(mode="json"),
        "arguments": config.env_args,
    }
    task = make_task(config.env, config.student.map_crop, config.task, config.env_args)
    parts = len(_rehearsals_of(task))
    if parts == 0:
        return None
    processes = [
        subprocess.Popen(
            # -P: nothing is imported from the working directory, not even before the path is set.
            [
                *(sys.executable, "-P", "-c", _CODE),
                *(json.dumps(sys.path), json.dumps({**job, "part": part})),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for part in (*range(parts), None)
    ]
    resources.callback(_end, processes)

    def wait(stop: StopSignal) -> None:
        while any(process.poll() is None for process in processes):
            if stop.wait(_POLL_S):
                return

    return wait


def rehearse(
    env: str,
    crop: int | None,
    settings: dict[str, Any],
    arguments: dict[str, Any],
    part: int | None,
) -> None:
    """One process's share: a part of the task's rehearsals, or with None what the student needs."""
    if part is not None:
        _rehearsals_of(make_task(env, crop, TaskSettings(**settings), arguments))[part]()
        return
    from tutelage.rl.policy import embedding_kernels, sampling  # here and not above: they load
    from tutelage.rl.ppo.cpu import loss_kernel  # numba, which not every task needs so early

    embedding_kernels.rehearse()
    sampling.rehearse()
    loss_kernel.rehearse()


def _rehearsals_of(task: Task) -> Sequence[Callable[[], None]]:
    rehearsed = find_ability(task, Rehearsed)
    return () if rehearsed is None else rehearsed.rehearsals()


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
        process.wait()
