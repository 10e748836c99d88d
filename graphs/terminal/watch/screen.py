"""`watch` full-screen: an episode step by step, back and forth, or at a speed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.timer import Timer
from textual.widgets import Static

from tutelage.graphs.analysis.watching import Frame
from tutelage.graphs.terminal.common.frame_view import frame_view
from tutelage.graphs.terminal.common.text import safe

KEYS: Final = " space n next   b back   g G first, last   p play   + - speed   q quit"
_SLOWEST: Final = 0.5
_FASTEST: Final = 60.0


class WatchScreen(App[None]):
    """Frames, made as they are needed and kept. fps: play at once at this speed; None waits."""

    TITLE = "watch"
    CSS = """
    Screen { background: #14161b; color: #d8dbe2; }
    #head, #foot { height: 1; background: #20242d; padding: 0 1; }
    #body { padding: 1; background: #14161b; scrollbar-size-vertical: 1; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,n,l,right", "step(1)", priority=True),
        Binding("b,h,left", "step(-1)", priority=True),
        Binding("g,home", "first", priority=True),
        Binding("G,end", "last", priority=True),
        Binding("p", "play"),
        Binding("plus,equals_sign", "speed(2.0)"),
        Binding("minus", "speed(0.5)"),
        Binding("q", "quit"),
    ]

    def __init__(self, run: Path, frames: Iterator[Frame], fps: float | None) -> None:
        super().__init__()
        self._run, self._source = run, frames
        self._frames: list[Frame] = []
        self._place = -1
        self._fps, self._playing = fps or 4.0, fps is not None
        self._timer: Timer | None = None
        self._reading = asyncio.Lock()

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield VerticalScroll(Static(id="frame"), id="body")
        yield Static(safe(KEYS, "dim"), id="foot")

    async def on_mount(self) -> None:
        self.query_one("#head", Static).update(safe(f"{self._run}", "bold"))
        await self._go(0)
        self._set_timer()

    async def action_step(self, step: int) -> None:
        await self._go(self._place + step)

    async def action_first(self) -> None:
        await self._go(0)

    async def action_last(self) -> None:
        while await self._go(len(self._frames)):
            pass

    def action_play(self) -> None:
        self._playing = not self._playing
        self._set_timer()
        self._show()

    def action_speed(self, factor: float) -> None:
        self._fps = min(_FASTEST, max(_SLOWEST, self._fps * factor))
        self._set_timer()
        self._show()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_interval(1 / self._fps, self._tick) if self._playing else None

    async def _tick(self) -> None:
        if not await self._go(self._place + 1):
            self._playing = False
            self._set_timer()
            self._show()

    async def _go(self, place: int) -> bool:
        """Show a frame, made first if need be; whether there is one.

        In a thread: a frame may wait for a teacher that is asked.
        """
        async with self._reading:
            while place >= len(self._frames):
                frame = await asyncio.to_thread(next, self._source, None)
                if frame is None:
                    return False
                self._frames.append(frame)
            self._place = max(0, place)
            self._show()
        return True

    def _show(self) -> None:
        if not self.query("#frame"):
            return  # a frame that came while the screen was closing
        self.query_one("#frame", Static).update(frame_view(self._frames[self._place]))
        state = f"▶ {self._fps:g} a second" if self._playing else "step by step"
        head = safe(str(self._run), "bold") + Text(f"   {state}", "dim")
        self.query_one("#head", Static).update(head)
