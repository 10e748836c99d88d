"""`bench`: how fast each part is on this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tutelage.graphs.records.trace.names import DASH
from tutelage.graphs.terminal.common.options import Assignments, ConfigFile, Engine, Env, Json
from tutelage.graphs.terminal.common.tables import new_table
from tutelage.graphs.terminal.common.text import console, percent, print_json, safe

if TYPE_CHECKING:
    from tutelage.graphs.analysis.bench import Bench, Figure

app = typer.Typer()


@app.command()
def bench(
    env: Env = None,
    num_envs: Annotated[int | None, typer.Option(help="Environments stepped together.")] = None,
    engine: Engine = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="How long to measure, in all.")] = 60.0,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: Json = False,
) -> None:
    """Measure how fast each part and a whole run are on this machine.

    Engine, map, labels, student, PPO and whole runs are measured one after the other.

    Gymnasium's SyncVectorEnv is measured beside them, and Stable-Baselines3's PPO where it is
    installed. Compiling comes on top of the time given.

    Examples:

    python cli.py bench

    python cli.py bench --env LavaDoorKey --num-envs 256 --seconds 20 --json
    """
    from tutelage.graphs.analysis.bench import measure
    from tutelage.graphs.config.config import make_config

    options = {"env": env, "num_envs": num_envs, "task.engine": engine}
    chosen = make_config(config, assignments or [], options)
    # What is being measured goes to standard error.
    with console(stderr=True).status("compiling") as status:
        bench = measure(chosen, seconds, lambda name: status.update(safe(name)))
    if as_json:
        print_json(_plain(bench))
        return
    out = console()
    heading = f"{bench.env}, {bench.num_envs} environments, torch threads: {bench.threads}"
    out.print(safe(heading, "bold"))
    table = new_table(("what", "steps/s", "µs a step", "beside it"), words=("what", "beside it"))
    for figure in bench.figures:
        table.add_row(*(safe(cell) for cell in _cells(figure)))
    out.print(table)
    out.print(safe("of the run with labels on every step: " + _shares(bench)))


def _plain(bench: Bench) -> dict[str, Any]:
    figures = [{**asdict(f), "us_per_step": f.microseconds} for f in bench.figures]
    return {**asdict(bench), "figures": figures}


def _cells(figure: Figure) -> tuple[str, str, str, str]:
    beside = figure.note
    if figure.ratio is not None:
        beside = f"{figure.versus}: {figure.ratio:.1f} times as fast"
    if figure.steps_per_s is None or figure.microseconds is None:
        return figure.name, DASH, DASH, beside
    return figure.name, f"{figure.steps_per_s:,.0f}", f"{figure.microseconds:,.2f}", beside


def _shares(bench: Bench) -> str:
    names = {
        "collect": "collecting",
        "advice": "advice and labels",
        "update": "PPO update",
        "graph": "LangGraph",
        "record": "recording",
    }
    return ", ".join(f"{words} {percent(bench.shares[name])}" for name, words in names.items())
