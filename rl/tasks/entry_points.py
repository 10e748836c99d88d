"""Tasks that installed packages offer: entry points of the group `tutelage.tasks`.

Nothing that they name is imported here, so that listing them is quick.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Final

GROUP: Final = "tutelage.tasks"
"""NAME = module:attribute of a class or function that makes a `Task`."""


def installed_tasks() -> list[EntryPoint]:
    """All entry points of the group, by name."""
    return sorted(entry_points(group=GROUP), key=lambda point: point.name)


def find_installed(name: str) -> list[EntryPoint]:
    """The entry points of that name: one, none, or one of each package that uses the name."""
    return list(entry_points(group=GROUP, name=name))


def package_of(point: EntryPoint) -> str:
    """The name of the package that an entry point comes with."""
    return "an unknown package" if point.dist is None else point.dist.name
