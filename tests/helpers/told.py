"""What people are told while a run is made."""

from __future__ import annotations

from tutelage.graphs.config.events import Event, Notice


class Told:
    """What people were told while a run was made.

    lines: all but how often an LLM is asked at most, which is said of each of them: bounds.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bounds: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice):
            bound = " is asked at most 500 times in this run" in event.text
            (self.bounds if bound else self.lines).append(event.text)
