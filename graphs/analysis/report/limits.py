"""How much of each thing a report shows, so that it stays a page."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True)
class Limits:
    """The most that is shown. text: characters of one text; rows: of a table; plans: of a
    situation; steps: of an episode; films, runs, curves: of a comparison.
    """

    situations: int = 300
    plans: int = 12
    text: int = 2_000
    rows: int = 300
    steps: int = 200
    films: int = 6
    runs: int = 60
    curves: int = 18

    def halved(self) -> Self:
        """Half of everything; at last one of each."""
        return type(self)(**{f.name: max(getattr(self, f.name) // 2, 1) for f in fields(self)})
