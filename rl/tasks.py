"""Tasks by name: the shipped ones, and anybody's own by a dotted path."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Final

from rl.task import Task


@dataclass(frozen=True)
class TaskInfo:
    """A shipped task: its name, Gymnasium's id, what it asks for, and steps enough to learn it."""

    name: str
    env_id: str
    summary: str
    default_steps: int
    renamed: bool = False
    """Whether situations rename colours (`rl.grid.colors`)."""


_OPEN = "find the key, unlock the door"
_GOAL = "walk to the goal"
_SHIPPED: Final = (
    TaskInfo("SimpleDoorKey", "Tutelage/SimpleDoorKey-v0", _OPEN, 100_000, renamed=True),
    TaskInfo(
        "LavaDoorKey", "Tutelage/LavaDoorKey-v0", f"{_OPEN}, keep off the lava", 100_000, True
    ),
    TaskInfo("ColoredDoorKey", "Tutelage/ColoredDoorKey-v0", f"{_OPEN}; one key misfits", 100_000),
    TaskInfo("DivergentDoorKey", "Tutelage/DivergentDoorKey-v0", f"{_OPEN}, of two", 500_000, True),
    *(
        TaskInfo(f"MiniGrid-{level}-v0", f"MiniGrid-{level}-v0", _GOAL, steps)
        for level, steps in (
            ("Empty-5x5", 50_000),
            ("Empty-Random-5x5", 50_000),
            ("Empty-6x6", 50_000),
            ("Empty-Random-6x6", 50_000),
            ("Empty-8x8", 50_000),
            ("Empty-16x16", 100_000),
            ("FourRooms", 500_000),
        )
    ),
    *(
        TaskInfo(
            f"MiniGrid-DoorKey-{size}-v0", f"MiniGrid-DoorKey-{size}-v0", f"{_OPEN}, {_GOAL}", steps
        )
        for size, steps in (
            ("5x5", 100_000),
            ("6x6", 150_000),
            ("8x8", 300_000),
            ("16x16", 1_000_000),
        )
    ),
)


class UnknownTaskError(ValueError):
    """No task of that name; the message lists what is allowed."""


def shipped_tasks() -> tuple[TaskInfo, ...]:
    """The tasks that come with Tutelage."""
    return _SHIPPED


def make_task(name: str, crop: int) -> Task:
    """The task of that name.

    name: a shipped task's, or `module:attribute` of a callable that takes no argument and returns
    a `Task`. crop: side of the map crop for grid tasks. Raises UnknownTaskError.
    """
    if ":" in name:
        return _task_at(name)
    info = next((info for info in _SHIPPED if info.name == name), None)
    if info is None:
        known = ", ".join(info.name for info in _SHIPPED)
        raise UnknownTaskError(
            f"unknown environment {name!r}; allowed: {known}, or module:callable for your own"
        )
    from rl.grid.task import GridTask  # compiles kernels: only once a task is wanted

    return GridTask(info.name, info.env_id, info.default_steps, crop, info.renamed)


def _task_at(path: str) -> Task:
    module_name, _, attribute = path.partition(":")
    try:
        made = getattr(importlib.import_module(module_name), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UnknownTaskError(f"environment {path!r} cannot be made: {error}") from error
    if not isinstance(made, Task):
        raise UnknownTaskError(f"environment {path!r} is no Task: see rl/task.py for the protocol")
    return made
