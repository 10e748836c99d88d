"""What the shell offers for a word half typed: each function takes it, and gives whole ones.

The shell waits at every press of a key, so nothing heavy is imported, and what is wrong is silent.
Names of files are anybody's, and shells read again what they are offered: zsh runs a command that
is hidden in a name. So a name is offered only if there is nothing in it that a shell reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

_READ_BY_NO_SHELL: Final = "._-/@+:=,"
"""Beside letters and digits. Of these only the first two and @ begin a name."""


def graphs(incomplete: str) -> list[str]:
    """Names of graphs."""
    from tutelage.graphs.registry import list_graphs

    return _beginning(incomplete, (info.name for info in list_graphs()))


def envs(incomplete: str) -> list[str]:
    """Names of the tasks that come along, and of those that installed packages offer."""
    from tutelage.rl.tasks.entry_points import installed_tasks
    from tutelage.rl.tasks.shipped import shipped_tasks

    names = [task.name for task in shipped_tasks()]
    return _beginning(incomplete, [*names, *(point.name for point in installed_tasks())])


def providers(incomplete: str) -> list[str]:
    """Teachers: whole names, or the part up to the model's."""
    from tutelage.agents.common.settings import OFFLINE
    from tutelage.agents.providers.catalogue import HUMAN, KNOWN, RATED, UNRATED

    whole = (OFFLINE, *UNRATED, HUMAN)
    return _beginning(incomplete, [*whole, *(f"{name}:" for name in (*RATED, "replay", *KNOWN))])


def prompts(incomplete: str) -> list[str]:
    """Names of prompt templates."""
    from tutelage.prompts.library import find_library

    return _beginning(incomplete, find_library(None).names())


def assignments(incomplete: str) -> list[str]:
    """Fields of the configuration, up to the equals sign; `env.` for what only its task knows."""
    from tutelage.graphs.config.config import ENV_ARGUMENT, describe_fields

    keys = (key for key, *_ in describe_fields())
    return _beginning(incomplete, ("env." if key == ENV_ARGUMENT else f"{key}=" for key in keys))


def runs(incomplete: str) -> list[str]:
    """Run folders in `runs/`, and in any folder whose name is typed, with the folders there.

    And `@last`, once its first letter is typed.
    """
    if incomplete.startswith("@"):
        return _beginning(incomplete, ["@last"])
    typed = Path(incomplete)
    place = typed if incomplete.endswith("/") else typed.parent
    try:
        folders = {path for path in place.iterdir() if path.is_dir()}
        folders |= {file.parent for file in Path("runs").glob("*/config.json")}
        names = {f"{path}" if (path / "config.json").exists() else f"{path}/" for path in folders}
    except OSError:
        return []
    return _beginning(incomplete, sorted(names))


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete) and _is_plain(name)]


def _is_plain(name: str) -> bool:
    """Whether it means itself and nothing else in every shell."""
    return all(c.isalnum() or c in _READ_BY_NO_SHELL for c in name) and all(
        part[:1].isalnum() or part[:1] in ("", ".", "_", "@") for part in name.split("/")
    )
