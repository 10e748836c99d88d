"""What several tests of browser share."""

from __future__ import annotations

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
