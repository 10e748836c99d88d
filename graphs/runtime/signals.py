"""Ctrl-C and SIGTERM: the first asks a run to end at the next checkpoint, a second quits at once.

A run that an experiment has made takes the experiment's end for a SIGTERM: SIGKILL, or a terminal
that is closed, leaves nobody to send one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_POLL_S: Final = 0.05

PARENT: Final = "TUTELAGE_PARENT"
"""The environment variable with the process that a run is not to outlive."""


class StopRequest:
    """What a run looks at to know that it is to stop, and which signal asked."""

    def __init__(self) -> None:
        self.event = Event()
        self.signal: int | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler. It prints nothing: it may interrupt a print."""
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        self.signal = number
        self.event.set()

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells have it; 0 where none came."""
        return 128 + self.signal if self.signal is not None else 0


@contextmanager
def stop_on_signals(on_first: Callable[[str], None]) -> Iterator[StopRequest]:
    """Handle SIGINT and SIGTERM within the block; the handlers before are restored.

    on_first: told the first signal's name, from a thread of its own and at once, whatever the
    block is at. It should leave the terminal as it was: a second signal ends the process.
    """
    request, over = StopRequest(), Event()
    parent = os.environ.pop(PARENT, None)  # what this process starts is its own

    def watch() -> None:
        nonlocal parent
        while not over.is_set():
            if parent not in (None, str(os.getppid())):
                parent = None
                os.kill(os.getpid(), signal.SIGTERM)
            if request.event.wait(_POLL_S) and request.signal is not None:
                on_first(signal.Signals(request.signal).name)
                return

    watcher = Thread(target=watch, name="signals", daemon=True)
    before = {number: signal.signal(number, request) for number in _SIGNALS}
    watcher.start()
    try:
        yield request
    finally:
        over.set()
        watcher.join()
        for number, handler in before.items():
            signal.signal(number, handler)
