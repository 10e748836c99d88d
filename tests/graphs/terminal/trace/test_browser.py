"""`trace open`, driven by Textual's own pilot: what is on the screen after which keys."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME
from textual.pilot import Pilot

from helpers.long_trace import ROWS, make_long_run
from helpers.screens import HOSTILE, grounds, screen, type_at_once
from helpers.tiny_runs import CLI, TinyRun, make_run
from tutelage.agents.client.call_record import CallRecord
from tutelage.agents.common.files import RunFolderError
from tutelage.graphs.analysis.browsing import StudentOfRun, TraceBook
from tutelage.graphs.analysis.browsing_rows import VERDICTS
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import (
    ADVICE_REJECTED,
    TEACHER_REJECTED,
    EventRecord,
    ExampleRecord,
    VisitRecord,
)
from tutelage.graphs.records.trace.writer import TraceWriter
from tutelage.graphs.runtime.errors import one_line
from tutelage.graphs.terminal.app import app as command_line
from tutelage.graphs.terminal.trace.browser import TraceBrowser
from tutelage.graphs.terminal.trace.browser_list import Listing
from tutelage.graphs.terminal.trace.browser_look import GOOD, OWN

Play = Callable[[TraceBrowser, Pilot[None]], Awaitable[None]]


@pytest.fixture
def checked(run: TinyRun, tmp_path: Path) -> Path:
    """That run, where the teacher check has rejected the advice on situation 1."""
    path = tmp_path / "checked"
    shutil.copytree(run.path, path)
    with TraceReader(path / run.folder.trace.name) as reader:
        advised = reader.situation(1).situation_id
    said = "0 of 48 episodes succeeded with it, 5 of 54 episodes succeeded without"
    with TraceWriter(path / run.folder.trace.name) as writer:
        what = f"advice does worse than the student: {said}"
        writer.events([EventRecord(1, 9, "teacher_check", ADVICE_REJECTED, what, advised)])
        writer.commit()
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return make_run(tmp_path_factory.mktemp("browsed"), env="ColoredDoorKey")


def browse(path: Path, play: Play, size: tuple[int, int] = (140, 40)) -> None:
    """Open the browser and do something in it."""

    async def session() -> None:
        app = TraceBrowser(path, refresh_s=0.05)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await play(app, pilot)

    asyncio.run(session())


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Let the app work until something is true."""
    for _ in range(400):
        await pilot.pause(0.02)
        if condition():
            return
    raise AssertionError("it never came to that")


def cursor(app: TraceBrowser) -> int:
    return app.query_one(Listing).cursor


class TestKeys:
    def test_it_moves_as_vim_and_less_do(self, run: TinyRun) -> None:
        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            last = app.query_one(Listing).counts[0] - 1
            assert last >= 4
            for keys, expected in (
                (("j", "j", "k"), 1),
                (("G",), last),
                (("j",), last),
                (("g",), 0),
                (("k",), 0),
                (("down", "down", "up"), 1),
                (("end",), last),
                (("ctrl+u",), max(0, last - app.query_one(Listing).half_page())),
                (("home", "ctrl+d"), min(last, app.query_one(Listing).half_page())),
            ):
                await pilot.press(*keys)
                assert cursor(app) == expected, keys

        browse(run.path, play)

    def test_the_detail_follows_and_scrolls(self, run: TinyRun) -> None:
        with run.trace() as reader:
            texts = [situation.text for situation in reader.situations()]

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            for text in texts[:3]:
                shown = screen(app)
                assert all(line in shown for line in text.splitlines())
                await pilot.press("j")
            detail = app.query_one("#detail")
            await pilot.press("l", "j", "j")
            assert (detail.scroll_offset.y, cursor(app)) == (2, 3)
            await pilot.press("G")
            assert detail.scroll_offset.y == detail.max_scroll_y > 2
            await pilot.press("g", "ctrl+d", "ctrl+u", "h", "j")
            assert (detail.scroll_offset.y, cursor(app)) == (0, 4)
            await pilot.press("tab", "j")
            assert (detail.scroll_offset.y, cursor(app)) == (1, 4)

        browse(run.path, play)

    def test_help_lists_the_keys_and_q_quits(self, run: TinyRun) -> None:
        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            await pilot.press("question_mark")
            assert "search as you type" in screen(app)
            await pilot.press("escape")
            assert "search as you type" not in screen(app)
            assert app.is_running
            await pilot.press("q")
            assert app.return_code == 0

        browse(run.path, play)

    def test_it_fits_into_a_small_terminal(self, run: TinyRun) -> None:
        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            await pilot.press("G", "2", "j", "3", "1", "j")
            assert "1 situations" in screen(app)
            assert cursor(app) == 1

        browse(run.path, play, size=(40, 8))


