"""`prompts`: the prompt templates."""

from __future__ import annotations

from typing import Annotated

import typer

from graphs.commands.options import Env, Json, Prompts, Seed

app = typer.Typer(help="See, check and render the prompt templates.", no_args_is_help=True)


@app.command("list")
def prompts_list(prompts: Prompts = None, as_json: Json = False) -> None:
    """List the prompt templates and where each comes from.

    Example: python cli.py prompts list --prompts my_prompts
    """
    from graphs.views import prompt_views

    prompt_views.show_list(prompts, as_json)


@app.command("show")
def prompts_show(
    name: Annotated[str, typer.Argument(help="A name from `prompts list`.")],
    prompts: Prompts = None,
    as_json: Json = False,
) -> None:
    """Show one prompt template as it is written.

    Example: python cli.py prompts show planner_system
    """
    from graphs.views import prompt_views

    prompt_views.show_one(name, prompts, as_json)


@app.command("check")
def prompts_check(prompts: Prompts = None) -> None:
    """Check all prompt templates; every problem is named with file and line.

    Example: python cli.py prompts check --prompts my_prompts
    """
    from graphs.views import prompt_views

    raise typer.Exit(0 if prompt_views.check(prompts) else 2)


@app.command("render")
def prompts_render(
    env: Env = None, prompts: Prompts = None, seed: Seed = None, as_json: Json = False
) -> None:
    """Render the messages that a teacher would get in a first situation of a task.

    Example: python cli.py prompts render --env ColoredDoorKey
    """
    from graphs.views import prompt_views

    prompt_views.render(env, prompts, seed or 0, as_json)
