"""Loggers: every row once, also after a resume; asked for only; never a run's end."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from threading import Event as StopSignal
from typing import Any

import pytest

from helpers.tiny_runs import TinyRun, make_run, tiny_config
from tutelage.graphs.config.config import ConfigError, make_config
from tutelage.graphs.config.events import Event, IterationDone, Notice
from tutelage.graphs.loggers import base
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.runtime.run import resume

CORRIDOR = {"env": "helpers.toy_task:Corridor", "steps": 640, "checkpoint_every": 2}
ALL = ("tensorboard", "wandb", "mlflow")


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}")


def offline(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Everything stays in the folder."""
    patch.setenv("WANDB_MODE", "offline")
    patch.setenv("MLFLOW_TRACKING_URI", (folder / "mlruns").as_uri())
    patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A run with all loggers that was stopped beyond a checkpoint, by an error, and went on.

    The rows after the checkpoint were told before, and come once more.
    """
    folder = tmp_path_factory.mktemp("logged")
    with pytest.MonkeyPatch.context() as patch:
        offline(patch, folder)

        def break_off(event: Event) -> None:
            if isinstance(event, IterationDone) and event.row["iteration"] == 3:
                raise InterruptedError

        with pytest.raises(InterruptedError):
            make_run(folder, break_off, loggers=ALL, **CORRIDOR)
        notices: list[str] = []
        summary = resume(
            folder / "run", lambda e: notices.append(e.text) if isinstance(e, Notice) else None
        )
        assert not notices
    return TinyRun(RunFolder.open(folder / "run"), folder / "plans.sqlite", summary)


def expected(run: TinyRun, name: str) -> list[tuple[int, float]]:
    """What a logger should have of a figure."""
    points = [(row.env_steps, getattr(row, name)) for row in run.rows]
    return [(step, pytest.approx(value)) for step, value in points if value is not None]


@needs("tensorboard")
def test_tensorboard_has_every_step_once(stopped_once: TinyRun) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util import tensor_util

    place = stopped_once.path / "tensorboard"
    (file,) = place.iterdir()
    found: dict[str, list[tuple[int, float]]] = {}
    for event in EventFileLoader(str(file)).Load():
        for value in event.summary.value:
            number = float(tensor_util.make_ndarray(value.tensor))
            found.setdefault(value.tag, []).append((event.step, number))
    for name in ("teacher_weight", "entropy", "agreement", "llm_calls", "train_success"):
        assert found[name] == expected(stopped_once, name)


@needs("mlflow")
def test_mlflow_has_every_step_once(stopped_once: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    offline(monkeypatch, stopped_once.path.parent)
    client = MlflowClient()
    experiment = client.get_experiment_by_name("tutelage")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["ppo.gae_lambda"] == "0.95"
    for name in ("teacher_weight", "entropy"):
        history = client.get_metric_history(run.info.run_id, name)
        assert [(m.step, m.value) for m in history] == expected(stopped_once, name)


@needs("wandb")
def test_wandb_goes_on_as_the_same_run(stopped_once: TinyRun) -> None:
    """Offline, a resume adds a file for the same run; together they have every step once."""
    files = sorted((stopped_once.path / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 2
    assert len({file.name for file in files}) == 1
    steps = [step for file in files for step in wandb_steps(file)]
    assert steps == [row.env_steps for row in stopped_once.rows]


def wandb_steps(file: Path) -> list[int]:
    """The steps of the history in a file of the service's client, a log in LevelDB's format."""
    from wandb.proto import wandb_internal_pb2

    content, at, block, steps, record = file.read_bytes(), 7, 1 << 15, list[int](), b""
    while at + 7 <= len(content):
        if block - at % block < 7:  # no room for a header: the rest of the block is empty
            at += block - at % block
            continue
        size, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        record += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            parsed = wandb_internal_pb2.Record()
            parsed.ParseFromString(record)
            record = b""
            if parsed.WhichOneof("record_type") == "history":
                steps.append(parsed.history.step.num)
    return steps


def test_nothing_is_told_to_anybody_who_was_not_named(tmp_path: Path) -> None:
    run = make_run(tmp_path, **CORRIDOR)
    names = {path.name for path in run.path.iterdir()}
    assert not names & {"tensorboard", "wandb", "mlruns", "loggers.json"}


@pytest.mark.parametrize(
    ("given", "loggers"),
    [("tensorboard", ("tensorboard",)), ("", ()), (",wandb, wandb", ("wandb",)), (ALL, ALL)],
)
def test_loggers_are_listed(given: Any, loggers: tuple[str, ...]) -> None:
    assert make_config(None, [], {"loggers": given}).loggers == loggers


def test_an_unknown_one_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"loggers.*'nope'.*tensorboard"):
        make_config(None, ["loggers=nope"], {})


@pytest.mark.parametrize("name", ALL)
def test_a_missing_package_is_told_before_the_run_folder_is_made(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=rf'{name}.*pip install "tutelage\[{name}\]"'):
        make_run(tmp_path, loggers=name, **CORRIDOR)
    assert not (tmp_path / "run").exists()


class Frail:
    """A logger that breaks at its second row."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def log(self, step: int, figures: Mapping[str, float], wall_s: float) -> None:  # noqa: ARG002
        self.steps.append(step)
        if len(self.steps) == 2:
            raise ConnectionError("sk-abcdefghijklmnopqrstuvwx was not liked")

    def close(self) -> None:
        raise AssertionError("it is closed already")


def test_a_logger_that_breaks_ends_itself_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frail, notices = Frail(), list[str]()

    class Module:
        @staticmethod
        def make(*_: object) -> Frail:
            return frail

    monkeypatch.setattr(base.importlib, "import_module", lambda _: Module)
    config = tiny_config(tmp_path, loggers="wandb")
    folder = RunFolder.create(tmp_path / "run")

    def tell(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.text)

    from contextlib import ExitStack

    with ExitStack() as resources:
        told = base.with_loggers(config, folder, tell, resources)
        for i in range(1, 5):
            row = {"iteration": i, "env_steps": 10 * i, "wall_s": 1.0, "llm_calls": 0}
            told(IterationDone({**row, "cache_hits": 0}))
    assert frail.steps == [10, 20]
    assert len(notices) == 1
    assert "wandb gets nothing from here on" in notices[0]
    assert "sk-abc" not in notices[0]


def test_a_stop_closes_them(tmp_path: Path) -> None:
    stop = StopSignal()
    stop.set()
    run = make_run(tmp_path, stop=stop, loggers="tensorboard", **CORRIDOR)
    assert run.summary.status == "interrupted"
    assert list((run.path / "tensorboard").iterdir())
