"""Text and JSON for the terminal; text from models and environments is made safe first."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from tutelage.agents.common.visible import visible
from tutelage.graphs.records.trace.names import DASH
from tutelage.rl.errors import UserError


class NoTerminalError(UserError):
    """A full-screen view where there is no terminal."""


def safe(text: str, style: str = "") -> Text:
    """Untrusted text as Rich text: no markup is read in it, control characters are shown as `·`."""
    return Text(visible(text), style=style)


def print_json(value: Any) -> None:
    """JSON for machines on standard output: plain, whole, never wrapped or coloured."""
    print(json.dumps(value, indent=2, default=str))


def print_json_rows(rows: Iterable[Any]) -> None:
    """A JSON list for machines, a row a line: quick where there are many."""
    lines = ",\n".join(map(json.JSONEncoder(default=str).encode, rows))
    print(f"[\n{lines}\n]" if lines else "[]")


def console(stderr: bool = False) -> Console:
    """The console for people: on standard output, or on standard error beside a result."""
    return Console(highlight=False, stderr=stderr)


def can_redraw(out: Console) -> bool:
    """Whether what is printed there can be overwritten: on a terminal, unless it is a dumb one.

    It must be one in truth: `FORCE_COLOR` makes Rich take a pipe for a terminal.
    """
    return out.is_interactive and out.file.isatty()


def percent(share: float | None) -> str:
    """A share as a percentage, or a dash where there is none."""
    return DASH if share is None else f"{100 * share:.1f} %"
