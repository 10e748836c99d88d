"""The shipped tasks, by families: what each of them declares."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # the shell's completion waits for this module
    from tutelage.rl.tasks.base import Task
    from tutelage.rl.tasks.settings import TaskSettings

FAMILIES: Final = ("tutelage.rl.minigrid.catalogue",)
"""Modules with a tuple `SHIPPED` of tasks, in the order in which people see them. One may have a
function `adopt`, with the arguments and the result of the one below; one with situations for the
exam of teachers names their file as `EXAM`."""

PLUGINS: Final = ("minigrid",)
"""Packages that add the ids of the families' environments to Gymnasium's, once imported."""


@dataclass(frozen=True)
class ShippedTask(ABC):
    """A shipped task.

    name: what people type; summary: what it asks for; default_steps: enough env steps to learn it.
    """

    name: str
    summary: str
    default_steps: int

    @abstractmethod
    def make(self, crop: int | None, settings: TaskSettings) -> Task:
        """The task itself. Arguments and errors as in `rl.tasks.registry.make_task`."""


def shipped_tasks() -> tuple[ShippedTask, ...]:
    """All shipped tasks."""
    return tuple(task for name in FAMILIES for task in importlib.import_module(name).SHIPPED)


def exam_files() -> tuple[Path, ...]:
    """The YAML files of situations with the plans that are sensible in them."""
    modules = map(importlib.import_module, FAMILIES)
    return tuple(module.EXAM for module in modules if hasattr(module, "EXAM"))


def find_shipped(name: str) -> ShippedTask | None:
    """The shipped task of that name, None where there is none."""
    return next((task for task in shipped_tasks() if task.name == name), None)


def adopt(
    named: str | type, crop: int | None, settings: TaskSettings, arguments: Mapping[str, Any]
) -> Task | None:
    """A task for an environment that is no shipped task; None where it is of no family.

    named: an id that Gymnasium knows, or an environment class of somebody's own. crop, settings:
    as in `rl.tasks.registry.make_task`. arguments: those of the environment, by name. Raises
    UserError, and whatever the environment's code raises.
    """
    for name in FAMILIES:
        offer = getattr(importlib.import_module(name), "adopt", None)
        task: Task | None = offer and offer(named, crop, settings, arguments)
        if task is not None:
            return task
    return None
