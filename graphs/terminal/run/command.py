"""Making runs and going on with them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from tutelage.graphs.terminal.common.help import OUTPUT, TASK, TEACHER, GroupedCommand
from tutelage.graphs.terminal.common.options import (
    Assignments,
    BaseUrl,
    ConfigFile,
    Engine,
    Env,
    Graph,
    Json,
    OwnBaseUrls,
    Prompts,
    Provider,
    Run,
    Seed,
    refuse_no_run,
)

_STARTED = monotonic()
"""As good as the process's start: tells imports from the rest."""

app = typer.Typer()

Show = Annotated[
    bool,
    typer.Option(
        "--show/--no-show",
        help="At the end, show an episode of the student.",
        rich_help_panel=OUTPUT,
    ),
]


@app.command(cls=GroupedCommand)
def run(
    graph: Graph = None,
    env: Env = None,
    provider: Provider = None,
    base_url: BaseUrl = None,
    prompts: Prompts = None,
    seed: Seed = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Environment steps of the run; none takes the task's own.", rich_help_panel=TASK
        ),
    ] = None,
    num_envs: Annotated[
        int | None, typer.Option(help="Environments stepped together.", rich_help_panel=TASK)
    ] = None,
    engine: Engine = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.", rich_help_panel=TASK)] = None,
    wait: Annotated[
        bool | None,
        typer.Option("--wait/--no-wait", help="Wait for every answer.", rich_help_panel=TEACHER),
    ] = None,
    budget_calls: Annotated[
        int | None,
        typer.Option(
            help="The most LLM requests, in place of teacher.calls_without_budget.",
            rich_help_panel=TEACHER,
        ),
    ] = None,
    budget_tokens: Annotated[
        int | None,
        typer.Option(help="The most tokens; none for no limit.", rich_help_panel=TEACHER),
    ] = None,
    budget_usd: Annotated[
        float | None,
        typer.Option(help="The most US dollars; needs the prices.", rich_help_panel=TEACHER),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="The run's own folder; none makes runs/<time>-<graph>-<env>-<seed>.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    keep_going: Annotated[
        bool | None,
        typer.Option(
            "--keep-going",
            help="Learn without a teacher that refuses at the start.",
            rich_help_panel=TEACHER,
        ),
    ] = None,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Write TensorBoard files into the run folder.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    loggers: Annotated[
        str | None,
        typer.Option(help="Who else is told: tensorboard, wandb, mlflow.", rich_help_panel=OUTPUT),
    ] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    show: Show = True,
    as_json: Json = False,
) -> None:
    """Train a student with a teacher, which is then withdrawn.

    The student is evaluated alone at the end.

    Examples:

    python cli.py run --graph teacher_student

    python cli.py run --env LavaDoorKey --seed 1 --set ppo.gamma=0.98

    python cli.py run --tensorboard --loggers wandb,mlflow

    python cli.py run --provider openai:MODEL --base-url http://localhost:8000/v1
    """
    options = {
        "graph": graph,
        "env": env,
        "provider": provider,
        "base_url": base_url,
        "prompts": prompts,
        "seed": seed,
        "steps": steps,
        "num_envs": num_envs,
        "task.engine": engine,
        "device": device,
        "wait": wait,
        "teacher.budget_calls": budget_calls,
        "teacher.budget_tokens": budget_tokens,
        "teacher.budget_usd": budget_usd,
        "teacher.keep_going": keep_going,
        "run_dir": run_dir,
        "loggers": f"{loggers or ''},tensorboard" if tensorboard else loggers,
    }
    from tutelage.graphs.config.config import make_config

    chosen = make_config(config, assignments or [], options)
    from tutelage.graphs.runtime import run as runtime
    from tutelage.graphs.terminal.run.session import watch

    raise typer.Exit(watch(partial(runtime.run, chosen), _STARTED, as_json, show))


@app.command()
def resume(
    run: Run,
    base_url: OwnBaseUrls = None,
    show: Show = True,
    as_json: Json = False,
) -> None:
    """Go on with a run that stopped.

    It comes to the numbers that it would have had.

    Example: python cli.py resume runs/my-run
    """
    refuse_no_run(run)
    from tutelage.graphs.runtime import run as runtime
    from tutelage.graphs.terminal.run.session import watch

    make = partial(runtime.resume, run, base_urls=base_url or [])
    raise typer.Exit(watch(make, _STARTED, as_json, show))
