"""Asking the person at the terminal for a plan, beside a live view of the run.

The question comes from a thread of the teacher's pool. While it stands, the live view is told to
stand back; standard input is read in small waits, so that a run that is to stop is never held up,
and without Python's buffers, which a thread must not be inside of when the process ends.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Final

from rich.panel import Panel
from rich.text import Text

from tutelage.graphs.config.events import Asking, Tell
from tutelage.graphs.terminal.common.text import console, safe
from tutelage.rl.tasks.options import Option, Plan

_POLL_S: Final = 0.1
_CHUNK: Final = 4096
_HELP: Final = """\
Type the numbers of the options that make up your plan, in order: 2, or 2 3, or 2,3.
At every moment the agent follows the first of them that can be carried out and is not finished.
You are asked once for each situation; your plan serves whenever it comes up again.
q ends the run, which can be resumed later; ? shows this."""


class AskingEndedError(Exception):
    """Nobody waits for the answer any more."""


class TerminalPerson:
    """The person at the terminal. tell: is called when a question begins and when it ends."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._out = console(stderr=not sys.stdout.isatty())
        self._closed = threading.Event()
        self._typed = b""

    def ask(
        self, situation: str, options: Sequence[Option], picture: str | None, max_options: int
    ) -> Plan:
        """The plan that was typed. Raises AskingEndedError once closed."""
        self._tell(Asking(begins=True))
        try:
            self._show(situation, options, picture)
            return self._plan(options, max_options)
        finally:
            self._tell(Asking(begins=False))

    def close(self) -> None:
        """Nobody waits for an answer any more."""
        self._closed.set()

    def _show(self, situation: str, options: Sequence[Option], picture: str | None) -> None:
        self._out.print(Panel(safe(situation), title="you are the teacher", expand=False))
        if picture is not None:
            self._out.print(Panel(safe(picture), title="such a state", expand=False))
        for number, option in enumerate(options, start=1):
            self._out.print(safe(f"{number:>3}  {option}", "cyan"))

    def _plan(self, options: Sequence[Option], max_options: int) -> Plan:
        while True:
            self._out.print(Text("your plan (numbers in order, ? for help, q to quit): "), end="")
            line = self._line()
            word = "q" if line is None else line.strip().lower()
            if word in ("q", "quit"):
                self._quit()
            elif word in ("?", "h", "help"):
                self._out.print(Text(_HELP, style="dim"))
                self._out.print(safe(_told(options), "dim"))
            elif word:
                plan = _read(word, options, max_options)
                if not isinstance(plan, str):
                    self._out.print(safe(f"→ {' → '.join(map(str, plan))}", "green"))
                    return plan
                self._out.print(safe(plan, "red"))

    def _line(self) -> str | None:
        """The next line that is typed; None at the end of the input."""
        descriptor = sys.stdin.fileno()
        while b"\n" not in self._typed:
            if self._closed.is_set():
                raise AskingEndedError
            ready, _, _ = select.select([descriptor], [], [], _POLL_S)
            if not ready:
                continue
            chunk = os.read(descriptor, _CHUNK)
            if not chunk:
                return None
            self._typed += chunk
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode("utf-8", "replace")

    def _quit(self) -> None:
        """End the run as Ctrl-C does; it then closes this dialogue."""
        main = threading.main_thread().ident
        assert main is not None, "the main thread has been started"
        # To the main thread: it may be in a wait that no other thread's signal ends.
        signal.pthread_kill(main, signal.SIGINT)
        self._closed.wait()
        raise AskingEndedError


def _told(options: Sequence[Option]) -> str:
    """What the options do, a line for each name."""
    told: dict[str, str] = {}
    for option in options:
        told.setdefault(option.name, option.help)
    return "\n".join(f"{name}: {help_}" for name, help_ in told.items() if help_)


def _read(typed: str, options: Sequence[Option], max_options: int) -> Plan | str:
    """The plan that was typed, or why it is none."""
    words = [word for word in re.split(r"[\s,;]+", typed) if word]
    numbers = [int(word) for word in words if word.isdecimal() and len(word) < 6]
    if len(numbers) < len(words) or not all(1 <= number <= len(options) for number in numbers):
        return f"that is no plan; allowed: numbers from 1 to {len(options)}, ? or q"
    plan = [options[number - 1] for number in numbers]
    if len(plan) > max_options:
        return f"{len(plan)} options are too many; allowed: at most {max_options}"
    return tuple(plan)
