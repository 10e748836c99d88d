"""What every logger is, and driving those that a run asks for.

metrics.jsonl stays the record; loggers are told its rows. Nothing is sent anywhere unless the
configuration names a logger, and what goes wrong with one never stops a run.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any, Final, Protocol

from tutelage.agents.common.redact import redact
from tutelage.graphs.config.config import ConfigError, RunConfig, flat
from tutelage.graphs.config.events import Event, IterationDone, Notice, Tell
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.shapes import MetricsRow

_NEEDS: Final = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
"""The loggers, each a module beside this one, and the package that it needs."""

_NOT_FIGURES: Final = ("iteration", "env_steps")


class Logger(Protocol):
    """Takes figures by environment step. Whatever it raises switches it off, with a notice."""

    def log(self, step: int, figures: Mapping[str, float], wall_s: float) -> None:
        """An iteration's figures. wall_s: seconds since the run began."""

    def close(self) -> None:
        """The run is over, or interrupted."""


def check_loggers(names: Sequence[str]) -> None:
    """Raises ConfigError where a logger's package is not installed."""
    for name in names:
        if find_spec(_NEEDS[name]) is None:
            raise ConfigError(f'loggers: {name} is not installed: pip install "tutelage[{name}]"')


def with_loggers(config: RunConfig, folder: RunFolder, tell: Tell, resources: ExitStack) -> Tell:
    """`tell`, with the run's loggers listening; they are closed when `resources` are.

    Each is first told the rows that the run has so far: a logger keeps what it has of them, or
    writes all of them anew, so that a resumed run has each step once.
    """
    rows = folder.read_metrics() if config.loggers else []
    guarded = [_Guarded(name, config, folder, rows, tell) for name in config.loggers]
    for each in guarded:
        resources.callback(each.close)

    def told(event: Event) -> None:
        if isinstance(event, IterationDone):
            row = MetricsRow.model_validate(event.row)
            for each in guarded:
                each.log(row)
        tell(event)

    return told


def plain_config(config: RunConfig) -> dict[str, Any]:
    """The configuration by dotted key, for a logger, without secrets."""
    fields = flat(config.model_dump(mode="json"))
    return {k: redact(v) if isinstance(v, str) else v for k, v in fields.items()}


def figures_of(row: MetricsRow) -> dict[str, float]:
    """The numbers of a row of metrics."""
    return {
        name: float(value)
        for name, value in row.model_dump(exclude=set(_NOT_FIGURES)).items()
        if value is not None and math.isfinite(value)
    }


class _Guarded:
    """A logger of which no failure gets out: the first one ends it."""

    def __init__(
        self,
        name: str,
        config: RunConfig,
        folder: RunFolder,
        rows: Sequence[MetricsRow],
        tell: Tell,
    ) -> None:
        self._name, self._tell = name, tell
        self._logger: Logger | None = None

        def begin() -> None:
            module = importlib.import_module(f"{__package__}.{name}_logger")
            self._logger = module.make(config, folder)
            for row in rows:
                self._log(row)

        self._guard(begin)

    def log(self, row: MetricsRow) -> None:
        """Pass a row on, while the logger lives."""
        self._guard(lambda: self._log(row))

    def close(self) -> None:
        """Close it, if it lives."""
        logger, self._logger = self._logger, None
        if logger is not None:
            self._guard(logger.close)

    def _log(self, row: MetricsRow) -> None:
        if self._logger is not None:
            self._logger.log(row.env_steps, figures_of(row), row.wall_s)

    def _guard(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            self._logger = None
            reason = redact(" ".join(str(error).split()))[:200] or type(error).__name__
            self._tell(Notice(f"{self._name} gets nothing from here on: {reason}"))
