"""The live view of a run: a panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO, TextIOWrapper
from typing import Any

import pytest
from rich.console import Console

from helpers.screens import HOSTILE, terminal_console
from tutelage.graphs.config.events import (
    Advised,
    Doing,
    Evaluating,
    Event,
    IterationDone,
    Notice,
    RunStarted,
    Waiting,
)
from tutelage.graphs.terminal.run import live
from tutelage.graphs.terminal.run.live import LiveProgress
from tutelage.rl.tasks.options import Option

STEPS = 100_000
STARTED = RunStarted("runs/some", "SimpleDoorKey", "openai:some", "teacher_student", STEPS, 0)
ADVICE = Advised(
    "mission: open the door\ncarrying: nothing",
    (Option("pick_up", "red key"), Option("open", "red door")),
)


def done(env_steps: int, cost_usd: float | None = 0.0, **more: Any) -> IterationDone:
    row = {
        "iteration": env_steps // 1000,
        "env_steps": env_steps,
        "train_success": env_steps / STEPS,
        "teacher_weight": 1.0,
        "llm_calls": 7,
        "cache_hits": 0,
    }
    return IterationDone(row | more, cost_usd)


def panel_of(*events: Event, width: int = 80, encoding: str = "utf-8") -> str:
    """The panel after some events, as a terminal with that encoding gets it."""
    raw = BytesIO()
    out = TextIOWrapper(raw, encoding=encoding, errors="replace")
    view = LiveProgress(Console(file=out, width=width, height=24, force_terminal=False))
    for event in events:
        view.on_event(event)
    out.flush()
    raw.truncate(raw.seek(0))
    view._console.print(view.panel())
    out.flush()
    return raw.getvalue().decode(encoding)


FULL = (STARTED, ADVICE, *map(done, range(1000, 50_000, 1000)), Doing("checking the teacher"))


class TestPanel:
    @pytest.mark.parametrize("width", [20, 40, 64, 80, 200])
    def test_it_fits_into_any_width(self, width: int) -> None:
        for events in (FULL, FULL[:1], (Doing("loading torch"),)):
            assert max(map(len, panel_of(*events, width=width).splitlines())) <= width

    @pytest.mark.parametrize("width", [40, 80])
    def test_all_of_it_fits_into_twenty_four_lines(self, width: int) -> None:
        assert len(panel_of(*FULL, done(60_000, None), ADVICE, width=width).splitlines()) < 23

    @pytest.mark.parametrize(
        ("cost", "said"), [(None, "not known"), (0.01234, "0.0123 USD"), (0.0, "")]
    )
    def test_the_cost_is_told_where_there_is_one(self, cost: float | None, said: str) -> None:
        shown = panel_of(STARTED, done(1000, cost))
        assert ("cost" in shown) == bool(said)
        assert said in shown

    def test_a_bound_is_told_with_what_the_answers_cover(self) -> None:
        bounded = replace(done(60_000, None), most_calls=500, covered=0.831)
        panel = panel_of(*FULL, bounded, ADVICE, width=40)
        assert "7 of 500" in panel
        assert "visits answered" in panel
        assert "83.1 %" in panel
        assert len(panel.splitlines()) < 24

    def test_what_was_not_answered_is_told_with_its_causes(self) -> None:
        failed = {"unusable_answer": 2, "timed_out": 12}
        after = replace(done(60_000), asked=40, failures=failed)
        told = "not answered  14 of 40 questions: 12 timed out, 2 unusable answer"
        assert told in panel_of(*FULL, after)
        assert "not answered" not in panel_of(*FULL, replace(after, failures={}))
        for width in (20, 40):
            shown = panel_of(*FULL, after, width=width).splitlines()
            assert max(map(len, shown)) <= width
        assert len(shown) <= 23

    def test_the_last_advice_is_told_in_words(self) -> None:
        shown = panel_of(*FULL)
        assert "mission: open the door · carrying: nothing" in shown
        assert "pick_up(red key) → open(red door)" in shown
        assert "last advice" not in panel_of(STARTED, done(1000))

    def test_success_is_a_curve_over_the_steps(self) -> None:
        (curve,) = [line for line in panel_of(*FULL).splitlines() if "  success " in line]
        assert re.search("▁+▂+▃+▄+", curve)
        (curve,) = [
            line for line in panel_of(*FULL, encoding="ascii").splitlines() if "  success " in line
        ]
        assert re.search(r"_+\.+:+-+", curve)

    def test_what_is_being_done_is_told_with_its_time(self, clock: Clock) -> None:
        events = (Doing("loading torch"), clock.later(12), Doing("the first rollout"))
        shown = panel_of(*events, clock.later(3))
        assert "loading torch, 12.0 s" in shown
        assert "the first rollout, 3 s" in shown
        shown = panel_of(STARTED, done(1000), Doing("waiting for the LLM"), clock.later(5))
        assert "waiting for the LLM, 5 s" in shown
        assert "waiting" not in panel_of(STARTED, Doing("waiting"), clock.later(5), done(1000))
        short = panel_of(STARTED, done(1000), Doing("waiting"), clock.later(0.5))
        assert "waiting" not in short
        assert len(short.splitlines()) == len(shown.splitlines())

    @pytest.mark.parametrize("before", [(), (done(1000),)], ids=["first", "later"])
    def test_a_wait_for_the_llm_is_told_with_its_time(self, before: Any, clock: Clock) -> None:
        """Before the first iteration, too: that is where most runs wait."""
        events = (STARTED, *before, Waiting(8, 0.0), clock.later(12), Waiting(7, 12.0))
        assert "waiting for the LLM: 7 situations are asked about, 12 s" in panel_of(*events)
        over = panel_of(*events, Doing("checking the teacher"), clock.later(3))
        assert "situations" not in over
        assert "checking the teacher, 3 s" in over
        assert ("waiting for the LLM, 12.0 s" in over) == (not before)

    def test_the_time_of_a_wait_does_not_count_as_learning(self, clock: Clock) -> None:
        waited = [each for s in range(60) for each in (clock.later(1), Waiting(8, s + 1.0))]
        events = (STARTED, clock.later(1), Waiting(8, 0.0), *waited, clock.later(1), done(1000))
        assert "500" in panel_of(*events).split("steps/s")[1].split()[0]

    def test_text_of_models_and_tasks_is_data(self) -> None:
        hostile = Advised(HOSTILE, (Option(HOSTILE, HOSTILE),))
        shown = panel_of(STARTED, done(1000), hostile, Doing(HOSTILE), width=300)
        assert not set("\x1b\x07\u202e") & set(shown)

    def test_without_unicode_it_is_drawn_in_ascii(self) -> None:
        shown = panel_of(Doing("loading torch"), encoding="ascii")
        assert "?" not in shown
        assert re.search(r"[-\\|/] loading torch", shown)


class Clock:
    """In place of the time that passes. As an event, `later` lets some of it pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float) -> Any:
        return _Pass(self, seconds)


