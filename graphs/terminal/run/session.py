"""A run as people watch it: progress while it goes on, a table at its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic

from tutelage.graphs.config.events import Event, RunEnded
from tutelage.graphs.records.shapes import Summary
from tutelage.graphs.runtime.errors import NO_ANSWER
from tutelage.graphs.runtime.signals import stop_on_signals
from tutelage.graphs.terminal.common.text import can_redraw, console, print_json
from tutelage.graphs.terminal.run.dialogue import TerminalPerson
from tutelage.graphs.terminal.run.final_episode import show_final_episode
from tutelage.graphs.terminal.run.live import LiveProgress
from tutelage.graphs.terminal.run.summary import print_summary


def watch(
    make: Callable[..., Summary], process_started: float, as_json: bool, show: bool = True
) -> int:
    """Show a run while it goes on; returns the exit code, 0, 3, 130 or 143.

    On a terminal progress is a panel that stays in place, and at the end the student plays an
    episode, unless `show` is off. Elsewhere progress is plain lines on standard error: standard
    output has the result alone.

    make: `run` or `resume` of `graphs.runtime.run` with its own arguments bound. process_started:
    `time.monotonic()` at the process's start, to tell imports from the rest. as_json: the summary
    alone goes to standard output, progress to standard error.
    """
    out = console()
    on_screen = can_redraw(out) and not as_json
    ended: list[RunEnded] = []
    with (
        LiveProgress(out if on_screen else console(stderr=True)) as progress,
        stop_on_signals(progress.on_signal) as request,
    ):

        def on_event(event: Event) -> None:
            if isinstance(event, RunEnded):
                ended.append(event)
            else:
                progress.on_event(event)

        import_s = monotonic() - process_started
        summary = make(on_event, request.event, import_s, make_person=TerminalPerson)
    run_dir = ended[0].run_dir
    try:
        if show and on_screen and summary.student is not None:
            show_final_episode(out, Path(run_dir))
    finally:  # whatever the episode comes to, the result is told
        if as_json:
            print_json({"run_dir": run_dir, **summary.model_dump(mode="json")})
        else:
            print_summary(out, run_dir, summary)
    if summary.status == "interrupted":
        return request.exit_code
    unanswered = summary.outcome is not None and summary.outcome.code == "no_answer"
    return NO_ANSWER if unanswered else 0
