"""The end of a run on a terminal: its student plays the first held-out episode."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from helpers.screens import terminal_console
from helpers.tiny_runs import TinyRun, make_run
from tutelage.graphs.analysis.watching import EpisodeViewer
from tutelage.graphs.config.events import RunEnded
from tutelage.graphs.records.shapes import Summary
from tutelage.graphs.terminal.run import final_episode, session
from tutelage.graphs.terminal.run.final_episode import show_final_episode, spread
from tutelage.rl.errors import UserError

OUTCOME = "held-out episode 0, the first: "


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Of a student that has hardly learned anything."""
    folder = tmp_path_factory.mktemp("shown")
    return make_run(folder, env="MiniGrid-Empty-5x5-v0", graph="student_only")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each frame stands, without waiting for it; however slow the machine is."""
    slept: list[float] = []
    monkeypatch.setattr(final_episode, "_PLAYING_S", 60.0)
    monkeypatch.setattr(final_episode, "sleep", slept.append)
    return slept


@pytest.mark.parametrize("count", [1, 2, 3, 29, 30, 31, 59, 1000])
def test_frames_of_a_long_episode_are_passed_over(count: int) -> None:
    shown = spread(count, 30)
    assert len(shown) == min(count, 30)
    assert (shown[0], shown[-1]) == (0, count - 1)
    gaps = [later - earlier for earlier, later in pairwise(shown)]
    assert max(gaps, default=1) - min(gaps, default=1) <= 1
    assert min(gaps, default=1) > 0


class TestShowing:
    @pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 24), (200, 60)])
    def test_it_is_the_first_held_out_episode_in_a_few_seconds(
        self, width: int, height: int, run: TinyRun, pauses: list[float]
    ) -> None:
        console, there = terminal_console(width, height, variables="COLORTERM=truecolor")
        show_final_episode(console, run.path)
        assert 1 < len(pauses) <= 30
        assert sum(pauses) <= 4.001
        shown = there.plain
        assert "episode 0 · step 0 · return 0.000" in shown
        assert set("▶▼◀▲") & set(shown), "the agent on its map"
        assert " · succeeded" in shown or " · failed" in shown
        assert OUTCOME in shown
        tall = [part.count("\n") for part in there.getvalue().split("the student alone")[1:]]
        assert max(tall) < height
        assert len(there.getvalue()) < 300_000
        assert there.getvalue().endswith("\n")
        assert there.getvalue().rfind("\x1b[?25h") > there.getvalue().rfind("\x1b[?25l") >= 0

    def test_it_is_what_watch_shows(self, run: TinyRun, pauses: list[float]) -> None:
        with ExitStack() as resources:
            frames = list(EpisodeViewer(run.path, resources).frames(0))
        console, there = terminal_console()
        show_final_episode(console, run.path)
        assert f"{frames[-1].step:,} steps, return {frames[-1].return_:.3g}" in there.plain
        assert pauses

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_skips_it(
        self, number: signal.Signals, run: TinyRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def pressed(_seconds: float) -> None:
            try:
                signal.raise_signal(number)
            finally:
                signal.raise_signal(number)  # the impatient press twice

        monkeypatch.setattr(final_episode, "sleep", pressed)
        before = signal.getsignal(number)
        console, there = terminal_console()
        show_final_episode(console, run.path)
        assert signal.getsignal(number) == before
        assert "step 0" in there.plain
        assert OUTCOME not in there.plain
        assert there.getvalue().rfind("\x1b[?25h") > there.getvalue().rfind("\x1b[?25l") >= 0

    def test_a_slow_episode_is_shown_as_far_as_there_is_time(
        self, run: TinyRun, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        frames = EpisodeViewer.frames

        def slowly(viewer: EpisodeViewer, episode: int) -> Any:
            for frame in frames(viewer, episode):
                time.sleep(0.05)
                yield frame

        monkeypatch.setattr(EpisodeViewer, "frames", slowly)
        monkeypatch.setattr(final_episode, "_PLAYING_S", 0.2)
        console, there = terminal_console()
        show_final_episode(console, run.path)
        assert f"{OUTCOME}shown up to" in there.plain
        assert 1 < len(pauses) < 10

    def test_a_task_that_fails_is_a_line(
        self, run: TinyRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> Any:
            raise UserError("the door is [red]stuck[/]")

        monkeypatch.setattr(EpisodeViewer, "frames", fail)
        console, there = terminal_console()
        show_final_episode(console, run.path)
        assert "no episode can be shown: the door is [red]stuck[/]" in there.plain


def test_any_gymnasium_task_is_shown_as_watch_shows_it(tmp_path: Path, pauses: list[float]) -> None:
    run = make_run(tmp_path, env="helpers.taught_tasks:TaughtCar")
    console, there = terminal_console()
    show_final_episode(console, run.path)
    assert "moving: " in there.plain
    assert "throttle" in there.plain
    assert OUTCOME in there.plain
    assert pauses


Watch = Callable[..., tuple[int, str, bool]]


class TestWhen:
    """Never where nobody looks, and the result in any case."""

    @pytest.fixture
    def watch(self, run: TinyRun, monkeypatch: pytest.MonkeyPatch) -> Watch:
        """Watch a run that has ended: the exit code, what is on standard output, whether an
        episode was shown.
        """

        def watched(
            summary: Summary = run.summary, show: bool = True, as_json: bool = False, **how: Any
        ) -> tuple[int, str, bool]:
            shown: list[Path] = []
            console, there = terminal_console(**how)
            errors, _ = terminal_console(**how)

            def make(tell: Callable[..., None], *_: Any, **__: Any) -> Summary:
                tell(RunEnded(str(run.path), summary))
                return summary

            def note(out: Console, path: Path) -> None:
                assert out is console
                assert "held out" not in there.plain, "the result comes after it"
                shown.append(path)

            monkeypatch.setattr(
                session, "console", lambda stderr=False: errors if stderr else console
            )
            monkeypatch.setattr(session, "show_final_episode", note)
            code = session.watch(make, time.monotonic(), as_json, show)
            return code, there.plain, bool(shown)

        return watched

    def test_on_a_terminal(self, watch: Watch) -> None:
        code, said, shown = watch()
        assert (code, shown) == (0, True)
        assert "student alone, held out" in said

    @pytest.mark.parametrize(
        "how", [{"show": False}, {"term": "dumb"}, {"variables": "TTY_INTERACTIVE=0"}]
    )
    def test_not_if_it_is_not_wanted_or_cannot_be(self, how: dict[str, Any], watch: Watch) -> None:
        code, said, shown = watch(**how)
        assert (code, shown) == (0, False)
        assert "student alone, held out" in said

    def test_not_with_json(self, watch: Watch, capsys: pytest.CaptureFixture[str]) -> None:
        code, said, shown = watch(as_json=True)
        assert (code, said, shown) == (0, "", False)
        assert '"student"' in capsys.readouterr().out

    def test_not_without_a_student(self, run: TinyRun, watch: Watch) -> None:
        ended = run.summary.model_copy(update={"student": None, "status": "interrupted"})
        assert watch(ended)[2] is False

    def test_the_result_is_told_whatever_happens(
        self, run: TinyRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        console, there = terminal_console()

        def make(tell: Callable[..., None], *_: Any, **__: Any) -> Summary:
            tell(RunEnded(str(run.path), run.summary))
            return run.summary

        def fail(*_: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(session, "console", lambda **_: console)
        monkeypatch.setattr(session, "show_final_episode", fail)
        with pytest.raises(ZeroDivisionError):
            session.watch(make, time.monotonic(), as_json=False)
        assert "student alone, held out" in there.plain
