"""Tutelage: a large language model teaches a small reinforcement-learning agent, and lets go.

    from tutelage import load_student, make_config, make_task, run

What is named here is loaded when it is first used: importing the package alone imports nothing
heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tutelage.graphs.config.config import make_config
    from tutelage.graphs.runtime.run import run
    from tutelage.rl.gymnasium.definition import OptionStep
    from tutelage.rl.gymnasium.gym_task import GymTask
    from tutelage.rl.policy.policy import load_student
    from tutelage.rl.tasks.options import Option
    from tutelage.rl.tasks.registry import make_task

__version__ = "0.1.0"

__all__ = ["GymTask", "Option", "OptionStep", "load_student", "make_config", "make_task", "run"]

_HOMES: Final = {
    "GymTask": "tutelage.rl.gymnasium.gym_task",
    "Option": "tutelage.rl.tasks.options",
    "OptionStep": "tutelage.rl.gymnasium.definition",
    "load_student": "tutelage.rl.policy.policy",
    "make_config": "tutelage.graphs.config.config",
    "make_task": "tutelage.rl.tasks.registry",
    "run": "tutelage.graphs.runtime.run",
}


def __getattr__(name: str) -> Any:
    """What is named in `__all__`, from the module that it lives in. Raises AttributeError."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