LIGHT, DARK = DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME
"""Terminals: black on white, and light grey on dark grey."""


class TestColours:
    """WCAG asks a contrast of 3 of large text and of signs; what is faint on purpose has less."""

    def test_all_of_it_can_be_read_in_a_light_and_in_a_dark_terminal(self, checked: Path) -> None:
        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            for keys in (("slash", *"key", "enter"), ("j",), ("tab",), ("tab", "2"), ("3",)):
                await pilot.press(*keys)
                await pilot.pause()
                for theme in (LIGHT, DARK):
                    for part in ("#list", "#head", "#foot"):
                        found = list(grounds(app, app.query_one(part).region, theme))
                        assert found
                        assert [each for each in found if each[1] < 3] == [], part

        browse(checked, play, size=(80, 24))

    def test_the_ground_is_that_of_the_terminal(self, checked: Path) -> None:
        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            await pilot.press("j")
            strips = app.screen._compositor.render_strips()
            region = app.query_one(Listing).region
            # Only the cursor's row has another.
            lines = strips[region.y : region.y + 3] + strips[region.y + 5 : region.bottom - 1]
            grounds = {
                segment.style.bgcolor.is_default
                for strip in lines
                for segment in strip.crop(0, region.right - 1)
                if segment.style is not None and segment.style.bgcolor is not None
            }
            assert grounds == {True}

        browse(checked, play, size=(80, 24))

    def test_a_key_goes_to_light_and_dark_and_back(self, run: TinyRun) -> None:
        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            themes = []
            for _ in range(4):
                themes.append((app.current_theme.ansi, app.current_theme.dark))
                assert "1 situations" in screen(app)
                await pilot.press("t")
            assert themes == [(True, True), (False, False), (False, True), (True, True)]

        browse(run.path, play)

    @pytest.mark.parametrize(
        ("wanted", "theme"), [("textual-light", "textual-light"), ("no-such-theme", OWN)]
    )
    def test_the_theme_that_textual_was_told_is_kept(
        self, run: TinyRun, monkeypatch: pytest.MonkeyPatch, wanted: str, theme: str
    ) -> None:
        monkeypatch.setenv("TEXTUAL_THEME", wanted)
        assert TraceBrowser(run.path).theme == theme


class TestRows:
    def test_at_80_columns_rows_can_be_told_apart(self, run: TinyRun) -> None:
        async def play(app: TraceBrowser, _: Pilot[None]) -> None:
            listing = app.query_one(Listing)
            shown = screen(app)
            headings = shown.splitlines()[1]
            assert all(name in headings for name in ("visits", "agree", "verdict", "seen"))
            told, lines = [], shown.splitlines()
            for place, row in enumerate(listing.shown):
                text, advice = listing.get_row_at(place)[-1].plain.splitlines()
                told.append(text)
                if place < 5:
                    top = 2 + 2 * place
                    assert lines[top][:79].rstrip().endswith(text)
                    assert lines[top + 1][:79].rstrip().endswith(advice)
                    assert row.verdict in lines[top]
                    assert row.advice.split("(")[0] in advice
            assert len(set(told)) == len(told) >= 5
            assert "mission" not in "".join(told), "it is the same in all of them"

        browse(run.path, play, size=(80, 24))

    @pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
    def test_rejected_advice_is_marked_with_its_figures(
        self, checked: Path, size: tuple[int, int]
    ) -> None:
        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            listing = app.query_one(Listing)
            verdicts = {row.record.number: row.verdict for row in listing.shown}
            assert verdicts[1] == "rejected"
            assert {verdicts[2], verdicts[3]} == {"followed"}
            await pilot.press("slash", *"rejected", "enter")
            assert listing.row.record.number == 1
            assert "✗ rejected" in screen(app)
            assert "✗ 0/48 vs 5/54" in screen(app)
            cells = listing.get_row_at(listing.cursor)
            assert GOOD not in str([cell.spans for cell in cells] + [cell.style for cell in cells])
            told = " ".join(screen(app).replace("│", " ").split())
            assert "✗ rejected in iteration 1" in told
            assert re.search(r"0 of 48 .*5 of 54 without", told)

        browse(checked, play, size)

    def test_a_rejected_teacher_is_in_each_row(self, checked: Path) -> None:
        with TraceWriter(RunFolder.open(checked).trace) as writer:
            what = "with the student to stand in for it, 3 of 40 episodes succeeded"
            writer.events([EventRecord(4, 9, "teacher_check", TEACHER_REJECTED, what)])
            writer.commit()

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            listing = app.query_one(Listing)
            advised = [place for place, row in enumerate(listing.shown) if row.advice]
            assert {listing.shown[place].verdict for place in advised} == {"rejected"}
            # That of situation 1 was rejected for itself.
            others = (place for place in advised if listing.shown[place].record.number != 1)
            listing.move_to(next(others))
            await pilot.pause(0.1)
            assert "3 of 40 episodes" in " ".join(screen(app).split())

        browse(checked, play, size=(80, 24))


