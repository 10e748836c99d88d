"""Tasks by name: the shipped ones, those of installed packages, Gymnasium's, anybody's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tutelage.rl.errors import did_you_mean
from tutelage.rl.tasks.base import Task, UnknownTaskError
from tutelage.rl.tasks.dotted_path import modules_here, working_directory_on_path
from tutelage.rl.tasks.entry_points import find_installed, installed_tasks, package_of
from tutelage.rl.tasks.own_code import (
    call,
    check_arguments,
    check_task,
    foreign,
    in_one_line,
    is_environment,
    lacks_methods,
    load_attribute,
)
from tutelage.rl.tasks.settings import TaskSettings
from tutelage.rl.tasks.shipped import adopt, find_shipped, shipped_tasks
from tutelage.rl.tasks.wrappers import TaskWrapper


def make_task(
    name: str,
    crop: int | None,
    settings: TaskSettings | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Task:
    """The task of that name.

    name: a shipped task's; an entry point's of the group `tutelage.tasks`; an id that Gymnasium
    knows, where a family of shipped tasks adopts it; or `module:attribute`, a class or function
    that makes a `Task`, or an environment class that a family adopts. crop: side of the map crop
    that the student of a grid task sees, None for the bare view. settings: None for the defaults.
    arguments: of the class, function or environment, by name; JSON values.

    Raises UnknownTaskError, in one line, also where the settings ask something of a task that only
    others can do, and for every error of somebody's own code.
    """
    settings, arguments = settings or TaskSettings(), arguments or {}
    shipped = find_shipped(name)
    if shipped is not None:
        if arguments:
            given = ", ".join(f"env.{argument}" for argument in arguments)
            raise UnknownTaskError(f"{given}: {name}, a shipped task, takes no arguments")
        return shipped.make(crop, settings)
    points = find_installed(name)
    if len(points) > 1:
        paths = " or ".join(f"{point.value} ({package_of(point)})" for point in points)
        raise UnknownTaskError(
            f"environment {name!r}: several packages have one of that name; say which: {paths}"
        )
    if points:
        label = f"environment {name!r} of {package_of(points[0])}"
        path = re.sub(r"\s|\[.*", "", points[0].value)  # without extras
        return _own(label, path, False, crop, settings, arguments)
    if ":" in name:
        return _own(f"environment {name!r}", name, True, crop, settings, arguments)
    return _of_gymnasium(name, crop, settings, arguments)


def is_own_code(name: str) -> bool:
    """Whether making the task of that name imports and calls code that a user names or installs."""
    return ":" in name or (find_shipped(name) is None and bool(find_installed(name)))


def settings_of(task: Task, settings: TaskSettings) -> TaskSettings:
    """The settings with the engine that the task took, so that it is made the same again."""
    played = task.unwrapped if isinstance(task, TaskWrapper) else task
    engine = getattr(played, "engine", settings.engine)
    return settings.model_copy(update={"engine": engine})


def _own(
    label: str,
    path: str,
    here: bool,
    crop: int | None,
    settings: TaskSettings,
    arguments: Mapping[str, Any],
) -> Task:
    """The task that a path `module:attribute` leads to.

    label: how a message begins. here: whether the module may lie in the working directory.
    """
    places: AbstractContextManager[None] = working_directory_on_path() if here else nullcontext()
    with places:
        maker = load_attribute(label, path, here)
        if isinstance(maker, type) and lacks_methods(maker):
            check_arguments(label, maker, arguments)
            with in_one_line(label):
                adopted = adopt(maker, crop, settings, arguments)
            if adopted is not None:
                return adopted
            if is_environment(maker):
                raise UnknownTaskError(foreign(f"{label} is"))
        if settings != TaskSettings():
            raise UnknownTaskError(
                f"{label}: the settings task.* are for the shipped tasks; "
                "leave them out, what they are about is up to your own code"
            )
        return check_task(label, call(label, maker, arguments))


def _of_gymnasium(
    name: str, crop: int | None, settings: TaskSettings, arguments: Mapping[str, Any]
) -> Task:
    """The task that a family makes of an id of Gymnasium's."""
    # Here and not above: shipped tasks and one's own need no Gymnasium.
    from tutelage.rl.tasks.gymnasium_ids import (
        check_environment,
        known_ids,
        spec_of,
        write_a_task_for,
    )

    spec = spec_of(name)
    if spec is None:
        raise UnknownTaskError(_unknown(name, known_ids()))
    check_environment(spec, arguments)
    with in_one_line(f"environment {name!r}"):
        task = adopt(spec.id, crop, settings, arguments)
    if task is None:
        raise UnknownTaskError(write_a_task_for(spec))
    return task


def _unknown(name: str, ids: list[str]) -> str:
    """The line for a name that is nobody's."""
    module = name.removesuffix(".py")
    if module in modules_here():
        return (
            f"unknown environment {name!r}; a task of your own is named by module and class or "
            f"function: {module}:NAME"
        )
    names = [task.name for task in shipped_tasks()]
    names += [point.name for point in installed_tasks()]
    hint = did_you_mean(name, [*names, *ids])
    return f"unknown environment {name!r}" + (
        hint or "; see `envs list`; a MiniGrid or BabyAI id and module:attribute do as well"
    )
