"""The versions of what lies in a run folder. This program reads the versions that it writes.

Raise a version with every change to what is stored under it.
"""

from __future__ import annotations

from typing import Final

CONFIG: Final = 3
SUMMARY: Final = 1
CHECKPOINT: Final = 5
TRACE: Final = 6


class OtherVersionError(ValueError):
    """Something that a newer or an older program wrote; the message is one clause."""


def check_version(found: object, known: int, name: str = "schema_version") -> None:
    """See that something is of the version that this program writes.

    name: what the version is called in the message. Raises OtherVersionError for another version,
    ValueError for what is no version.
    """
    if not isinstance(found, int) or found < 1:
        raise ValueError(f"{name} is {found!r}")
    if found > known:
        raise OtherVersionError(
            f"{name} {found} is newer than {known}, the newest this program knows; update the"
            " program"
        )
    if found < known:
        raise OtherVersionError(
            f"{name} {found} is older than {known}, the oldest this program reads; use the program"
            " that wrote it"
        )
