"""What is told of an LLM while a run goes on: that it is waited for, and what it has not answered.

Plain lines of a wait come less and less often.
"""

from __future__ import annotations

from typing import Final

from tutelage.graphs.config.events import IterationDone, Waiting

_AFTER_S: Final = (10.0, 30.0, 60.0)
_THEN_EVERY_S: Final = 60.0


class WaitLines:
    """Which of the events of a wait are told: at its start, after 10 s, 30 s, 60 s, each minute."""

    def __init__(self) -> None:
        self._due_s = 0.0

    def is_due(self, event: Waiting) -> bool:
        """Whether to tell this one. A wait begins where it has lasted no time yet."""
        if event.waited_s == 0.0:
            self._due_s = 0.0
        if event.waited_s < self._due_s:
            return False
        minute = _THEN_EVERY_S * (event.waited_s // _THEN_EVERY_S + 1)
        self._due_s = next((s for s in _AFTER_S if s > event.waited_s), minute)
        return True


def in_words(event: Waiting) -> str:
    """That the LLM is waited for, and how many situations it is asked about."""
    many = "1 situation is" if event.asked == 1 else f"{event.asked:,} situations are"
    return f"waiting for the LLM: {many} asked about"


def in_a_line(event: Waiting) -> str:
    """The same with its time."""
    so_far = f", for {event.waited_s:,.0f} s now" if event.waited_s >= 1 else ""
    return f"{in_words(event)}{so_far}"


def unanswered(event: IterationDone) -> str:
    """How many questions were not answered so far, and why, the most frequent first; or empty."""
    if not event.failures:
        return ""
    ranked = sorted(event.failures.items(), key=lambda item: (-item[1], item[0]))
    causes = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in ranked)
    failed = sum(event.failures.values())
    return f"{failed:,} of {max(event.asked, failed):,} questions: {causes}"
