"""The commands `cache show`, `export`, `import` and `clear`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.options import Json

app = typer.Typer(help="See or empty the cache of the teacher's answers.", no_args_is_help=True)


@app.command("show")
def cache_show(
    file: Annotated[Path | None, typer.Option(help="The cache; none for your own.")] = None,
    as_json: Json = False,
) -> None:
    """Show what the plan cache holds.

    Example: python cli.py cache show
    """
    from tutelage.graphs.terminal.cache import view

    view.show(file, as_json)


@app.command("export")
def cache_export(
    target: Annotated[Path, typer.Argument(help="The JSON lines to write.", metavar="FILE")],
    run: Annotated[
        Path | None,
        typer.Option(
            help="A run folder: only the answers behind that run.", autocompletion=completion.runs
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="The cache; none for your own.")] = None,
) -> None:
    """Write recorded answers, to be replayed, shared or imported: no key, no secret.

    Example: python cli.py cache export answers.jsonl --run runs/my-run
    """
    from tutelage.graphs.terminal.cache import view

    view.export(target, run, file)


@app.command("import")
def cache_import(
    source: Annotated[Path, typer.Argument(help="Recorded answers, JSON lines.", metavar="FILE")],
    file: Annotated[Path | None, typer.Option(help="The cache; none for your own.")] = None,
) -> None:
    """Take recorded answers into the cache: all lines, or none where one is bad.

    Example: python cli.py cache import answers.jsonl
    """
    from tutelage.graphs.terminal.cache import view

    raise typer.Exit(0 if view.take_in(source, file) else 2)


@app.command("clear")
def cache_clear(
    file: Annotated[Path | None, typer.Option(help="The cache; none for your own.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget every stored answer; the teacher is then asked, and paid, again.

    Example: python cli.py cache clear --yes
    """
    from tutelage.graphs.terminal.cache import view

    if not yes:
        typer.confirm("Forget every stored answer?", abort=True)
    view.clear(file)
