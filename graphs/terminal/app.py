"""The command line: all commands put together; mistakes of users are reported in one line."""

from __future__ import annotations

import gc
import sys
from typing import Annotated, Final

import typer

from tutelage import __version__
from tutelage.graphs.terminal import (
    bench,
    cache,
    config,
    envs,
    evaluate,
    export,
    graphs,
    providers,
    report,
)
from tutelage.graphs.terminal.common.encoding import write_anything
from tutelage.graphs.terminal.compare import command as compare
from tutelage.graphs.terminal.prompts import command as prompts
from tutelage.graphs.terminal.run import command as run
from tutelage.graphs.terminal.runs import command as runs
from tutelage.graphs.terminal.trace import command as trace
from tutelage.graphs.terminal.watch import command as watch

app = typer.Typer(
    name="tutelage",
    help="A large language model teaches a small reinforcement-learning agent, then lets go.\n\n"
    "Example: python cli.py run --graph teacher_student",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_NOUNS: Final = {
    "runs": runs,
    "trace": trace,
    "prompts": prompts,
    "providers": providers,
    "graphs": graphs,
    "envs": envs,
    "config": config,
    "cache": cache,
}
for _verb in (run, evaluate, watch, export, report, bench, compare):
    app.add_typer(_verb.app)
for _noun, _commands in _NOUNS.items():
    app.add_typer(_commands.app, name=_noun)

_OBJECTS_BETWEEN_COLLECTIONS: Final = 50_000
"""Python's own are 700 to 2,000: it would look through what is loaded again and again, a second of
a short run."""


def _print_version(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:  # which is a shell's, for completion
        print(f"tutelage {__version__}")
        raise typer.Exit


@app.callback()
def _of_all(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """What may be typed before any command."""


def main() -> None:
    """Run the command line; a mistake that people can mend is one line and exit code 2."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 20, 50)
    write_anything()
    try:
        app()
    except Exception as error:
        from tutelage.graphs.runtime.errors import in_full, one_line

        line = one_line(error)
        if line is None:
            print(in_full(error), end="", file=sys.stderr)
            sys.exit(1)
        plain = "".join(c if c.isprintable() else "·" for c in " ".join(line.split()))
        print(f"tutelage: {plain}", file=sys.stderr)
        sys.exit(2)
