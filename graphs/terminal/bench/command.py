"""`bench`: how fast each part is on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from tutelage.graphs.terminal.common.options import Assignments, ConfigFile, Engine, Env, Json

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
    """Measure engine, map, labels, student, PPO and whole runs, one after the other.

    Gymnasium's SyncVectorEnv is measured beside them, and Stable-Baselines3's PPO where it is
    installed. Compiling comes on top of the time given.

    Examples:

    python cli.py bench

    python cli.py bench --env LavaDoorKey --num-envs 256 --seconds 20 --json
    """
    options = {"env": env, "num_envs": num_envs, "task.engine": engine}
    from tutelage.graphs.config.config import make_config

    chosen = make_config(config, assignments or [], options)
    from tutelage.graphs.terminal.bench import view

    view.show(chosen, seconds, as_json)