class TestSearch:
    def test_it_searches_while_one_types(self, run: TinyRun) -> None:
        with run.trace() as reader:
            texts = [situation.text.casefold() for situation in reader.situations()]
        hits = [i for i, text in enumerate(texts) if "blue key" in text]
        assert len(hits) >= 2

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            await pilot.press("slash", *"BLUE K")
            assert cursor(app) == hits[0]
            await pilot.press(*"@")
            assert cursor(app) == 0
            await pilot.press("backspace", "enter", "n")
            assert cursor(app) == hits[1 % len(hits)]
            await pilot.press("N")
            assert cursor(app) == hits[0]
            await pilot.press("N")
            assert cursor(app) == hits[-1]
            await pilot.press("n")
            assert cursor(app) == hits[0]

        browse(run.path, play)

    def test_a_filter_leaves_only_what_has_it(self, run: TinyRun) -> None:
        with run.trace() as reader:
            texts = [situation.text for situation in reader.situations()]
        kept = sum("blue key" in text for text in texts)

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            await pilot.press("ampersand", *"blue k")
            assert app.query_one(Listing).counts == (kept, len(texts))
            await pilot.press("enter", "G")
            assert "blue key" in app.query_one(Listing).row.value("situation")
            await pilot.press("escape")
            assert app.query_one(Listing).counts == (len(texts), len(texts))
            await pilot.press("ampersand", *"@@")
            assert app.query_one(Listing).counts == (0, len(texts))
            assert "nothing here" in screen(app)
            await pilot.press("j", "escape", "n")
            assert app.query_one(Listing).counts == (len(texts), len(texts))

        browse(run.path, play)

    def test_keys_are_letters_in_the_search_line(self, run: TinyRun) -> None:
        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            await pilot.press("slash", *"qjkG123")
            assert app.is_running
            assert (cursor(app), app.query_one("#search").value) == (0, "qjkG123")

        browse(run.path, play)

    @pytest.mark.parametrize("start", ["", "j", "l", "2"])
    @pytest.mark.parametrize("sign", ["/", "&"])
    def test_what_is_typed_at_once_is_all_in_the_search_line(
        self, run: TinyRun, start: str, sign: str
    ) -> None:
        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            text = "red key; q?/&sS[1 2tnNhG"
            type_at_once(app, start + sign + text)
            await pilot.pause()
            assert app.is_running
            assert app.query_one("#search").value == text
            await pilot.pause(0.2)
            type_at_once(app, " more")
            await pilot.pause()
            assert app.query_one("#search").value == f"{text} more"

        browse(run.path, play)

    @pytest.mark.parametrize("keys", ["jj/BLUE K@\b\nn", "G&red k\nj", "sj/blue key\nnN1j"])
    def test_keys_of_one_instant_do_what_they_do_one_by_one(self, run: TinyRun, keys: str) -> None:
        places = []

        async def slow(app: TraceBrowser, pilot: Pilot[None]) -> None:
            for key in keys:
                type_at_once(app, key)
                await pilot.pause()
            places.append((app.query_one(Listing).row, app.query_one(Listing).counts))

        async def fast(app: TraceBrowser, pilot: Pilot[None]) -> None:
            type_at_once(app, keys)
            await pilot.pause()
            places.append((app.query_one(Listing).row, app.query_one(Listing).counts))

        browse(run.path, slow)
        browse(run.path, fast)
        assert places[0] == places[1]

    @pytest.mark.slow
    @pytest.mark.skipif(shutil.which("tmux") is None, reason="it needs tmux")
    def test_in_a_real_terminal_nothing_typed_at_once_is_lost(
        self, run: TinyRun, tmp_path: Path
    ) -> None:
        tmux = ("tmux", "-S", str(tmp_path / "socket"))

        def shown() -> str:
            command = (*tmux, "capture-pane", "-p")
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        def wait_for(text: str) -> None:
            deadline = time.monotonic() + 60
            while text not in shown():
                assert time.monotonic() < deadline, shown()
                time.sleep(0.2)

        command = (sys.executable, str(CLI), "trace", "open", str(run.path))
        subprocess.run(
            (*tmux, "new-session", "-d", "-x", "80", "-y", "24", shlex.join(command)), check=True
        )
        try:
            wait_for("1 situations")
            subprocess.run((*tmux, "send-keys", "-l", "/blue key; q1s"), check=True)
            wait_for("blue key; q1s")
            subprocess.run((*tmux, "send-keys", "Escape"), check=True)
            wait_for("1 situations")
        finally:
            subprocess.run((*tmux, "kill-server"), check=True)


