"""What several tests of what is seen on a terminal share."""

from __future__ import annotations

import re
from io import StringIO

from rich.console import Console

from tutelage.graphs.terminal.trace.browser import TraceBrowser

HOSTILE = (
    "[bold red]loud[/] \x1b[31mred\x1b[0m \x1b]0;title\x07 \u202eback"
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
