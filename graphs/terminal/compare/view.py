"""Comparisons at the terminal: the runs while they are made, then a table of settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tutelage.graphs.analysis.comparison import compare, find_runs
from tutelage.graphs.analysis.experiments import Experiment, Job
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.runtime.signals import stop_on_signals
from tutelage.graphs.terminal.common.text import console, percent, print_json, safe

_DASH: Final = "–"  # noqa: RUF001 - a dash for people
_LOOK_EVERY_S: Final = 1.0
_WIDE: Final = 110
_SPARED: Final = frozenset({"seeds", "argmax", "return", "cost"})
"""Columns that a terminal of fewer than `_WIDE` columns goes without."""

_LEFT_OUT: Final = {
    "unfinished": "not finished",
    "without_student": "left out, it trained no student",
    "repeated": "left out, same seed again",
}
_STYLES: Final = {"finished": "green", "failed": "red", "running": "cyan", "stopped": "yellow"}


def show(paths: Sequence[Path], episodes: int | None, as_json: bool) -> None:
    """Compare runs that were made.

    episodes: students that were tested on fewer are tested anew; None takes what is there. Raises
    UserError.
    """
    comparison = compare(find_runs(paths), episodes)
    if as_json:
        print_json(comparison)
    else:
        print_comparison(console(), comparison)


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


def print_comparison(out: Console, comparison: Mapping[str, Any]) -> None:
    """The table of settings, what each has more than the first, and how that is known."""
    settings = comparison["settings"]
    out.print(_settings_table(settings, out.width))
    if comparison["differences"]:
        out.print(_differences_table(comparison["differences"]))
    for kind, why in _LEFT_OUT.items():
        for path in comparison[kind]:
            out.print(safe(f"{path}: {why}", "yellow"), soft_wrap=True)
    for name, method in comparison["methods"].items():
        out.print(safe(f"{name}: {method}", "dim"))


def _settings_table(settings: Sequence[Mapping[str, Any]], width: int) -> Table:
    """The figures of each setting, the most telling ones alone on a narrow terminal."""
    rows = [_cells(setting) for setting in settings]
    shown = [name for name in rows[0] if width >= _WIDE or name not in _SPARED]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in shown:
        if heading == "setting":
            table.add_column(heading, overflow="fold")
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(safe(row[heading]) for heading in shown))
    return table


def _cells(setting: Mapping[str, Any]) -> dict[str, str]:
    reached, seeds = setting["steps_to_95"], len(setting["seeds"])
    argmax, cost = setting["argmax_success"], setting["cost_usd"]
    steps = _DASH if reached["median"] is None else f"{reached['median']:,}"
    every = "" if reached["reached"] == seeds else f"\n{reached['reached']} of {seeds}"
    success = setting["success"]
    return {
        "setting": setting["name"],
        "seeds": ", ".join(map(str, setting["seeds"])),
        "success": f"{_share(success['mean'])}\n{_range(success['ci95'], _share)}",
        "argmax": percent(argmax["mean"] if argmax else None),
        "return": _with_range(setting["return"], "{:.3f}"),
        "length": _with_range(setting["length"], "{:.1f}"),
        "95 % at": steps + every,
        "wall": f"{setting['wall_s']['mean']:,.0f} s",
        "calls": f"{setting['llm_calls']['mean']:,.0f}",
        "cost": _DASH if cost is None else f"${cost['mean']:.4f}",
    }


def _differences_table(differences: Sequence[Mapping[str, Any]]) -> Table:
    against = differences[0]["against"]
    table = Table(
        box=SIMPLE_HEAD, pad_edge=False, title=safe(f"more than {against}"), title_justify="left"
    )
    table.add_column("setting", overflow="fold")
    for heading in ("success", "return", "length"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in differences:
        success = row["success"]
        low, high = success["ci95"]
        sure = "green" if low > 0 else "red" if high < 0 else ""
        table.add_row(
            safe(row["setting"]),
            safe(f"{_signed(success['difference'])}\n{_range(success['ci95'], _signed)}", sure),
            safe(_with_range(row["return"], "{:+.3f}", "difference")),
            safe(_with_range(row["length"], "{:+.1f}", "difference")),
        )
    return table


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f} %"


def _range(interval: Sequence[float], form: Callable[[float], str]) -> str:
    low, high = (form(value).removesuffix(" %") for value in interval)
    return f"{low} to {high}"


def _with_range(figure: Mapping[str, Any], form: str, key: str = "mean") -> str:
    interval = figure["ci95"]
    middle = form.format(figure[key])
    return middle if interval is None else f"{middle}\n{_range(interval, form.format)}"


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
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for heading in ("run", "status", "steps", "training", "held out", "teacher"):
            table.add_column(heading, justify="left" if heading in ("run", "status") else "right")
        for job in self._experiment.jobs:
            status = Text(job.status, style=_STYLES.get(job.status, "dim"))
            figures = self._figures.get(job.name, ())
            table.add_row(safe(job.name), status, *(safe(figure) for figure in figures))
        return table


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


def _line(job: Job, figures: Sequence[str]) -> str:
    said = f"{job.name}: {job.status}"
    if job.problem is not None:
        return f"{said}: {job.problem}"
    return f"{said}, {figures[0]} steps, held out {figures[2]}" if figures else said
