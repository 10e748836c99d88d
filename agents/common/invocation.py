"""How this program was started, for the hints that name one of its commands."""

from __future__ import annotations

import sys
from pathlib import PurePath


def command() -> str:
    """`python cli.py` in a checkout where it was started so, else `tutelage`."""
    started_by = PurePath(sys.argv[0]).name if sys.argv else ""
    return "python cli.py" if started_by == "cli.py" else "tutelage"
