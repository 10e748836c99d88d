"""The command line: all commands put together; mistakes of users are reported in one line."""

from __future__ import annotations

import sys
from typing import Final

import typer

from tutelage.graphs.terminal import bench, cache, config, envs, evaluate, export, graphs, providers
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
for _verb in (run, evaluate, watch, export, bench, compare):
    app.add_typer(_verb.app)
for _noun, _commands in _NOUNS.items():
    app.add_typer(_commands.app, name=_noun)


def main() -> None:
    """Run the command line; a mistake that people can mend is one line and exit code 2."""
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
