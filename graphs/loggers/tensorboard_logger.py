"""TensorBoard event files, in the run's own folder.

They can always be made again from metrics.jsonl. So a resume removes them and writes every row up
to there once more: no step is there twice, and none that a crash took is missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from time import time

from torch.utils.tensorboard import SummaryWriter

from tutelage.agents.common.files import explained
from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.records.run_folder import RunFolder

FOLDER = "tensorboard"


class TensorBoardLogger:
    """Scalars by environment step, under the wall clock that they had in the run."""

    def __init__(self, folder: RunFolder) -> None:
        place = folder.path / FOLDER
        with explained("write", place):
            if place.is_symlink():
                place.unlink()
            elif place.exists():
                shutil.rmtree(place)
        self._writer = SummaryWriter(str(place))
        self._began: float | None = None

    def log(self, step: int, figures: Mapping[str, float], wall_s: float) -> None:
        """See `graphs.loggers.base.Logger`."""
        if self._began is None:
            self._began = time() - wall_s
        for name, value in figures.items():
            at = self._began + wall_s
            self._writer.add_scalar(name, value, step, walltime=at)

    def close(self) -> None:
        """Write what is still in memory."""
        self._writer.close()


def make(config: RunConfig, folder: RunFolder) -> TensorBoardLogger:  # noqa: ARG001 - as all are made
    """The logger of a run."""
    return TensorBoardLogger(folder)
