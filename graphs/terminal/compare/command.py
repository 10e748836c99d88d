"""`compare`: conditions against each other, over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.graphs.terminal.common.help import EXPERIMENT, OUTPUT, TASK, GroupedCommand
from tutelage.graphs.terminal.common.options import (
    Assignments,
    Axis,
    BaseUrl,
    ConfigFile,
    Env,
    Force,
    Graph,
    Json,
    Prompts,
    Provider,
    RunsOrNone,
)

app = typer.Typer()


@app.command(cls=GroupedCommand)
def compare(
    runs: RunsOrNone = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=A,B",
            help="A config field and its values; may be repeated.",
            rich_help_panel=EXPERIMENT,
        ),
    ] = None,
    seeds: Annotated[
        str,
        typer.Option(help="Each combination is run with each of them.", rich_help_panel=EXPERIMENT),
    ] = "0,1,2",
    graph: Graph = None,
    env: Env = None,
    provider: Provider = None,
    base_url: BaseUrl = None,
    prompts: Prompts = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Environment steps of each run; none takes the task's own.", rich_help_panel=TASK
        ),
    ] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    episodes: Annotated[
        int,
        typer.Option(
            min=1,
            help="Held-out episodes for each student, at the least.",
            rich_help_panel=EXPERIMENT,
        ),
    ] = 1000,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            help="Folder of the runs; none takes runs/compare-<digest>.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Runs side by side.", rich_help_panel=EXPERIMENT)
    ] = 1,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw the learning curves too: a .png or .svg file.", rich_help_panel=OUTPUT
        ),
    ] = None,
    x: Axis = "env_steps",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compare values of fields over several seeds, or finished runs.

    Every combination of values is trained with each seed, then the students are compared.

    Finished runs are kept: the same command, typed again, goes on where it stopped. Given RUNs
    and no --vary, nothing is trained.

    Examples:

    python cli.py compare --vary weaning.schedule=linear,constant --seeds 0,1,2

    python cli.py compare --env LavaDoorKey --vary ppo.gamma=0.98,0.99 --jobs 2

    python cli.py compare runs/my-run
    """
    options = {
        "graph": graph,
        "env": env,
        "provider": provider,
        "base_url": base_url,
        "prompts": prompts,
        "steps": steps,
    }
    from tutelage.graphs.analysis.comparison import find_runs
    from tutelage.graphs.analysis.curves import check_axis, panels_of
    from tutelage.graphs.analysis.experiments import plan_experiment, seeds_of
    from tutelage.graphs.config.config import make_config, with_fields
    from tutelage.graphs.records.outputs import check_output
    from tutelage.graphs.terminal.common import comparison
    from tutelage.graphs.terminal.common.figures import check_format, write_figure
    from tutelage.graphs.terminal.common.written import tell_written
    from tutelage.graphs.terminal.compare import board

    if plot is not None:
        check_format(plot)
        check_output(plot, force)
        check_axis(x)
    given = runs or []
    if vary or not given:
        base = make_config(config, assignments or [], options)
        base = with_fields(base, {"evaluation.final_episodes": episodes})
        experiment = plan_experiment(base, vary or [], seeds_of(seeds), folder)
        code = board.make(experiment, jobs, as_json)
        if code != 0:
            raise typer.Exit(code)
        given = [*given, *(job.path for job in experiment.jobs)]
    comparison.show(given, episodes, as_json)
    if plot is not None:
        write_figure(panels_of(find_runs(given), x=x), plot)
        tell_written(plot, stderr=as_json)
