"""The end of a run: its student plays a held-out episode on the terminal, for a few seconds."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from types import FrameType
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from tutelage.graphs.terminal.common.text import safe
from tutelage.rl.errors import UserError

if TYPE_CHECKING:
    from tutelage.graphs.analysis.watching import Frame

EPISODE: Final = 0
"""The evaluation's first, whether it goes well or not; what `watch` shows unless told otherwise."""
_SHOWN_S: Final = 3.0
_LONGEST_FRAME_S: Final = 0.2
_LAST_FRAME_S: Final = 1.0
_MOST_FRAMES: Final = 30
"""Of a long episode, so many frames are shown, as far apart from each other as can be."""
_PLAYING_S: Final = 2.0
"""A slow environment's episode is shown only as far as it comes in this time."""
_HEAD: Final = 2
"""Lines above a frame; the line below it, to which the cursor goes, is one more."""


class _SkippedError(KeyboardInterrupt):
    """The person at the terminal has seen enough. No code of a task takes it for its own error."""


def show_final_episode(console: Console, run: Path) -> None:
    """Play the first held-out episode of a finished run's student in place, then clear it away.

    It leaves a line that says which episode that was and how it ended. Ctrl-C skips it. Where it
    cannot be shown, the line says why: the run itself has ended well.
    """
    with suppress(_SkippedError), _skipped_by_signals():
        try:
            frames = _play(console, run)
        except UserError as error:
            console.print(safe(f"no episode can be shown: {error}", "dim"))
        else:
            console.print(_outcome(frames[-1]))


def _play(console: Console, run: Path) -> Sequence[Frame]:
    """Show an episode; all of its frames, also those that were passed over."""
    waiting = Text("the student plays an episode …", "dim")
    with Live(waiting, console=console, auto_refresh=False, transient=True) as live:
        live.refresh()
        frames = _frames_of(run)
        shown = spread(len(frames), _MOST_FRAMES)
        pause = min(_LONGEST_FRAME_S, _SHOWN_S / len(shown))
        for i in shown:
            live.update(_view(console, frames[i]), refresh=True)
            sleep(pause if i < len(frames) - 1 else _LAST_FRAME_S)
    return frames


def _frames_of(run: Path) -> list[Frame]:
    """An episode from its first state, to its end or as far as there is time for."""
    from tutelage.graphs.analysis.watching import EpisodeViewer

    frames = []
    with ExitStack() as resources:
        viewer = EpisodeViewer(run, resources)
        ends = monotonic() + _PLAYING_S
        with closing(viewer.frames(EPISODE)) as played:
            for frame in played:
                frames.append(frame)
                if monotonic() > ends:
                    break
    return frames


def spread(count: int, most: int) -> list[int]:
    """At most so many of `count` places in order, evenly spread, the first and the last included.

    count, most: at least 1, and 2.
    """
    shown = min(count, most)
    return [round(i * (count - 1) / max(shown - 1, 1)) for i in range(shown)]


def _view(console: Console, frame: Frame) -> RenderableType:
    from tutelage.graphs.terminal.common.frame_view import frame_view

    head = safe("the student alone, on a held-out level · Ctrl-C skips", "dim")
    head.truncate(console.width, overflow="ellipsis")
    color = console.color_system is not None and not console.no_color
    return Group(head, Text(), frame_view(frame, color, console.height - _HEAD - 1))


def _outcome(last: Frame) -> Text:
    """Which episode was shown, and how it ended."""
    ended = {True: "succeeded after", False: "failed after", None: "shown up to"}[last.success]
    return Text(
        f"held-out episode {last.episode}, the first: {ended} {last.step:,} steps, "
        f"return {last.return_:.3g}",
        "dim",
    )


@contextmanager
def _skipped_by_signals() -> Iterator[None]:
    """The first Ctrl-C or SIGTERM within the block raises _SkippedError; a second does no more.

    The run is over by then, and its result is about to be told.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)

    def skip(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise _SkippedError

    before = {number: signal.signal(number, skip) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
