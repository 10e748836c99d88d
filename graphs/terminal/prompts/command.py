"""`prompts`: the prompt templates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.options import (
    Assignments,
    BaseUrl,
    Env,
    Json,
    Prompts,
    Seed,
    of_run,
)

app = typer.Typer(
    help="See, edit, compare and try the prompt templates.\n\nYour own versions lie in a folder of "
    "yours, layered over the shipped ones file by file.",
    no_args_is_help=True,
)

Name = Annotated[
    str, typer.Argument(help="A name from `prompts list`.", autocompletion=completion.prompts)
]
OfRun = Annotated[Path | None, of_run("As this run has used them.")]


@app.command("list")
def prompts_list(prompts: Prompts = None, as_json: Json = False) -> None:
    """List the prompt templates and where each comes from.

    Example: python cli.py prompts list --prompts my_prompts
    """
    from tutelage.graphs.terminal.prompts import view

    view.show_list(prompts, as_json)


@app.command("show")
def prompts_show(
    name: Name, prompts: Prompts = None, run: OfRun = None, as_json: Json = False
) -> None:
    """Show a prompt template as written, or as a run has used it.

    Examples:

    python cli.py prompts show planner_system

    python cli.py prompts show planner_system --run runs/my-run
    """
    from tutelage.graphs.terminal.prompts import view

    view.show_one(name, view.folder_of(prompts, run), as_json)


@app.command("edit")
def prompts_edit(name: Name, prompts: Prompts = None) -> None:
    """Edit your own version of a prompt template in $VISUAL or $EDITOR.

    It is checked when you save it; until it is right, your text is kept beside your own version.

    Example: python cli.py prompts edit planner_examples
    """
    from tutelage.graphs.terminal.prompts import editing

    raise typer.Exit(editing.edit(name, prompts))


@app.command("diff")
def prompts_diff(
    name: Annotated[
        str | None, typer.Argument(help="A name; none for all.", autocompletion=completion.prompts)
    ] = None,
    prompts: Prompts = None,
    run: OfRun = None,
    as_json: Json = False,
) -> None:
    """Show what your versions, or a run's, change in the shipped ones.

    Example: python cli.py prompts diff --prompts my_prompts
    """
    from tutelage.graphs.terminal.prompts import view

    view.show_diff(name, view.folder_of(prompts, run), as_json)


@app.command("check")
def prompts_check(prompts: Prompts = None, as_json: Json = False) -> None:
    """Check all prompt templates.

    Every problem is named with file and line.

    Example: python cli.py prompts check --prompts my_prompts
    """
    from tutelage.graphs.terminal.prompts import view

    raise typer.Exit(0 if view.check(prompts, as_json) else 2)


@app.command("render")
def prompts_render(
    env: Env = None,
    prompts: Prompts = None,
    seed: Seed = None,
    assignments: Assignments = None,
    as_json: Json = False,
) -> None:
    """Render the messages about a first situation of a task.

    Example: python cli.py prompts render --env ColoredDoorKey
    """
    from tutelage.graphs.config.config import make_config
    from tutelage.graphs.terminal.prompts import view

    given = {"env": env, "prompts": prompts, "seed": seed}
    view.render(make_config(None, assignments or [], given), as_json)


@app.command("try")
def prompts_try(
    provider: Annotated[
        list[str] | None,
        typer.Option(
            help="The teacher; may be given several times.", autocompletion=completion.providers
        ),
    ] = None,
    base_url: BaseUrl = None,
    prompts: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Folder of templates, or `shipped`; several times."),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this task's situations; several times.", autocompletion=completion.envs
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The most situations, spread over the tasks.")
    ] = None,
    wrong: Annotated[bool, typer.Option("--wrong", help="List what went wrong, and why.")] = False,
    assignments: Assignments = None,
    as_json: Json = False,
) -> None:
    """Ask about situations whose sensible plans are known.

    So models and wordings are compared.

    Nothing comes from the plan cache, so a hosted model is paid for every situation. Several sets
    of prompts are compared situation by situation. A script such as `offline` reads no prompts.

    Examples:

    python cli.py prompts try --provider offline --limit 10

    python cli.py prompts try --provider openai:MODEL --prompts my_prompts
    """
    from tutelage.graphs.config.config import make_config
    from tutelage.graphs.terminal.prompts import exam

    config = make_config(None, assignments or [], {"base_url": base_url})
    exam.show(config, provider or [], prompts or [], task or [], limit, wrong, as_json)
