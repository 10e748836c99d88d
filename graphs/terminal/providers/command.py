"""`providers`: the teachers that can be asked."""

from __future__ import annotations

from typing import Annotated

import typer

from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.options import (
    Assignments,
    BaseUrl,
    ConfigFile,
    Env,
    Json,
    Prompts,
    Seed,
)

app = typer.Typer(help="See and try the teachers that can be asked.", no_args_is_help=True)


@app.command("list")
def providers_list(as_json: Json = False) -> None:
    """List well-known teachers: installed or not, key present or not, what to install.

    Example: python cli.py providers list
    """
    from tutelage.graphs.terminal.providers import view

    view.show_list(as_json)


@app.command("prices")
def providers_prices(as_json: Json = False) -> None:
    """List the prices that are known, and say where yours go.

    Example: python cli.py providers prices
    """
    from tutelage.graphs.terminal.providers import view

    view.show_prices(as_json)


@app.command("check")
def providers_check(
    name: Annotated[
        str,
        typer.Argument(
            help="As for `run --provider`: openai:MODEL, offline, replay:FILE, …",
            autocompletion=completion.providers,
        ),
    ],
    base_url: BaseUrl = None,
    env: Env = None,
    prompts: Prompts = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: Json = False,
) -> None:
    """Ask a teacher about one real situation: how it answers, how fast, at what cost.

    Exit code 0 where advice came out, 1 where none did, 2 for a mistake to be mended first.

    Examples:

    python cli.py providers check offline

    python cli.py providers check openai:MODEL --base-url http://localhost:8000/v1
    """
    from tutelage.graphs.config.config import make_config

    options = {
        "provider": name,
        "base_url": base_url,
        "env": env,
        "prompts": prompts,
        "seed": seed,
    }
    chosen = make_config(config, assignments or [], options)
    from tutelage.graphs.terminal.providers import view

    raise typer.Exit(0 if view.show_check(chosen, as_json) else 1)
