"""Ctrl-C and SIGTERM: the first asks a run to end at the next boundary, a second quits at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType


class StopRequest:
    """What a run looks at to know that it is to stop, and which signal asked."""

    def __init__(self, on_first: Callable[[str], None]) -> None:
        self.event = Event()
        self.signal: int | None = None
        self._on_first = on_first

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        signal.signal(number, signal.SIG_DFL)
        self.signal = number
        self.event.set()
        self._on_first(signal.Signals(number).name)

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells have it; 0 where none came."""
        return 128 + self.signal if self.signal is not None else 0


@contextmanager
def stop_on_signals(on_first: Callable[[str], None]) -> Iterator[StopRequest]:
    """Handle SIGINT and SIGTERM within the block; the handlers before are restored."""
    request = StopRequest(on_first)
    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
