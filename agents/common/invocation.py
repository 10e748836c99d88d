"""How this program was started, for the hints that name one of its commands."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def command() -> str:
    """`python cli.py` in a checkout where it was started so, else `tutelage`."""
    started_by = Path(sys.argv[0]).name if sys.argv else ""
    return "python cli.py" if started_by == "cli.py" else "tutelage"


def hint(*words: str | Path) -> str:
    """A command line to type: `command()` and these words, quoted for the shell."""
    return " ".join([command(), *(shlex.quote(str(word)) for word in words)])
