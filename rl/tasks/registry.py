"""Tasks by name: the shipped ones, and anybody's own by a dotted path."""

from __future__ import annotations

import importlib

from tutelage.rl.minigrid.catalogue import _SHIPPED
from tutelage.rl.tasks.base import Task, UnknownTaskError
from tutelage.rl.tasks.settings import TaskSettings


def make_task(name: str, crop: int | None, settings: TaskSettings | None = None) -> Task:
    """The task of that name.

    name: a shipped task's, or `module:attribute` of a callable that takes no argument and returns a
    `Task`. crop: side of the map crop that the student of a grid task sees, None for the bare view.
    settings: None for the defaults. Raises UnknownTaskError, also where the settings ask something
    of a task that only others can do.
    """
    settings = settings or TaskSettings()
    if ":" in name:
        if settings != TaskSettings():
            raise UnknownTaskError(
                f"env = {name!r}: the settings task.* are for the shipped tasks; "
                "leave them out, what they are about is up to your own code"
            )
        return _task_at(name)
    info = next((info for info in _SHIPPED if info.name == name), None)
    if info is None:
        known = ", ".join(info.name for info in _SHIPPED)
        raise UnknownTaskError(
            f"unknown environment {name!r}; allowed: {known}, or module:callable for your own"
        )
    from tutelage.rl.minigrid.task import GridTask  # compiles kernels: only once a task is wanted

    return GridTask(
        info.name,
        info.env_id,
        info.default_steps,
        crop,
        info.renamed,
        settings.lava_known,
        info.told(settings.lava_known),
        settings.engine,
    )


def settings_of(task: Task, settings: TaskSettings) -> TaskSettings:
    """The settings with what was left open as this task has settled it, to make it so again."""
    played = getattr(task, "plain", task)  # under a task of options lies the one that is played
    engine = getattr(played, "engine", settings.engine)
    return settings.model_copy(update={"engine": engine})


def _task_at(path: str) -> Task:
    module_name, _, attribute = path.partition(":")
    try:
        made = getattr(importlib.import_module(module_name), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UnknownTaskError(f"environment {path!r} cannot be made: {error}") from error
    if not isinstance(made, Task):
        raise UnknownTaskError(
            f"environment {path!r} is no Task: see rl/tasks/base.py for the protocol"
        )
    return made
