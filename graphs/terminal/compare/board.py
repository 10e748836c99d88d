"""An experiment's runs while they are made: a table in place on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tutelage.graphs.analysis.experiments import Experiment, Job
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.runtime.signals import stop_on_signals
from tutelage.graphs.terminal.common.tables import table_of
from tutelage.graphs.terminal.common.text import console, percent, safe

_LOOK_EVERY_S: Final = 1.0
_FIGURES: Final = ("steps", "training", "held out", "teacher")
_SPARED: Final = ("teacher", "training")
_STYLES: Final = {"finished": "green", "failed": "red", "running": "cyan", "stopped": "yellow"}


def make(experiment: Experiment, side_by_side: int, as_json: bool) -> int:
    """Make an experiment's runs and show how they go; returns the exit code.

    0 where all are finished, 2 where some failed, 130 or 143 after a signal. as_json: standard
    output is for JSON, so progress goes to standard error.
    """
    out = console(stderr=as_json)
    with _Board(out, experiment) as board, stop_on_signals(board.on_signal) as request:
        experiment.run(side_by_side, request.event, board.on_change)
    for job in experiment.jobs:
        if job.status == "failed":
            out.print(safe(f"{job.name} failed: {job.problem}", "red"), soft_wrap=True)
    return request.exit_code or (0 if all(j.status == "finished" for j in experiment.jobs) else 2)


class _Board:
    """The runs of an experiment as they go: a table in place on a terminal, lines elsewhere."""

    def __init__(self, out: Console, experiment: Experiment) -> None:
        self._out, self._experiment = out, experiment
        self._told: dict[str, str] = {job.name: job.status for job in experiment.jobs}
        self._figures: dict[str, tuple[str, ...]] = {}
        self._looked = 0.0
        live = Live(console=out, refresh_per_second=4, transient=True)
        self._live = live if out.is_terminal else None

    def __enter__(self) -> _Board:
        kept = sum(job.status == "finished" for job in self._experiment.jobs)
        line = f"{len(self._experiment.jobs)} runs in {self._experiment.folder}"
        self._out.print(safe(f"{line}, {kept} of them finished already"), soft_wrap=True)
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def on_signal(self, name: str) -> None:
        """Give the terminal back. May be called from any thread."""
        self._leave()
        self._out.print(safe(f"{name}: the runs are saved and stopped; the same command goes on"))

    def on_change(self, job: Job) -> None:
        """A job's status has changed, or some time has passed."""
        changed = self._told[job.name] != job.status
        self._told[job.name] = job.status
        if changed or monotonic() - self._looked > _LOOK_EVERY_S:
            self._looked = monotonic()
            self._figures = {each.name: _standing(each) for each in self._experiment.jobs}
            if self._live:
                self._live.update(self._table())
        if changed and not self._live:
            self._out.print(safe(_line(job, self._figures[job.name])), soft_wrap=True)

    def _leave(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _table(self) -> Table:
        rows = []
        for job in self._experiment.jobs:
            style = "yellow" if job.unanswered else _STYLES.get(job.status, "dim")
            status = Text(_status(job), style=style)
            figures = self._figures.get(job.name) or ("",) * len(_FIGURES)
            cells = {name: safe(figure) for name, figure in zip(_FIGURES, figures, strict=True)}
            rows.append({"run": safe(job.name), "status": status, **cells})
        return table_of(rows, ("run", "status"), self._out.width, _SPARED)


def _standing(job: Job) -> tuple[str, ...]:
    """Steps, success in training and held out, the teacher's weight: as far as known."""
    if job.status == "waiting":
        return ()
    rows = RunFolder(job.path).read_metrics() if job.path.is_dir() else []
    if not rows:
        return ()
    evaluated = [row.eval_success for row in rows if row.eval_success is not None]
    return (
        f"{rows[-1].env_steps:,}",
        percent(rows[-1].train_success),
        percent(evaluated[-1] if evaluated else None),
        f"{rows[-1].teacher_weight or 0.0:.2f}",
    )


def _status(job: Job) -> str:
    return f"{job.status}, no answer" if job.unanswered else job.status


def _line(job: Job, figures: Sequence[str]) -> str:
    said = f"{job.name}: {_status(job)}"
    if job.status == "in use":
        return f"{said}: another process is at work there, and is waited for"
    if job.problem is not None:
        return f"{said}: {job.problem}"
    return f"{said}, {figures[0]} steps, held out {figures[2]}" if figures else said
