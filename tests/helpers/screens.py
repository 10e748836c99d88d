"""What several tests of what is seen on a terminal share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import StringIO

from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from textual import events
from textual.geometry import Region

from tutelage.graphs.terminal.trace.browser import TraceBrowser

HOSTILE = (
    "[bold red]loud[/] \x1b[31mred\x1b[0m \x1b]0;title\x07 \u202eback\u200b\u200f\u2028\U000e0041"
    " [link=x]y[/link] [@click=quit]q[/]"
)


def screen(app: TraceBrowser) -> str:
    """What a person sees, line by line."""
    width, height = app.size
    strips = app.screen._compositor.render_strips()
    lines = ["".join(segment.text for segment in strip) for strip in strips]
    assert len(lines) == height
    assert all(len(line) <= width for line in lines)
    return "\n".join(lines)


class FakeTerminal(StringIO):
    """A file that says that it is a terminal, and keeps what is written there."""

    def isatty(self) -> bool:
        return True

    @property
    def plain(self) -> str:
        """All that was ever written, without what moves the cursor or colours."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", self.getvalue())


def terminal_console(
    width: int = 80, height: int = 24, term: str = "xterm-256color", variables: str = ""
) -> tuple[Console, FakeTerminal]:
    """A console on a terminal of that size, and the terminal. variables: more, as `A=1 B=2`."""
    more = dict(pair.split("=") for pair in variables.split())
    there = FakeTerminal()
    console = Console(
        file=there, width=width, height=height, highlight=False, _environ={"TERM": term, **more}
    )
    return console, there


def type_at_once(app: TraceBrowser, keys: str) -> None:
    """Keys that all come in the same instant, as a terminal sends what is pasted or typed fast.

    A line end is Enter, and \\b is the backspace.
    """
    names = {"/": "slash", "&": "ampersand", " ": "space", "\n": "enter", "\b": "backspace"}
    for key in keys:
        app.post_message(events.Key(names.get(key, key), key))


def grounds(app: TraceBrowser, region: Region, theme: TerminalTheme) -> Iterator[tuple[str, float]]:
    """All words in a part of the screen, with the contrast (WCAG 2) of each to what it stands on.

    theme: the terminal's own colours; faint text is half way to its ground.
    """
    for strip in app.screen._compositor.render_strips()[region.y : region.bottom]:
        for segment in strip.crop(region.x, region.right):
            style = segment.style or Style()
            ink = _rgb(style.color, theme, theme.foreground_color)
            ground = _rgb(style.bgcolor, theme, theme.background_color)
            if style.reverse:
                ink, ground = ground, ink
            if style.dim:
                ink = tuple((a + b) / 2 for a, b in zip(ink, ground, strict=True))
            if segment.text.strip():
                high, low = sorted((_luminance(ink), _luminance(ground)), reverse=True)
                yield segment.text, (high + 0.05) / (low + 0.05)


def _rgb(
    color: Color | None, theme: TerminalTheme, default: tuple[int, int, int]
) -> tuple[float, ...]:
    if color is None or color.is_default:
        return default
    return tuple(color.get_truecolor(theme))


def _luminance(rgb: tuple[float, ...]) -> float:
    red, green, blue = (
        value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4
        for value in rgb
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
