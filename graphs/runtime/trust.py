"""Whether a run folder can be trusted: a resume runs no code of it, and gives no key away.

A run of somebody's own task or teacher names it by a dotted path, and a resume imports it. That
path must lead to code that the user has put there, and never into the run folder itself. And a run
names the addresses that its teachers are asked at: the user's key goes there only on their word.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from importlib.machinery import all_suffixes
from pathlib import Path

from tutelage.agents.common.files import RunFolderError
from tutelage.agents.common.invocation import command
from tutelage.agents.common.settings import provider_and_address
from tutelage.agents.providers.catalogue import keys_at_hand
from tutelage.graphs.config.config import RunConfig
from tutelage.rl.tasks.registry import is_own_code


def check_imports(folder: Path, config: RunConfig) -> None:
    """See that no code of a run folder can be imported. Raises RunFolderError.

    It could where the run names code by a path, which Python's search path can lead into the
    folder (`runs.first.evil:make`), or where Python looks for code in the folder anyway.
    """
    place = folder.resolve()
    searched = any(Path(entry).resolve().is_relative_to(place) for entry in sys.path)
    teachers = (config.provider, *config.teacher.fallback)
    names_code = is_own_code(config.env) or any(":" in teacher for teacher in teachers)
    if not searched and not names_code:
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
    folder: Path, config: RunConfig, named: Sequence[str], typed: str | None = None
) -> None:
    """See that a key goes to no address but those that the user names. Raises RunFolderError.

    named: the addresses as the user gives them, that of the teacher and those of second models.
    One of this machine is as good as any other: whoever else works here may listen there. typed:
    their command; None for `resume`.
    """
    second = [provider_and_address(step) for step in config.teacher.fallback]
    asked = [(name, url) for name, url in [(config.provider, config.base_url), *second] if url]
    for url in named:
        if url not in [known for _, known in asked]:
            known = " and ".join(known for _, known in asked) or "no address of its own"
            raise RunFolderError(f"{folder} asks its teacher at {known}, and not at {url}")
    silent = [(name, url) for name, url in asked if url not in named]
    keys = {url: keys_at_hand(name) for name, url in silent}
    sent = " and ".join(f"({' or '.join(k)}) to {url}" for url, k in keys.items() if k)
    if sent:
        words = " ".join(f"--base-url {shlex.quote(url)}" for url in (*named, *keys))
        again = typed or f"resume {shlex.quote(str(folder))}"
        raise RunFolderError(
            f"{folder} would send your key {sent}; if you trust that address, say so: "
            f"{command()} {again} {words}"
        )
