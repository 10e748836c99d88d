"""A task that fails in the midst of a run, until a file says that it was mended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from helpers.gym_tasks import Signs, SignTask
from tutelage import Option, OptionStep

EARLY = ("options", "picture", "script")
"""Methods that are called for new situations alone, of which a run soon meets no more."""
LATE = (
    *("situation", "run_option", "encode", "success", "remember", "action_mask"),
    *("step", "reset"),
)


class FailingSigns(Signs):
    """The environment, which fails where the task says so."""

    def __init__(self, failing: Failing) -> None:
        self._failing = failing

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        self._failing.may_fail("reset")
        return super().reset(seed=seed)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, Any]:
        self._failing.may_fail("step")
        return super().step(action)


class Failing(SignTask):
    """Do what the sign says, where all methods may fail.

    method: the one that does, once the run in `folder` has so many rows of metrics, and as long as
    there is no file `mended` beside it.
    """

    def __init__(self, method: str, folder: str, rows: int = 0, workers: int = 0) -> None:
        super().__init__(workers)
        self._method, self._folder, self._rows = method, Path(folder), rows
        self.env = lambda: FailingSigns(self)

    def may_fail(self, method: str) -> None:
        if method != self._method or (self._folder / "mended").exists():
            return
        metrics = self._folder / "run" / "metrics.jsonl"
        written = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
        if written >= self._rows:
            raise ZeroDivisionError("not yet mended")

    def situation(self, obs: Any, info: Any) -> str:
        self.may_fail("situation")
        return super().situation(obs, info)

    def options(self, situation: str) -> list[Option]:
        self.may_fail("options")
        return super().options(situation)

    def run_option(self, option: Option, obs: Any, info: Any) -> OptionStep:
        self.may_fail("run_option")
        return super().run_option(option, obs, info)

    def encode(self, obs: Any, info: Any) -> Any:
        self.may_fail("encode")
        return obs

    def success(self, episode: Any) -> bool:
        self.may_fail("success")
        return bool(episode.return_ > 3)

    def remember(self, memory: Any, obs: Any, info: Any) -> Any:
        self.may_fail("remember")
        return super().remember(memory, obs, info)

    def action_mask(self, obs: Any, info: Any) -> Any:
        self.may_fail("action_mask")
        return [True, True, True]

    def picture(self, obs: Any, info: Any) -> str:
        self.may_fail("picture")
        return super().picture(obs, info)

    def script(self, situation: str) -> tuple[Option, ...]:
        self.may_fail("script")
        return super().script(situation)
