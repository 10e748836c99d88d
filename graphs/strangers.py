"""What resuming a stranger's run must not do: run code of its folder, or give a key away.

A run of somebody's own task or teacher names it by a dotted path, and a resume imports it. That
path must lead to code that the user has put there, and never into the run folder itself. And a run
names the address that its teacher is asked at: the user's key goes there only on their own word.
"""

from __future__ import annotations

import ipaddress
import os
import shlex
import sys
from importlib.machinery import all_suffixes
from pathlib import Path
from urllib.parse import urlsplit

from agents.provider_catalogue import keys_at_hand
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


def check_address(
    folder: Path, config: RunConfig, base_url: str | None, command: str | None = None
) -> None:
    """See that a key goes to no address but one that the user names. Raises RunFolderError.

    base_url: the address as the user gives it; None where they give none. This machine's own
    addresses need no word. command: what they typed; None for `resume`.
    """
    stored = config.base_url
    if base_url is not None and base_url != stored:
        raise RunFolderError(f"{folder} asks its teacher at {stored}, and not at {base_url}")
    if stored is None or base_url is not None or _is_here(stored):
        return
    keys = keys_at_hand(config.provider)
    if keys:
        typed = command or f"resume {shlex.quote(str(folder))}"
        hint = f"python cli.py {typed} --base-url {shlex.quote(stored)}"
        raise RunFolderError(
            f"{folder} would send your key ({' or '.join(keys)}) to {stored}; if you trust that "
            f"address, say so: {hint}"
        )


def _is_here(url: str) -> bool:
    """Whether an address is this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
