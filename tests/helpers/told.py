"""What people are told while a run is made."""

from __future__ import annotations

from tutelage.graphs.config.events import Event, Notice


class Told:
    """What people were told while a run was made."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.lines.append(event.text)
