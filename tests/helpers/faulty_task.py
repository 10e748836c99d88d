"""A task in which one method goes wrong: it raises, or returns what it must not.

faulty("situation", raising)          what raises has the comment FAULT at its line
faulty("run_option", giving(None))
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gymnasium import spaces

from helpers.gym_tasks import Dials, DialTask
from tutelage import Option

Fault = Callable[[], Any]

METHODS = (
    *("observation_space", "situation", "options", "run_option", "encode"),
    *("success", "remember", "picture", "script", "action_mask", "all_options"),
)
ENV_METHODS = ("__init__", "reset", "step")
FILE = Path(__file__)
FAULT_LINE = next(
    n for n, line in enumerate(FILE.read_text("utf-8").splitlines(), 1) if line.endswith("# FAULT")
)


def raising() -> Any:
    """A fault of an ordinary kind, whose traceback ends in a file of the user's."""
    return 1 / 0  # FAULT


def giving(value: Any) -> Fault:
    """A wrong return value."""
    return lambda: value


class Faultless(DialTask):
    """The task as it would be without a fault: every method is its own."""

    info_keys = ("hits",)

    @property
    def observation_space(self) -> spaces.Space[Any]:
        return spaces.Box(-9, 9, (2,))

    def encode(self, obs: Any, info: Any) -> Any:
        return obs / 3

    def remember(self, memory: Any, obs: Any, info: Any) -> Any:
        return (memory or 0) + 1

    def picture(self, obs: Any, info: Any) -> str:
        return f"lamps at {obs}"

    def script(self, situation: str) -> Any:
        return self.options(situation)

    def action_mask(self, obs: Any, info: Any) -> Any:
        return [True] * 7

    def all_options(self) -> Any:
        return [Option("follow"), Option("dither")]


def faulty(method: str, fault: Fault, workers: int = 0) -> Faultless:
    """A task in which a method of its class goes wrong."""

    def wrong(self: Any, *_: Any, **__: Any) -> Any:
        return fault()

    members = {method: property(wrong) if method == "observation_space" else wrong}
    kind = type("Faulty", (Faultless,), members)
    made: Faultless = kind(workers=workers)
    return made


class Unmade(DialTask):
    """A task that cannot be made."""

    def __init__(self) -> None:
        super().__init__()
        raising()


class FaultyDials(Dials):
    """The environment in which a method goes wrong. Its class is sent to workers by its name."""

    def __init__(self, where: str = "", fault: Fault = raising) -> None:
        super().__init__()
        self._where, self._fault = where, fault
        self._go("__init__")

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self._go("reset") or super().reset(seed=seed)

    def step(self, action: Any) -> Any:
        return self._go("step") or super().step(action)

    def _go(self, where: str) -> Any:
        return self._fault() if where == self._where else None


class InFaultyDials(Faultless):
    """A task without a fault in an environment that has one."""

    def __init__(self, where: str, fault: Fault = raising, workers: int = 0) -> None:
        super().__init__(workers)
        self.env = lambda: FaultyDials(where, fault)
