"""What there is: graphs, environments, config fields, cached answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from graphs.commands import completing
from graphs.commands.options import Assignments, ConfigFile, Json, Seed

graphs_app = typer.Typer(help="See the graphs that can be run.", no_args_is_help=True)
envs_app = typer.Typer(help="See the tasks that can be learned.", no_args_is_help=True)
config_app = typer.Typer(
    help="See the configuration and what each field does.", no_args_is_help=True
)
cache_app = typer.Typer(
    help="See or empty the cache of the teacher's answers.", no_args_is_help=True
)

APPS: Final = {
    "graphs": graphs_app,
    "envs": envs_app,
    "config": config_app,
    "cache": cache_app,
}


@graphs_app.command("list")
def graphs_list(as_json: Json = False) -> None:
    """List the graphs.

    Example: python cli.py graphs list
    """
    from graphs.registry import list_graphs
    from graphs.views import listings, text

    rows = [{"name": info.name, "summary": info.summary} for info in list_graphs()]
    listings.print_rows(text.console(), rows, as_json)


@graphs_app.command("show")
def graphs_show(
    name: Annotated[
        str, typer.Argument(help="A name from `graphs list`.", autocompletion=completing.graphs)
    ],
    as_json: Json = False,
) -> None:
    """Show a graph as text and as Mermaid.

    Example: python cli.py graphs show teacher_student
    """
    from graphs.views import listings, text

    shape = listings.graph_shape(name)
    if as_json:
        text.print_json(shape)
    else:
        listings.print_graph(text.console(), shape)


@envs_app.command("list")
def envs_list(as_json: Json = False) -> None:
    """List the tasks that come with Tutelage.

    Example: python cli.py envs list
    """
    from dataclasses import asdict

    from graphs.views import listings, text
    from rl.tasks import shipped_tasks

    rows = [asdict(info) for info in shipped_tasks()]
    columns = {"name": "name", "what to do": "summary", "steps": "default_steps"}
    listings.print_rows(text.console(), rows, as_json, columns)


@envs_app.command("show")
def envs_show(
    name: Annotated[
        str,
        typer.Argument(
            help="A name from `envs list`, or module:callable.", autocompletion=completing.envs
        ),
    ],
    as_json: Json = False,
    seed: Seed = None,
) -> None:
    """Show a task: what the student sees and does, and a first situation.

    Example: python cli.py envs show LavaDoorKey
    """
    from graphs.views import env_views

    env_views.show(name, seed or 0, as_json)


@config_app.command("show")
def config_show(
    config: ConfigFile = None, assignments: Assignments = None, as_json: Json = False
) -> None:
    """Show every config field: its value, what is allowed, what it does.

    Example: python cli.py config show --set ppo.gamma=0.98
    """
    from graphs.config import make_config
    from graphs.views import config_views

    config_views.show(make_config(config, assignments or [], {}), as_json)


@cache_app.command("show")
def cache_show(
    file: Annotated[Path | None, typer.Option(help="The cache; none for your own.")] = None,
    as_json: Json = False,
) -> None:
    """Show what the plan cache holds.

    Example: python cli.py cache show
    """
    from graphs.views import cache_views

    cache_views.show(file, as_json)


@cache_app.command("export")
def cache_export(
    target: Annotated[Path, typer.Argument(help="The JSON lines to write.", metavar="FILE")],
    run: Annotated[
        Path | None,
        typer.Option(
            help="A run folder: only the answers behind that run.", autocompletion=completing.runs
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="The cache; none for your own.")] = None,
) -> None:
    """Write recorded answers, to be replayed, shared or imported: no key, no secret.

    Example: python cli.py cache export answers.jsonl --run runs/my-run
    """
    from graphs.views import cache_views

    cache_views.export(target, run, file)


@cache_app.command("import")
def cache_import(
    source: Annotated[Path, typer.Argument(help="Recorded answers, JSON lines.", metavar="FILE")],
    file: Annotated[Path | None, typer.Option(help="The cache; none for your own.")] = None,
) -> None:
    """Take recorded answers into the cache: all lines, or none where one is bad.

    Example: python cli.py cache import answers.jsonl
    """
    from graphs.views import cache_views

    raise typer.Exit(0 if cache_views.take_in(source, file) else 2)


@cache_app.command("clear")
def cache_clear(
    file: Annotated[Path | None, typer.Option(help="The cache; none for your own.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget every stored answer; the teacher is then asked, and paid, again.

    Example: python cli.py cache clear --yes
    """
    from graphs.views import cache_views

    if not yes:
        typer.confirm("Forget every stored answer?", abort=True)
    cache_views.clear(file)
