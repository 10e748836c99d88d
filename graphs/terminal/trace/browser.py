"""`trace open`: a full-screen browser of a run's trace, with the keys of `less` and `vim`."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final

from rich.text import Text
from textual import events, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.timer import Timer
from textual.widgets import Static

from tutelage.agents.common.invocation import hint
from tutelage.graphs.analysis.browsing import Detail, StudentOfRun, TraceBook
from tutelage.graphs.analysis.browsing_rows import KINDS, Kind
from tutelage.graphs.records.trace.schema import TraceError
from tutelage.graphs.terminal.common.text import NoTerminalError, safe
from tutelage.graphs.terminal.trace.browser_detail import Leanings, record_view, state_view
from tutelage.graphs.terminal.trace.browser_keys import COMMANDS, KEYS, HelpScreen, SearchField
from tutelage.graphs.terminal.trace.browser_list import Listing
from tutelage.graphs.terminal.trace.browser_look import (
    BAD,
    BADGE,
    BREAKPOINTS,
    CSS,
    TERMINAL_THEME,
    THEMES,
    theme_at_start,
)
from tutelage.graphs.terminal.trace.lines import tell_passed_over

_SOON_S: Final = 0.01
"""Seconds after which a row's detail is made: keys that are held down come first."""

_REST: Final = 4.0
"""A long trace is read anew only when this many times as long as that takes has passed."""


class DetailPane(VerticalScroll, can_focus=True):
    """The detail."""


