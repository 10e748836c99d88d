"""A run as people watch it: progress while it goes on, a table at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import monotonic

from rich.console import Console

from graphs.config import RunConfig
from graphs.events import Event, RunEnded
from graphs.run import resume, run
from graphs.signals import stop_on_signals
from graphs.views.live import LiveProgress
from graphs.views.results import print_summary
from graphs.views.text import print_json
from rl.runfolder import Summary


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

        summary = make(on_event, request.event, monotonic() - process_started)
    if as_json:
        print_json({"run_dir": ended[0].run_dir, **summary.model_dump(mode="json")})
    else:
        print_summary(console, ended[0].run_dir, summary)
    return request.exit_code if summary.status == "interrupted" else 0