class _Pass:
    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    monkeypatch.setattr(live, "monotonic", made)
    on_event: Callable[..., None] = LiveProgress.on_event

    def passing(view: LiveProgress, event: Any) -> None:
        if isinstance(event, _Pass):
            event.clock.now += event.seconds
        else:
            on_event(view, event)

    monkeypatch.setattr(LiveProgress, "on_event", passing)
    return made


class TestPlainLines:
    @pytest.mark.parametrize(
        ("term", "variables"), [("dumb", ""), ("unknown", ""), ("xterm", "TTY_INTERACTIVE=0")]
    )
    def test_a_dumb_terminal_gets_them(self, term: str, variables: str) -> None:
        console, there = terminal_console(term=term, variables=variables)
        with LiveProgress(console) as view:
            for event in (Doing("checking"), Doing("loading torch"), *FULL, done(STEPS)):
                view.on_event(event)
        assert not set("\x1b\r") & set(re.sub(r"\x1b\[[0-9;]*m", "", there.getvalue()))
        assert "setting up: loading torch\n" in there.plain
        assert "steps 1,000/100,000" in there.plain
        assert "steps 100,000/100,000" in there.plain
        assert "not answered" not in there.plain

    def test_they_tell_what_was_not_answered(self) -> None:
        console, there = terminal_console(term="dumb")
        with LiveProgress(console) as view:
            for event in (*FULL, replace(done(STEPS), asked=9, failures={"timed_out": 1})):
                view.on_event(event)
        assert there.plain.endswith("not answered 1 of 9 questions: 1 timed out\n")

    def test_a_pipe_gets_them_where_colours_are_forced_too(self) -> None:
        raw = BytesIO()
        out = TextIOWrapper(raw, encoding="utf-8")
        console = Console(file=out, _environ={"FORCE_COLOR": "1", "TERM": "xterm"})
        with LiveProgress(console) as view:
            for event in FULL:
                view.on_event(event)
        out.flush()
        assert b"steps 1,000/100,000" in raw.getvalue()
        assert b"\x1b[?25l" not in raw.getvalue(), "the cursor is left alone"

    def test_a_wait_is_told_at_its_start_and_then_less_and_less_often(self, clock: Clock) -> None:
        raw = BytesIO()
        out = TextIOWrapper(raw, encoding="utf-8")
        view = LiveProgress(Console(file=out, width=80))
        for tick in range(5 * 200):
            view.on_event(Waiting(1 if tick > 300 else 8, tick / 5))
            view.on_event(clock.later(0.2))
        out.flush()
        assert raw.getvalue().decode().splitlines() == [
            "waiting for the LLM: 8 situations are asked about",
            "waiting for the LLM: 8 situations are asked about, for 10 s now",
            "waiting for the LLM: 8 situations are asked about, for 30 s now",
            "waiting for the LLM: 8 situations are asked about, for 60 s now",
            "waiting for the LLM: 1 situation is asked about, for 120 s now",
            "waiting for the LLM: 1 situation is asked about, for 180 s now",
        ]

    @pytest.mark.parametrize("hours", [0.01, 1, 24])
    def test_there_are_never_hundreds(self, hours: float, clock: Clock) -> None:
        raw = BytesIO()
        out = TextIOWrapper(raw, encoding="utf-8")
        view = LiveProgress(Console(file=out, width=80))
        view.on_event(STARTED)
        seconds = int(3600 * hours)
        for second in range(seconds):
            view.on_event(clock.later(1))
            view.on_event(Doing("checking the teacher"))
            view.on_event(Waiting(8, 0.0))
            view.on_event(Waiting(8, 0.9))
            view.on_event(Evaluating(second, seconds))
            view.on_event(done((second + 1) * STEPS // seconds, eval_success=0.5))
        out.flush()
        lines = raw.getvalue().decode().splitlines()
        assert min(7, hours * 20) < len(lines) < 110
        assert lines[-1].startswith("steps 100,000/100,000")

    def test_nothing_is_said_before_the_configuration_is_checked(self) -> None:
        raw = BytesIO()
        out = TextIOWrapper(raw, encoding="utf-8")
        LiveProgress(Console(file=out)).on_event(Doing("loading the environment"))
        out.flush()
        assert raw.getvalue() == b""


def test_a_terminal_is_left_as_it_was() -> None:
    console, there = terminal_console()
    with LiveProgress(console) as view:
        for event in (*FULL, Notice("by the way")):
            view.on_event(event)
    shown = there.getvalue()
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l") >= 0
    assert "by the way" in there.plain
