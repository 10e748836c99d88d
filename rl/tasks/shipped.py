"""The shipped tasks, by families: what each of them declares."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # the shell's completion waits for this module
    from tutelage.rl.tasks.base import Task
    from tutelage.rl.tasks.settings import TaskSettings

FAMILIES: Final = ("tutelage.rl.minigrid.catalogue",)
"""Modules with a tuple `SHIPPED` of tasks, in the order in which people see them.

One with situations for the teachers' exam names their file as `EXAM`.
"""


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
