"""The keys of a trace's browser, the help that tells them, and where a search is typed."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tutelage.graphs.analysis.browsing_rows import KINDS

HELP: Final = """\
j k ↓ ↑        next, previous row      /    search as you type
g G            first, last             n N  next, previous match
ctrl-d ctrl-u  half a screen           &    show matching rows only
1 2 3          the lists               s S  next order, reverse it
enter l, h     into the detail, back   esc  forget search, filter, order
space b        scroll the detail       [ ]  another example state
q              quit                    t    colours: own, light, dark

Orders: visits; disagree (≠, in how many visits the student does otherwise
than the teacher); last iteration; advice; verdict; number (#).

✗ rejected by the teacher check and not followed, with the episodes that
succeeded with the advice vs without it.

TEXTUAL_THEME=textual-light, in the environment, keeps a theme.
"""

KEYS: Final = {
    "j,down": "move(1)",
    "k,up": "move(-1)",
    "g,home": "edge(-1)",
    "G,end": "edge(1)",
    "ctrl+d,pagedown": "half(1)",
    "ctrl+u,pageup": "half(-1)",
    "s": "order_by_next",
    "S": "reverse",
    "enter,l,right": "focus_detail",
    "h,left": "focus_list",
    "tab": "swap",
    "space": "scroll_detail(1)",
    "b": "scroll_detail(-1)",
    "slash": "ask('/')",
    "ampersand": "ask('&')",
    "n": "match(1)",
    "N": "match(-1)",
    "left_square_bracket": "example(-1)",
    "right_square_bracket": "example(1)",
    **{str(i): f"kind('{kind}')" for i, kind in enumerate(KINDS, start=1)},
    "question_mark": "help",
    "t": "theme",
    "q": "leave",
}
"""The actions of the browser, by their keys."""

COMMANDS: Final = frozenset(action.partition("(")[0] for action in KEYS.values())
"""Their names: in the search line these keys are letters."""


class HelpScreen(ModalScreen[None]):
    """The keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss", "")]

    def compose(self) -> ComposeResult:
        yield Static(Text(HELP), id="help")


class SearchField(Input, inherit_bindings=False):
    """The line in which a search or a filter is typed; its keys come before all others."""

    BINDINGS: ClassVar[list[BindingType]] = [
        replace(binding, priority=True)
        for binding in Input.BINDINGS
        if isinstance(binding, Binding) and binding.key != "enter"
    ]

    def __init__(self) -> None:
        # What is typed before the field has heard of its focus must not be replaced by the rest.
        super().__init__(id="search", compact=True, select_on_focus=False)
