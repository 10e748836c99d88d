"""What resuming a stranger's run must not do: run code that lies in its folder.

A run of somebody's own task or teacher names it by a dotted path, and a resume imports it. That
path must lead to code that the user has put there, and never into the run folder itself.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import all_suffixes
from pathlib import Path

from graphs.config import RunConfig
from rl.runfolder import RunFolderError


def check_imports(folder: Path, config: RunConfig) -> None:
    """See that no code of a run folder can be imported. Raises RunFolderError.

    It could where the run names code by a path, which Python's search path can lead into the
    folder (`runs.first.evil:make`), or where Python looks for code in the folder anyway.
    """
    place = folder.resolve()
    searched = any(Path(entry).resolve().is_relative_to(place) for entry in sys.path)
    if not searched and ":" not in config.env + config.provider:
        return
    for where, _, files in os.walk(place):
        for name in files:
            if name.endswith(tuple(all_suffixes())):
                raise RunFolderError(
                    f"{Path(where) / name} is code; a run folder must hold none where Python looks"
                    f" for code in it, or the run names code of its own"
                    f" (env {config.env}, provider {config.provider})"
                )
