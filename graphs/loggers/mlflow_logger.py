"""MLflow, by its own client, which reads MLFLOW_TRACKING_URI; without one, MLflow's own default.

What the store holds of a run says which step was the last, so no step is sent twice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.loggers.base import plain_config
from tutelage.graphs.loggers.places import Place
from tutelage.graphs.records.run_folder import RunFolder

_EXPERIMENT: Final = "tutelage"
_EVERY_ROW: Final = "wall_s"
"""A figure that each row has."""

_LONGEST: Final = 500
"""Characters of a parameter that MLflow takes."""

_BATCH: Final = 100
"""Parameters that it takes at once."""


class MlflowLogger:
    """One run of an experiment, gone on with by its id."""

    def __init__(self, config: RunConfig, folder: RunFolder) -> None:
        self._client = MlflowClient()
        place = Place(folder, "mlflow")
        if place.id is None:
            place.id = self._created(folder.path.name)
            self._describe(place.id, config)
            place.save()
        self._id = place.id
        self._client.update_run(self._id, "RUNNING")
        sent = self._client.get_metric_history(self._id, _EVERY_ROW)
        self._last_step = max((metric.step for metric in sent), default=-1)

    def log(self, step: int, figures: Mapping[str, float], wall_s: float) -> None:  # noqa: ARG002
        """See `graphs.loggers.base.Logger`."""
        if step <= self._last_step:
            return
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in figures.items()]
        self._client.log_batch(self._id, metrics=metrics)
        self._last_step = step

    def close(self) -> None:
        """The run is over there too."""
        self._client.set_terminated(self._id)

    def _created(self, name: str) -> str:
        found = self._client.get_experiment_by_name(_EXPERIMENT)
        experiment = found.experiment_id if found else self._client.create_experiment(_EXPERIMENT)
        return str(self._client.create_run(experiment, run_name=name).info.run_id)

    def _describe(self, run_id: str, config: RunConfig) -> None:
        params = [Param(k, str(v)[:_LONGEST]) for k, v in plain_config(config).items()]
        for first in range(0, len(params), _BATCH):
            self._client.log_batch(run_id, params=params[first : first + _BATCH])


def make(config: RunConfig, folder: RunFolder) -> MlflowLogger:
    """The logger of a run."""
    return MlflowLogger(config, folder)