class TestOrder:
    def test_rows_are_put_in_order_by_a_key_or_a_header(self, run: TinyRun) -> None:
        def numbers(app: TraceBrowser) -> list[int]:
            return [row.record.number for row in app.query_one(Listing).shown]

        with run.trace() as reader:
            listed = {
                (order, reverse): [s.number for s in reader.situations(None, order, reverse)]
                for order in ("visits", "disagree", "last", "id")
                for reverse in (False, True)
            }

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            here = app.query_one(Listing).row
            assert "↓visits" in screen(app)
            assert numbers(app) == listed["visits", False]
            await pilot.press("S")
            assert "↑visits" in screen(app)
            assert numbers(app) == listed["visits", True]
            assert app.query_one(Listing).row == here, "the cursor stays on its row"
            await pilot.press("s")
            assert "↓disagree" in screen(app)
            assert numbers(app) == listed["disagree", False]
            await pilot.press("s")
            assert "↓last" in screen(app)
            assert numbers(app) == listed["last", False]
            await pilot.press("s")
            assert "↑advice" in screen(app)
            advice = [row.advice for row in app.query_one(Listing).shown if row.advice]
            assert advice == sorted(advice)
            await pilot.press("s")
            assert "↑verdict" in screen(app)
            verdicts = [VERDICTS.index(row.verdict) for row in app.query_one(Listing).shown]
            assert verdicts == sorted(verdicts)
            await pilot.press("s")
            assert "↑id" in screen(app)
            assert numbers(app) == listed["id", False]
            await pilot.press("escape")
            assert numbers(app) == listed["visits", False]
            await pilot.click("#list", offset=(11, 0))
            assert "↓disagree" in screen(app)
            assert numbers(app) == listed["disagree", False]
            await pilot.click("#list", offset=(11, 0))
            assert "↑disagree" in screen(app)
            assert numbers(app) == listed["disagree", True]
            await pilot.press("2", "S")
            calls = [row.value("call") for row in app.query_one(Listing).shown]
            assert calls == sorted(calls)

        browse(run.path, play, size=(80, 24))

    def test_a_hundred_thousand_rows_are_walked_through(self, tmp_path: Path) -> None:
        """The table holds those around the cursor; which these are is nothing that one notices."""
        long = make_long_run(tmp_path / "long").path

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            listing = app.query_one(Listing)
            await pilot.press("2")
            assert listing.counts == (ROWS, ROWS)
            for place in (0, 149, 150, 251, 400, ROWS // 2, ROWS - 1):
                listing.move_to(place)
                await pilot.pause()
                assert cursor(app) == place
                assert listing.row.value("call") == ROWS - place
                assert f"c{ROWS - place} " in screen(app)
                assert listing.row_count < 1000
            await pilot.press("k", "k", "j")
            assert cursor(app) == ROWS - 2
            await pilot.press("S", "g")
            assert listing.row.value("call") == 1
            await pilot.press("slash", *"iteration 77 ", "enter")
            assert listing.row.value("iter") == 77

        browse(long, play)


class TestDetail:
    def test_both_are_asked_about_an_example_state(self, run: TinyRun) -> None:
        book = TraceBook(run.path)
        detail = book.detail(book.rows("situations")[0])
        leanings = StudentOfRun(run.folder).leanings(detail.examples[0].decision)
        assert leanings is not None
        assert sum(leanings) == pytest.approx(1.0, abs=1e-5)
        book.close()

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            await until(pilot, lambda: "student now" in screen(app))
            shown = screen(app)
            for name, share in zip(detail.examples[0].actions.names, leanings, strict=True):
                (line,) = [x for x in shown.splitlines() if f" {name} " in x and "%" in x][:1]
                assert f"{100 * share:.0f} %" in line.rpartition("%")[0] + "%"
            assert "teacher" in shown
            assert "1 of 3" in shown
            await pilot.press("right_square_bracket")
            assert "2 of 3" in screen(app)
            await pilot.press("left_square_bracket", "left_square_bracket")
            assert "3 of 3" in screen(app)

        browse(run.path, play)

    def test_the_bars_are_whole_in_a_narrow_terminal(self, run: TinyRun) -> None:
        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            await pilot.press("l", "ctrl+d")
            lines = screen(app).splitlines()
            for name in ("left", "right", "forward", "pickup", "drop", "toggle", "done"):
                both = re.compile(rf" {name} .*\d %.*\d %")
                assert len([line for line in lines if both.search(line)]) == 1

        browse(run.path, play, size=(80, 24))

    @pytest.mark.parametrize("task", ["TaughtCar", "TaughtDials"])
    def test_other_actions_are_shown_as_they_are(self, tmp_path: Path, task: str) -> None:
        run = make_run(tmp_path, env=f"helpers.taught_tasks:{task}")
        book = TraceBook(run.path)
        example = book.detail(book.rows("situations")[0]).examples[0]
        book.close()
        assert example.actions is not None
        assert example.said is not None
        now = StudentOfRun(run.folder).leanings(example.decision)
        assert now is not None
        assert len(now) == len(example.said.targets) == len(example.actions.columns)

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            await until(pilot, lambda: "student now" in screen(app))
            shown = screen(app)
            assert all(name in shown for name in example.actions.names)
            assert "✓ both" in shown or "✗" in shown

        browse(run.path, play)

    def test_without_its_file_the_student_is_as_it_was_then(self, tmp_path: Path) -> None:
        run = make_run(tmp_path)
        run.folder.student.unlink()

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            await app.workers.wait_for_complete()
            await pilot.pause()
            assert "student then" in screen(app)
            run.folder.student.write_bytes(b"no student")
            await pilot.pause(0.2)
            await app.workers.wait_for_complete()
            assert "student then" in screen(app)

        browse(run.path, play)

    def test_calls_and_events_have_lists_of_their_own(self, run: TinyRun) -> None:
        with run.trace() as reader:
            calls = len(reader.calls())

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            await pilot.press("2")
            assert app.query_one(Listing).counts[0] == calls
            assert f"c{calls} ·" in screen(app)
            assert "how it was asked" in screen(app)
            await pilot.press("3")
            assert "teacher removed" in screen(app)
            await pilot.press("1")
            assert "what the teacher is told" in screen(app)

        browse(run.path, play)


class TestLive:
    def test_what_the_run_writes_appears_and_the_cursor_stays(self, tmp_path: Path) -> None:
        run = make_run(tmp_path)

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            await pilot.press("j")
            row = app.query_one(Listing).row
            before = app.query_one(Listing).counts[1]
            with TraceWriter(run.folder.trace) as writer:
                writer.situations({2**40: "mission: none\nseen: a new thing"})
                writer.visits([VisitRecord(99, 2**40, 10**9, 0.0, None, 0, 0)])
                writer.commit()
                await until(pilot, lambda: app.query_one(Listing).counts[1] == before + 1)
            assert app.query_one(Listing).row.key == row.key
            assert cursor(app) == 2
            await pilot.press("g")
            assert "a new thing" in screen(app)
            assert "ended" in screen(app)
            run.folder.summary.unlink()
            await until(pilot, lambda: "live" in screen(app))

        browse(run.path, play)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A run whose every text is out to take over the terminal."""
    run = make_run(tmp_path)
    situation_id = 2**40
    with TraceWriter(run.folder.trace) as writer:
        writer.situations({situation_id: f"{HOSTILE}\nseen: {HOSTILE}"})
        writer.visits([VisitRecord(9, situation_id, 10**9, 0.0, None, 0, 0)])
        picture = ExampleRecord(
            9, situation_id, 0, f"{HOSTILE}\n{HOSTILE}", "r" * 99, {"actions": 3}
        )
        writer.examples([picture])
        message = {"role": HOSTILE, "content": HOSTILE}
        call = CallRecord(
            iteration=9,
            env_steps=9,
            node=HOSTILE,
            situation_id=situation_id,
            provider=HOSTILE,
            model=HOSTILE,
            attempt=1,
            status=HOSTILE,
            error=HOSTILE,
            messages=[message],
            tools=[{"function": {"name": HOSTILE}}],
            settings={HOSTILE: HOSTILE},
            answers=[
                {"content": HOSTILE, "tool_calls": [{"name": HOSTILE, "args": {"x": HOSTILE}}]}
            ],
            plans=[[[HOSTILE, HOSTILE]], HOSTILE],
            prompt_tokens=1,
            completion_tokens=1,
            started_at=0.0,
            latency_s=0.0,
        )
        writer.calls([call])
        writer.events([EventRecord(9, 9, HOSTILE, HOSTILE, HOSTILE)])
        writer.commit()
    return run.path


class TestStrangers:
    def test_hostile_text_is_shown_as_text(self, hostile: Path) -> None:
        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            for key in ("1", "2", "3"):
                await pilot.press(key)
                await app.workers.wait_for_complete()
                shown = screen(app)
                assert "[bold red]loud[/]" in shown
                assert not set("\x1b\x07\u202e") & set(shown)
                # Pressing on it does nothing.
                await pilot.click("#text", offset=(3, 1))
                assert app.is_running
            await pilot.press("slash", *"[/]", "enter", "ampersand", *"[bold", "enter")
            assert app.query_one(Listing).counts[0] >= 1

        browse(hostile, play, size=(200, 60))

    def test_advice_that_is_none_is_passed_over(self, tmp_path: Path) -> None:
        run = make_run(tmp_path)
        with closing(sqlite3.connect(run.folder.trace)) as connection:
            connection.execute("UPDATE examples SET decision = '{\"actions\": [1]}'")
            connection.commit()

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            await app.workers.wait_for_complete()
            await pilot.pause()
            assert "kept no more of it" in screen(app)

        browse(run.path, play)

    def test_damaged_rows_are_passed_over_and_named_in_the_end(self, tmp_path: Path) -> None:
        run = make_run(tmp_path)
        with closing(sqlite3.connect(run.folder.trace)) as connection:
            connection.execute("UPDATE examples SET decision = ?", ("[" * 9999,))
            connection.execute("UPDATE events SET kind = x'00' WHERE id = 1")
            connection.commit()
        apps = []

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            apps.append(app)
            await pilot.press("j", "tab", "tab")
            assert app.is_running

        browse(run.path, play)
        assert any(" of examples is damaged" in line for line in apps[0].passed_over), apps[
            0
        ].passed_over
        assert any("row 1 of events" in line for line in apps[0].passed_over)

    def test_a_damaged_configuration_is_a_line_on_the_screen(self, tmp_path: Path) -> None:
        run = make_run(tmp_path)
        run.folder.config.write_text('{"schema_version": ' + "[" * 500 + "]" * 500 + "}")

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            await pilot.pause()
            assert "config.json is damaged" in screen(app)
            assert app.query_one(Listing).counts[0] >= 1

        browse(run.path, play, size=(300, 40))

    def test_a_damaged_trace_is_a_line_on_the_screen(self, tmp_path: Path) -> None:
        run = make_run(tmp_path)

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            with closing(sqlite3.connect(run.folder.trace)) as connection:
                connection.execute("DROP TABLE examples")
                connection.commit()
            await pilot.pause(0.2)
            await pilot.press("j", "k")
            assert "no such table" in screen(app)
            assert app.is_running

        browse(run.path, play)

    def test_what_is_no_run_is_refused_in_a_line(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "nowhere"):
            with pytest.raises(RunFolderError, match=str(path)):
                TraceBrowser(path)


def test_without_a_terminal_it_says_what_else_to_type(run: TinyRun) -> None:
    from typer.testing import CliRunner

    done: Any = CliRunner().invoke(command_line, ["trace", "open", str(run.path)])
    assert "trace list" in (one_line(done.exception) or "")
