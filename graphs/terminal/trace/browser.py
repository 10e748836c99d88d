"""`trace open`: a full-screen browser of a run's trace, with the keys of `less` and `vim`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar, Final

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Input, Static

from tutelage.agents.common.invocation import hint
from tutelage.graphs.analysis.browsing import KINDS, Detail, Kind, StudentOfRun, TraceBook
from tutelage.graphs.records.trace.schema import TraceError
from tutelage.graphs.terminal.common.text import NoTerminalError, safe
from tutelage.graphs.terminal.trace.browser_detail import Leanings, record_view, state_view
from tutelage.graphs.terminal.trace.browser_list import Listing

_SOON_S: Final = 0.01
"""Seconds after which a row's detail is made: keys that are held down come first."""

HELP: Final = """\
j k ↓ ↑        next, previous row         /    search as you type
g G            first, last               n N  next, previous match
ctrl-d ctrl-u  half a screen             &    show matching rows only
1 2 3          situations, calls, events s S  order by the next column, reverse
enter l, h     into the detail, and back esc  forget search, filter and order
space b        scroll the detail         [ ]  another example state
t              light or dark             q    quit
"""


class HelpScreen(ModalScreen[None]):
    """The keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss", "")]

    def compose(self) -> ComposeResult:
        yield Static(Text(HELP), id="help")


class DetailPane(VerticalScroll, can_focus=True):
    """The detail, scrolled with the keys of the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_down"),
        Binding("k,up", "scroll_up"),
        Binding("g,home", "scroll_home"),
        Binding("G,end", "scroll_end"),
        Binding("h,left", "app.focus_list"),
        Binding("ctrl+d,pagedown", "app.scroll_detail(1)"),
        Binding("ctrl+u,pageup", "app.scroll_detail(-1)"),
    ]