class TraceBrowser(App[None]):
    """A list beside all that is known of its row; both are renewed while the run goes on.

    refresh_s: seconds between two looks at the files. `passed_over` names the damaged rows in the
    end.
    """

    CSS = CSS
    HORIZONTAL_BREAKPOINTS = BREAKPOINTS
    TITLE = "trace open"
    ENABLE_COMMAND_PALETTE = False
    # The app takes every key itself, at once and in the order in which they are typed: were they
    # sent to the list first, those typed just after `/` would get there too, and be commands.
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(keys, action, priority=True) for keys, action in KEYS.items()),
        Binding("enter", "submit", priority=True),
        Binding("escape", "clear", priority=True),
    ]

    def __init__(self, run: Path, refresh_s: float = 1.0) -> None:
        """Raises RunFolderError or TraceError where there is nothing to read."""
        super().__init__()
        self.register_theme(TERMINAL_THEME)
        self.theme = theme_at_start()
        self._run, self._refresh_s = run, refresh_s
        self._book = TraceBook(run)
        self._student = StudentOfRun(self._book.folder)
        self._kind: Kind = "situations"
        self._stamp = self._book.stamp()
        self._headline, self._ended = "", False
        self._rest_until = 0.0
        self._detail: Detail | None = None
        self._example = 0
        self._now: dict[tuple[str, int], Leanings] = {}
        self._asking = ""
        self._looked_for: str | None = None
        self._start = 0
        self._coming: Timer | None = None
        self.passed_over: list[str] = []

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        with Container(id="both"):
            yield Listing()
            yield DetailPane(Static(id="text"), Static(id="record"), id="detail")
        yield Static(id="foot")
        yield SearchField()

    def on_mount(self) -> None:
        self.animation_level = "none"
        self._load()
        self.query_one(Listing).focus()
        self.set_interval(self._refresh_s, self._renew)

    def on_unmount(self) -> None:
        with suppress(TraceError):
            self.passed_over = self._book.passed_over()
        self._book.close()

    # ------------------------------------------------------------------ what is shown

    def _load(self) -> None:
        begun = time.monotonic()
        try:
            rows, texts = self._book.rows(self._kind), self._book.texts()
            self._headline, self._ended = self._book.headline(), self._book.ended()
            self.query_one(Listing).show(self._kind, rows, texts)
        except TraceError as error:
            self._show_problem(error)
        self._show_frame()
        self._rest_until = time.monotonic() + _REST * (time.monotonic() - begun)

    def _renew(self) -> None:
        """Look whether the run has written more."""
        if not self.query(Listing) or time.monotonic() < self._rest_until:
            return  # not in sight, or keys come first
        stamp = self._book.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self._now.clear()
            self._load()

    def _show_frame(self) -> None:
        listing = self.query_one(Listing)
        live = Text(" ■ ended " if self._ended else " ● live ", BADGE)
        head = Text.assemble(live, "  ", safe(str(self._run), "bold"), "  ")
        self.query_one("#head", Static).update(head + safe(self._headline, "dim"))
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
        if not self.query(Listing):
            return  # the help is before it, or the screen is closing
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
        self.query_one("#text", Static).update(safe(str(error), BAD))
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

    async def on_event(self, event: events.Event) -> None:
        """What is typed into the search line is there before the next key is looked at."""
        typed = isinstance(event, events.Key) and event.is_printable and not event.is_forwarded
        if self._asking and typed and isinstance(event, events.Key):
            field = self.query_one(SearchField)
            field.replace(event.character or "", *field.selection)
        else:
            await super().on_event(event)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key is a command now: in the search line and in the help few are."""
        if action == "submit":
            return bool(self._asking)
        if action in COMMANDS:
            return not self._asking and not isinstance(self.screen, HelpScreen)
        return super().check_action(action, parameters)

    @property
    def _in_detail(self) -> bool:
        return isinstance(self.focused, DetailPane)

    def action_move(self, step: int) -> None:
        if self._in_detail:
            self.query_one(DetailPane).scroll_relative(y=step, animate=False)
        else:
            self.query_one(Listing).move_by(step)

    def action_edge(self, side: int) -> None:
        detail = self.query_one(DetailPane)
        if not self._in_detail:
            self.query_one(Listing).move_to_end(side)
        elif side < 0:
            detail.scroll_home(animate=False)
        else:
            detail.scroll_end(animate=False, immediate=True)

    def action_half(self, step: int) -> None:
        if self._in_detail:
            self.action_scroll_detail(step)
        else:
            listing = self.query_one(Listing)
            listing.move_by(step * listing.half_page())

    def action_scroll_detail(self, step: int) -> None:
        detail = self.query_one(DetailPane)
        detail.scroll_relative(y=step * max(1, detail.size.height // 2), animate=False)

    def action_order_by_next(self) -> None:
        self.query_one(Listing).order_by_next()

    def action_reverse(self) -> None:
        self.query_one(Listing).reverse_order()

    def action_focus_detail(self) -> None:
        self.screen.set_focus(self.query_one(DetailPane))

    def action_focus_list(self) -> None:
        self.screen.set_focus(self.query_one(Listing))

    def action_swap(self) -> None:
        if self._in_detail:
            self.action_focus_list()
        else:
            self.action_focus_detail()

    def action_theme(self) -> None:
        """The terminal's own colours, then Textual's light and its dark ones."""
        place = THEMES.index(self.theme) + 1 if self.theme in THEMES else 0
        self.theme = THEMES[place % len(THEMES)]

    def action_leave(self) -> None:
        self.exit()

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
        self._looked_for = None
        field = self.query_one(SearchField)
        field.value, field.placeholder = "", "search" if sign == "/" else "show only rows with"
        field.display = True
        self.query_one("#foot").display = False
        self.screen.set_focus(field)

    def on_input_changed(self) -> None:
        if self._asking:
            self._look_for(self.query_one(SearchField).value)

    def action_submit(self) -> None:
        self._look_for(self.query_one(SearchField).value)
        self._close_field()

    def _look_for(self, pattern: str) -> None:
        if pattern == self._looked_for:
            return  # of what is typed at once, only the whole is looked for
        self._looked_for = pattern
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
            self.query_one(Listing).forget()
            self.action_focus_list()

    def _close_field(self) -> None:
        self._asking = ""
        self.query_one(SearchField).display = False
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
    browser = TraceBrowser(run)
    browser.run()
    tell_passed_over(browser.passed_over)
