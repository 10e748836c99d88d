"""What a command of the command line prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tutelage.graphs.terminal.app import app


def say(*arguments: str | Path, code: int = 0) -> str:
    """What a command prints for people; it must end with that exit code."""
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def tell(*arguments: str | Path, code: int = 0) -> Any:
    """What it prints for machines."""
    return json.loads(say(*arguments, "--json", code=code))
