"""`trace open`, driven by Textual's own pilot: what is on the screen after which keys."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from helpers.long_trace import ROWS, make_long_run
from helpers.screens import HOSTILE, screen
from helpers.tiny_runs import TinyRun, make_run
from tutelage.agents.client.call_record import CallRecord
from tutelage.agents.common.files import RunFolderError
from tutelage.graphs.analysis.browsing import StudentOfRun, TraceBook
from tutelage.graphs.records.trace.records import EventRecord, ExampleRecord, VisitRecord
from tutelage.graphs.records.trace.writer import TraceWriter
from tutelage.graphs.runtime.errors import one_line
from tutelage.graphs.terminal.app import app as command_line
from tutelage.graphs.terminal.trace.browser import TraceBrowser
from tutelage.graphs.terminal.trace.browser_list import Listing

Play = Callable[[TraceBrowser, Pilot[None]], Awaitable[None]]


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

    def test_the_theme_is_light_or_dark(self, run: TinyRun) -> None:
        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            grounds = []
            for _ in range(2):
                grounds.append(app.query_one(Listing).styles.background.get_contrast_text(1))
                assert "1 situations" in screen(app)
                await pilot.press("t")
            assert grounds[0] != grounds[1]

        browse(run.path, play)


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


class TestOrder:
    def test_rows_are_put_in_order_by_a_key_or_a_header(self, run: TinyRun) -> None:
        def column(app: TraceBrowser, name: str) -> list[object]:
            listing = app.query_one(Listing)
            return [row.value(name) for row in listing._shown]

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            own = column(app, "id")
            here = app.query_one(Listing).row
            await pilot.press("s")
            assert column(app, "id") == sorted(own, reverse=True)
            assert "↓id" in screen(app)
            assert app.query_one(Listing).row == here, "the cursor stays on its row"
            await pilot.press("S")
            assert column(app, "id") == sorted(own)
            await pilot.press("s", "s")
            known = [share for share in column(app, "agree") if share is not None]
            assert known == sorted(known, reverse=True)
            assert column(app, "agree")[: len(known)] == known, "what is not known comes last"
            await pilot.press("escape")
            assert column(app, "id") == own
            await pilot.click("#list", offset=(2, 0))
            assert column(app, "id") == sorted(own, reverse=True)
            await pilot.press("2", "s")
            calls = column(app, "call")
            assert calls == sorted(calls, reverse=True)

        browse(run.path, play)

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
            await pilot.press("s", "S", "g")
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

    def test_a_damaged_trace_is_a_line_on_the_screen(self, tmp_path: Path) -> None:
        run = make_run(tmp_path)

        async def play(app: TraceBrowser, pilot: Pilot[None]) -> None:
            with closing(sqlite3.connect(run.folder.trace)) as connection:
                connection.execute("UPDATE examples SET decision = '{oops'")
                connection.commit()
            await pilot.pause(0.2)
            await pilot.press("j", "k")
            assert "damaged JSON" in screen(app)
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
