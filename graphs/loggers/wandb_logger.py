"""Weights & Biases, by its own client, which reads WANDB_MODE, WANDB_PROJECT, WANDB_API_KEY.

With WANDB_MODE=offline nothing leaves the machine. Code, Git state and console output are never
sent. A run that was killed may send its last rows twice while offline; online the service drops
steps that it has.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import wandb

from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.loggers.base import plain_config
from tutelage.graphs.loggers.places import Place
from tutelage.graphs.records.run_folder import RunFolder

_SAVE_EVERY: Final = 50
_PROJECT: Final = "tutelage"


class WandbLogger:
    """One run of the service, gone on with by its id."""

    def __init__(self, config: RunConfig, folder: RunFolder) -> None:
        self._place = Place(folder, "wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", _PROJECT),
            id=self._place.id,
            resume="allow",
            name=folder.path.name,
            dir=str(folder.path),
            config=plain_config(config),
            settings=wandb.Settings(
                console="off", disable_code=True, disable_git=True, save_code=False, silent=True
            ),
        )
        self._place.id = self._run.id
        self._place.save()
        self._unsaved = 0

    def log(self, step: int, figures: Mapping[str, float], wall_s: float) -> None:  # noqa: ARG002
        """See `graphs.loggers.base.Logger`."""
        if step <= self._place.last_step:
            return
        self._run.log(dict(figures), step=step)
        self._place.last_step = step
        self._unsaved += 1
        if self._unsaved >= _SAVE_EVERY:
            self._unsaved = 0
            self._place.save()

    def close(self) -> None:
        """Send what is left, and end the run there."""
        self._place.save()
        self._run.finish()


def make(config: RunConfig, folder: RunFolder) -> WandbLogger:
    """The logger of a run."""
    return WandbLogger(config, folder)
