"""Tasks by name: the shipped ones, and anybody's own by a dotted path."""

from __future__ import annotations

from tutelage.rl.tasks.base import Task, UnknownTaskError
from tutelage.rl.tasks.dotted_path import load, working_directory_on_path
from tutelage.rl.tasks.settings import TaskSettings
from tutelage.rl.tasks.shipped import shipped_tasks
from tutelage.rl.tasks.wrappers import TaskWrapper, missing_from


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
    shipped = {task.name: task for task in shipped_tasks()}
    if name not in shipped:
        raise UnknownTaskError(
            f"unknown environment {name!r}; allowed: {', '.join(shipped)}, "
            "or module:callable for your own"
        )
    return shipped[name].make(crop, settings)


def settings_of(task: Task, settings: TaskSettings) -> TaskSettings:
    """The settings with the engine that the task took, so that it is made the same again."""
    played = task.unwrapped if isinstance(task, TaskWrapper) else task
    engine = getattr(played, "engine", settings.engine)
    return settings.model_copy(update={"engine": engine})


def _task_at(path: str) -> Task:
    try:
        with working_directory_on_path():
            made: Task = load(path)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UnknownTaskError(f"environment {path!r} cannot be made: {error}") from error
    missing = missing_from(made, Task)
    if missing:
        raise UnknownTaskError(
            f"environment {path!r} is no Task, it lacks {', '.join(missing)}: "
            "see rl/tasks/base.py for the protocol"
        )
    return made
