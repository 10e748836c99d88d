"""The versions of config.json: what an older program wrote is brought up to date on reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Migration = Callable[[dict[str, Any]], dict[str, Any]]


def _fallback_as_list(config: dict[str, Any]) -> dict[str, Any]:
    """`teacher.fallback` was one name, `none` or `offline`, and is a list since."""
    teacher = config.get("teacher")
    if not isinstance(teacher, Mapping) or not isinstance(teacher.get("fallback"), str):
        return config
    name = teacher["fallback"]
    return {**config, "teacher": {**teacher, "fallback": [] if name == "none" else [name]}}


CONFIG_MIGRATIONS: Final[list[Migration]] = [_fallback_as_list]
"""Function i makes version i + 2 of version i + 1. Append to it; never edit what was released."""


class NewerVersionError(ValueError):
    """A configuration that a newer program wrote; the message is one line."""


def newest_version() -> int:
    """The version that this program writes, and the newest it reads."""
    return 1 + len(CONFIG_MIGRATIONS)


def up_to_date(config: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration as this program would have written it.

    Raises NewerVersionError, and ValueError where `schema_version` is no version.
    """
    version = config.get("schema_version")
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"schema_version is {version!r}")
    newest = newest_version()
    if version > newest:
        raise NewerVersionError(
            f"schema_version {version} is newer than {newest},"
            " the newest this program knows; update the program"
        )
    result = dict(config)
    for migration in CONFIG_MIGRATIONS[version - 1 :]:
        result = migration(result)
    return {**result, "schema_version": newest}
