"""The line with which every command that writes a file ends: `wrote FILE`, and what is in it."""

from __future__ import annotations

from pathlib import Path

from tutelage.graphs.terminal.common.text import console, safe


def tell_written(file: Path, what: str = "", stderr: bool = False) -> None:
    """Say that a file is there now. stderr: standard output is for data."""
    console(stderr=stderr).print(safe(f"wrote {file}{what and f': {what}'}"), soft_wrap=True)
