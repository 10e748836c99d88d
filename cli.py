"""The command line: parse, compose, print. What a command does is in the packages beside it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Final

import typer

_PACKAGES: Final = ("agents", "graphs", "prompts", "rl")


def check_packages() -> str | None:
    """What is wrong where another package took one of our names; None where all is well."""
    here = Path(__file__).resolve().parent
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        if found is None or found.parent.parent != here:
            return (
                f"the package {name!r} that Python finds is not Tutelage's: {found or 'none'}; "
                f"expected {here / name}. Another installed package has that name (openai-agents "
                f"does): use an environment of its own for Tutelage"
            )
    return None


def _complain(problem: str) -> int:
    """One line on standard error, whatever was in it; the exit code."""
    line = "".join(c if c.isprintable() else "·" for c in " ".join(problem.split()))
    print(f"tutelage: {line}", file=sys.stderr)
    return 2


# The commands below come from these packages, so this must be known before they are imported.
if (_problem := check_packages()) is not None:
    sys.exit(_complain(_problem))

from graphs.commands import (  # noqa: E402 - see above
    benching,
    catalogue,
    comparing,
    made_runs,
    prompting,
    running,
    teachers,
    tracing,
)

app = typer.Typer(
    name="tutelage",
    help="A large language model teaches a small reinforcement-learning agent, then lets go.\n\n"
    "Example: python cli.py run --graph teacher_student",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(running.app)
app.add_typer(benching.app)
app.add_typer(comparing.app)
app.add_typer(made_runs.app, name="runs")
app.add_typer(tracing.app, name="trace")
app.add_typer(prompting.app, name="prompts")
app.add_typer(teachers.app, name="providers")
for _noun, _commands in catalogue.APPS.items():
    app.add_typer(_commands, name=_noun)


def main() -> None:
    """Run the command line; a mistake that people can mend is one line and exit code 2."""
    # Tasks and providers of one's own (module:callable) are found where the command is typed.
    sys.path.append(str(Path.cwd()))
    try:
        app()
    except Exception as error:
        from graphs.errors import in_full, one_line

        line = one_line(error)
        if line is None:
            print(in_full(error), end="", file=sys.stderr)
            sys.exit(1)
        sys.exit(_complain(line))


if __name__ == "__main__":
    main()