class TraceBrowser(App[None]):
    """A list beside all that is known of its row; both are renewed while the run goes on.

    refresh_s: seconds between two looks at the files.
    """

    CSS = """
    #head, #foot { height: 1; background: $panel; padding: 0 1; }
    #list { background: $background; width: 42%; max-width: 72; overflow-x: hidden; }
    #list { border-right: solid $panel; }
    #list:focus { border-right: solid $primary; }
    #detail { padding: 0 2; scrollbar-size-vertical: 1; }
    #search { height: 1; border: none; background: $panel; padding: 0 1; display: none; }
    #help { width: 80; max-width: 100%; height: auto; border: round $primary; padding: 1 2; }
    HelpScreen { align: center middle; }
    """
    TITLE = "trace open"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "scroll_detail(1)"),
        Binding("b", "scroll_detail(-1)"),
        Binding("tab", "swap", priority=True),
        Binding("slash", "ask('/')"),
        Binding("ampersand", "ask('&')"),
        Binding("n", "match(1)"),
        Binding("N", "match(-1)"),
        Binding("left_square_bracket", "example(-1)"),
        Binding("right_square_bracket", "example(1)"),
        *(Binding(str(i), f"kind('{kind}')") for i, kind in enumerate(KINDS, start=1)),
        Binding("escape", "clear", priority=True),
        Binding("question_mark", "help"),
        Binding("t", "theme"),
        Binding("q", "quit"),
    ]

    def __init__(self, run: Path, refresh_s: float = 1.0) -> None:
        """Raises RunFolderError or TraceError where there is nothing to read."""
        super().__init__()
        self._run, self._refresh_s = run, refresh_s
        self._book = TraceBook(run)
        self._student = StudentOfRun(self._book.folder)
        self._kind: Kind = "situations"
        self._stamp = self._book.stamp()
        self._detail: Detail | None = None
        self._example = 0
        self._now: dict[tuple[str, int], Leanings] = {}
        self._asking = ""
        self._start = 0
        self._coming: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        with Horizontal():
            yield Listing()
            yield DetailPane(Static(id="text"), Static(id="record"), id="detail")
        yield Static(id="foot")
        yield Input(id="search", compact=True)

    def on_mount(self) -> None:
        self.animation_level = "none"
        self._load()
        self.query_one(Listing).focus()
        self.set_interval(self._refresh_s, self._renew)

    def on_unmount(self) -> None:
        self._book.close()

    # ------------------------------------------------------------------ what is shown

    def _load(self) -> None:
        try:
            self.query_one(Listing).show(self._kind, self._book.rows(self._kind))
        except TraceError as error:
            self._show_problem(error)
        self._show_frame()

    def _renew(self) -> None:
        """Look whether the run has written more."""
        stamp = self._book.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self._now.clear()
            self._load()

    def _show_frame(self) -> None:
        listing = self.query_one(Listing)
        live = Text(" ■ ended " if self._book.ended() else " ● live ", "bold #101010 on #5fd75f")
        head = Text.assemble(live, " ", safe(str(self._run), "bold"), "  ")
        self.query_one("#head", Static).update(head + safe(self._book.headline(), "dim"))
        shown, total = listing.counts
        tabs = Text("  ").join(
            Text(f" {i} {kind} ", "bold reverse" if kind == self._kind else "dim")
            for i, kind in enumerate(KINDS, start=1)
        )
        place = f"{listing.cursor + 1 if shown else 0:,} of {shown:,}"
        kept = f" (& {listing.filtered}: {shown:,} of {total:,})" if listing.filtered else ""
        found = f"   / {listing.searched}" if listing.searched else ""
        foot = tabs + Text("   ") + safe(f"{place}{kept}{found}") + Text("   ? keys", "dim")
        self.query_one("#foot", Static).update(foot)

    def on_listing_moved(self) -> None:
        """The list moves at once; its detail comes when no further key is waiting."""
        if self._coming is not None:
            self._coming.stop()
        self._coming = self.set_timer(_SOON_S, self._load_detail)
        self._show_frame()

    def _load_detail(self) -> None:
        if not self.query(Listing):
            return  # a timer that rang while the screen was closing
        row = self.query_one(Listing).row
        before = self._detail
        try:
            self._detail = self._book.detail(row) if row is not None else None
        except TraceError as error:
            self._detail = None
            self._show_problem(error)
            return
        if before is None or self._detail is None or before.title != self._detail.title:
            self._example = 0
            self.query_one(DetailPane).scroll_home()
        if self._detail is None:
            self.query_one("#text", Static).update(Text("nothing here", "dim"))
            self.query_one("#record", Static).update(Text())
            return
        self.query_one("#record", Static).update(record_view(self._detail))
        self._show_state()

    def _show_problem(self, error: TraceError) -> None:
        self.query_one("#text", Static).update(safe(str(error), "red"))
        self.query_one("#record", Static).update(Text())

    def _show_state(self) -> None:
        detail = self._detail
        if detail is None:
            return
        now = self._now.get((detail.title, self._example))
        self.query_one("#text", Static).update(state_view(detail, self._example, now))
        if (detail.title, self._example) not in self._now:
            self._ask_student(detail, self._example)

    @work(thread=True, exclusive=True)
    def _ask_student(self, detail: Detail, chosen: int) -> None:
        """What the newest student leans to in an example state; the first time, torch is loaded."""
        now = None
        if detail.examples:
            decision = detail.examples[chosen % len(detail.examples)].decision
            now = self._student.leanings(decision) if decision is not None else None
        self.call_from_thread(self._hear_student, detail, chosen, now)

    def _hear_student(self, detail: Detail, chosen: int, now: Leanings) -> None:
        self._now[detail.title, chosen] = now
        shown = None if self._detail is None else (self._detail.title, self._example)
        if now is not None and shown == (detail.title, chosen):
            self._show_state()

    # ------------------------------------------------------------------ keys

    def action_scroll_detail(self, step: int) -> None:
        detail = self.query_one(DetailPane)
        detail.scroll_relative(y=step * max(1, detail.size.height // 2))

    def action_focus_detail(self) -> None:
        self.query_one(DetailPane).focus()

    def action_focus_list(self) -> None:
        self.query_one(Listing).focus()

    def action_swap(self) -> None:
        if self.query_one(Listing).has_focus:
            self.action_focus_detail()
        else:
            self.action_focus_list()

    def action_theme(self) -> None:
        self.theme = "textual-light" if self.current_theme.dark else "textual-dark"

    def action_example(self, step: int) -> None:
        if self._detail is not None and self._detail.examples:
            self._example = (self._example + step) % len(self._detail.examples)
            self._show_state()

    def action_kind(self, kind: Kind) -> None:
        self._kind = kind
        self._load()

    def action_match(self, step: int) -> None:
        if not self.query_one(Listing).next_match(step):
            self.bell()

    def action_help(self) -> None:
        self.push_screen(HelpScreen())

    # ------------------------------------------------------------------ search and filter

    def action_ask(self, sign: str) -> None:
        """Open the line in which a search or a filter is typed."""
        self._asking, self._start = sign, self.query_one(Listing).cursor
        field = self.query_one("#search", Input)
        field.value, field.placeholder = "", "search" if sign == "/" else "show only rows with"
        field.display = True
        self.query_one("#foot").display = False
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        if self._asking:
            self._look_for(event.value)

    def on_input_submitted(self) -> None:
        self._close_field()

    def _look_for(self, pattern: str) -> None:
        listing = self.query_one(Listing)
        if self._asking == "&":
            listing.filter(pattern)
        else:
            listing.search(pattern, self._start)

    def action_clear(self) -> None:
        """Leave the search line or the help, else forget search, filter and order."""
        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        elif self._asking:
            self._look_for("")
            self._close_field()
        else:
            listing = self.query_one(Listing)
            listing.searched = ""
            listing.filtered = ""
            listing.sort_by(None)
            self.action_focus_list()

    def _close_field(self) -> None:
        self._asking = ""
        self.query_one("#search").display = False
        self.query_one("#foot").display = True
        self.action_focus_list()
        self._show_frame()


def open_browser(run: Path) -> None:
    """Browse the trace of a run until somebody quits.

    Raises RunFolderError or TraceError, and NoTerminalError where there is nobody to look.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NoTerminalError(
            "trace open needs a terminal; for a pipe or a file use: "
            + hint("trace", "list", run, "--json")
        )
    TraceBrowser(run).run()
