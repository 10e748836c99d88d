"""A run as people watch it: progress while it goes on, a table at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import monotonic

from rich.console import Console

from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.config.events import Event, RunEnded
from tutelage.graphs.records.shapes import Summary
from tutelage.graphs.runtime.run import resume, run
from tutelage.graphs.runtime.signals import stop_on_signals
from tutelage.graphs.terminal.common.text import print_json
from tutelage.graphs.terminal.run.dialogue import TerminalPerson
from tutelage.graphs.terminal.run.live import LiveProgress
from tutelage.graphs.terminal.run.summary import print_summary


def watch_run(config: RunConfig, process_started: float, as_json: bool) -> int:
    """Make a run and show it; arguments and result as in `_watch`."""
    return _watch(partial(run, config), process_started, as_json)


def watch_resume(
    path: Path, base_urls: Sequence[str], process_started: float, as_json: bool
) -> int:
    """Go on with a run and show it; arguments and result as in `resume` and `_watch`."""
    return _watch(partial(resume, path, base_urls=base_urls), process_started, as_json)


def _watch(make: Callable[..., Summary], process_started: float, as_json: bool) -> int:
    """Show a run while `make` makes it; returns the exit code, 0, 130 or 143.

    process_started: `time.monotonic()` at the process's start, to tell imports from the rest.
    as_json: the summary alone goes to standard output, progress to standard error.
    """
    console = Console(highlight=False, stderr=as_json)
    ended: list[RunEnded] = []
    with (
        LiveProgress(console) as progress,
        stop_on_signals(progress.on_signal) as request,
    ):

        def on_event(event: Event) -> None:
            if isinstance(event, RunEnded):
                ended.append(event)
            else:
                progress.on_event(event)

        import_s = monotonic() - process_started
        summary = make(on_event, request.event, import_s, make_person=TerminalPerson)
    if as_json:
        print_json({"run_dir": ended[0].run_dir, **summary.model_dump(mode="json")})
    else:
        print_summary(console, ended[0].run_dir, summary)
    return request.exit_code if summary.status == "interrupted" else 0
