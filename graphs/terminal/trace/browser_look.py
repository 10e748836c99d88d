"""How a trace's browser looks: in the colours of the terminal itself, whether light or dark."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final

from rich.text import Text
from textual.theme import BUILTIN_THEMES

from tutelage.graphs.analysis.browsing_rows import Verdict
from tutelage.graphs.terminal.common.text import safe

GOOD: Final = "#008f5f"
BAD: Final = "#e0454d"
WARN: Final = "#b37100"
ACCENT: Final = "#0a84d6"
"""Colours that can be read on a dark and on a light ground; none of them tells anything alone."""
BADGE: Final = "bold #ffffff on #00694a"
FOUND: Final = "bold reverse"

OWN: Final = "terminal"
"""The theme that has the terminal's own foreground on its own ground, whatever these are."""
THEMES: Final = (OWN, "textual-light", "textual-dark")

_ANSI: Final = BUILTIN_THEMES["ansi-dark"]
TERMINAL_THEME: Final = replace(
    _ANSI,
    name=OWN,
    primary=ACCENT,
    variables={
        **_ANSI.variables,
        "border": ACCENT,
        "scrollbar": ACCENT,
        "scrollbar-hover": ACCENT,
        "scrollbar-active": ACCENT,
        "scrollbar-background": "ansi_default",
        "scrollbar-background-hover": "ansi_default",
        "scrollbar-background-active": "ansi_default",
        "input-cursor-background": ACCENT,
        "input-cursor-foreground": "#ffffff",
    },
)

# What lies under the cursor has a ground of its own, and so a foreground of its own.
CSS: Final = """
#head, #foot { height: 1; background: $panel; padding: 0 1; }
#head, #foot { text-wrap: nowrap; text-overflow: ellipsis; }
#list { background: $background; background-tint: transparent; overflow-x: hidden; }
#list > .datatable--header, #list:focus > .datatable--header {
    background: $panel; background-tint: transparent;
    color: $foreground; text-style: bold underline;
}
#list > .datatable--even-row, #list > .datatable--odd-row { background: $background; }
#list > .datatable--hover, #list > .datatable--header-hover { background: $background; }
#list > .datatable--cursor { background: #4e4e4e; color: #ffffff; text-style: none; }
#list:focus > .datatable--cursor { background: #00487a; color: #ffffff; text-style: bold; }
.-beside #both { layout: horizontal; }
.-beside #list { width: 47%; max-width: 96; border-right: solid $foreground 40%; }
.-beside #list:focus { border-right: solid $primary; }
.-stacked #both { layout: vertical; }
.-stacked #list { width: 100%; height: 3fr; border-bottom: solid $foreground 40%; }
.-stacked #list:focus { border-bottom: solid $primary; }
.-stacked #detail { height: 2fr; }
.-stacked #detail:focus { height: 6fr; }
#detail { padding: 0 1; scrollbar-size-vertical: 1; }
#search { height: 1; border: none; background: $panel; padding: 0 1; display: none; }
#help { width: 80; max-width: 100%; height: auto; border: round $primary; padding: 1 2; }
HelpScreen { align: center middle; }
"""
BREAKPOINTS: Final = [(0, "-stacked"), (110, "-beside")]
"""From how many columns on the detail is beside the list; else it is below."""

_SIGNS: Final[dict[Verdict | None, tuple[str, str]]] = {
    "rejected": ("✗", f"bold {BAD}"),
    "withheld": ("◌", WARN),
    "failed": ("!", f"bold {BAD}"),
    "no advice": ("○", "dim"),
    "followed": ("✓", GOOD),
}
_DOTS: Final = {None: ("○ ", "dim"), True: ("● ", GOOD), False: ("✗ ", f"bold {BAD}")}


def theme_at_start() -> str:
    """The theme that people have asked Textual for (`TEXTUAL_THEME`), else the terminal's own."""
    wanted = os.environ.get("TEXTUAL_THEME", "")
    return wanted if wanted in BUILTIN_THEMES else OWN


def verdict_text(verdict: Verdict) -> Text:
    """A verdict by its sign, in words, and in its colour."""
    sign, style = _SIGNS[verdict]
    return safe(f"{sign} {verdict}", style)


def dot(good: bool | None) -> tuple[str, str]:
    """What stands before a call or an event that is a success, none, or neither."""
    return _DOTS[good]
