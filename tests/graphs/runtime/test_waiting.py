"""A slow teacher is waited for: training pauses where nobody has said anything of use yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event as StopSignal
from time import monotonic, sleep
from typing import Any

import pytest

from helpers.hurried_runs import PROVIDER, after
from helpers.openai_server import Behaviour, Body, OpenAIServer, Reply, hang, status, talk, teach
from helpers.tiny_runs import ROLLOUT, TinyRun, make_run
from tutelage.graphs.config.events import Event, IterationDone, Notice, Waiting
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.runtime.run import resume

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK: dict[str, Any] = {
    "provider": PROVIDER,
    "env": "helpers.toy_task:Corridor",
    "steps": 3 * ROLLOUT,
    "weaning__schedule": "constant",
    "teacher__backoff_s": 0.0,
    "teacher__max_tries": 1,
    "teacher__samples": 1,
    "ppo__epochs": 1,
    "student__hidden": 16,
    "evaluation__final_episodes": 1,
}
LATE_S = 0.3


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


class Watched:
    """A run's events: the waits with the iterations before them, and what people were told."""

    def __init__(self, then: Callable[[Event], None] = lambda _: None) -> None:
        self.waits: list[tuple[int, Waiting]] = []
        self.lines: list[str] = []
        self.iterations = 0
        self._then = then

    def __call__(self, event: Event) -> None:
        self.iterations += isinstance(event, IterationDone)
        if isinstance(event, Waiting):
            self.waits.append((self.iterations, event))
        if isinstance(event, Notice):
            self.lines.append(event.text)
        self._then(event)

    @property
    def before(self) -> set[int]:
        """The iterations after which there was a wait."""
        return {iterations for iterations, _ in self.waits}


def taught_by(behaviour: Behaviour, folder: Path, watched: Watched, **options: Any) -> TinyRun:
    """A run that need not wait, with a server that behaves so."""
    with OpenAIServer(behaviour) as server:
        # How many requests there may be is told elsewhere.
        unbounded = {"teacher__budget_calls": 10**6}
        changed = {**QUICK, **unbounded, "wait": False, **options}
        return make_run(folder, watched, base_url=server.base_url, **changed)


def shares(run: TinyRun) -> list[float]:
    return [row.advised_share or 0.0 for row in run.rows]


def code_of(run: TinyRun) -> str:
    assert run.summary.outcome is not None
    return run.summary.outcome.code


def test_the_first_rollout_waits_for_the_first_words(tmp_path: Path) -> None:
    """Without patience for the others: it is the pause that holds."""
    watched = Watched()
    run = taught_by(after(LATE_S), tmp_path, watched, teacher__patience_s=0.0)
    assert shares(run)[0] > 0
    assert watched.before == {0}
    assert watched.waits[0][1].waited_s == 0.0
    assert all(event.asked > 0 for _, event in watched.waits)
    assert run.summary.llm.failures == 0


def test_what_was_asked_at_the_same_time_is_waited_for_too(tmp_path: Path) -> None:
    """The patience begins with the first answer, however late that was."""
    answered = 0

    def one_by_one(body: Body) -> Reply:
        nonlocal answered
        answered += 1
        return after(LATE_S * answered)(body)

    watched = Watched()
    run = taught_by(one_by_one, tmp_path, watched, teacher__patience_s=2 * LATE_S)
    assert shares(run)[0] > 0.9
    times = [event.waited_s for _, event in watched.waits]
    assert times == sorted(times), "one wait, as people see it"


def test_a_teacher_that_never_answers_is_waited_for_once_and_for_so_long(tmp_path: Path) -> None:
    watched, began = Watched(), monotonic()
    options = {"steps": 33 * ROLLOUT, "teacher__timeout_s": 0.5, "teacher__pause_s": 0.6}
    run = taught_by(hang(300), tmp_path, watched, **options)
    assert monotonic() - began < 30, "no patience for who has said nothing"
    assert code_of(run) == "no_answer"
    assert {10} <= watched.before <= {0, 10, 30}, "asked again, it has what is left of the pause"
    longest = {n: max(w.waited_s for m, w in watched.waits if m == n) for n in watched.before}
    assert sum(longest.values()) < 0.6
    (told,) = [line for line in watched.lines if "teacher.pause_s" in line]
    assert PROVIDER in told
    assert "training goes on" in told


def test_no_pause_is_no_pause(tmp_path: Path) -> None:
    watched = Watched()
    run = taught_by(after(LATE_S), tmp_path, watched, teacher__pause_s=0.0)
    assert watched.waits == []
    assert watched.lines == []
    assert shares(run)[0] == 0.0


def test_a_time_out_does_not_end_the_pauses(tmp_path: Path) -> None:
    """All that was asked first came to nothing; what is asked later is waited for."""
    watched = Watched()

    def slow_to_start(body: Body) -> Reply:
        return (after(LATE_S) if watched.iterations else hang(300))(body)

    options = {"steps": 13 * ROLLOUT, "teacher__timeout_s": 0.6, "teacher__patience_s": 0.0}
    run = taught_by(slow_to_start, tmp_path, watched, **options)
    assert watched.before == {0, 10}
    assert shares(run)[:10] == [0.0] * 10
    assert shares(run)[10] > 0
    assert [row.teacher_weight for row in run.rows] == [5.0] * 13


@pytest.mark.parametrize("code", [401, 500, 400])
def test_who_is_down_or_refuses_is_not_waited_for_again(code: int, tmp_path: Path) -> None:
    watched = Watched()
    options = {"steps": 13 * ROLLOUT, "teacher__keep_going": True}
    run = taught_by(status(code), tmp_path, watched, **options)
    assert code_of(run) == "no_answer"
    assert run.summary.llm.situations > 4, "asked again"
    assert watched.before <= {0}


def test_one_hiccup_among_many_is_not_the_end_of_the_wait(tmp_path: Path) -> None:
    asked = 0

    def hiccup(body: Body) -> Reply:
        nonlocal asked
        asked += 1
        return (status(500) if asked == 1 else after(LATE_S))(body)

    watched = Watched()
    run = taught_by(hiccup, tmp_path, watched, teacher__patience_s=0.0)
    assert shares(run)[0] > 0


def test_a_second_model_is_waited_for_too(tmp_path: Path) -> None:
    watched = Watched()
    with OpenAIServer(after(LATE_S)) as second:
        stand_in = f"openai:second@{second.base_url}"
        options = {"teacher__fallback": stand_in, "teacher__patience_s": 0.0}
        run = taught_by(status(500), tmp_path, watched, **options)
    assert shares(run)[0] > 0
    assert code_of(run) == "stand_ins"


def test_the_script_is_not_waited_for(tmp_path: Path) -> None:
    figures = []
    for pause_s in (0.0, 600.0):
        watched = Watched()
        options = {**QUICK, "provider": "offline", "teacher__pause_s": pause_s}
        figures.append(make_run(tmp_path / str(pause_s), watched, **options).figures())
        assert watched.waits == []
    assert figures[0] == figures[1]


def test_the_time_of_a_pause_is_not_idleness(tmp_path: Path) -> None:
    """To the weight schedule and to the check, the pause did not happen."""
    runs = []
    for name, behaviour in {"at_once": teach(), "late": after(LATE_S)}.items():
        options = {"steps": 6 * ROLLOUT, "weaning__schedule": "adaptive"}
        run = taught_by(behaviour, tmp_path / name, Watched(), **options)
        runs.append(run.figures("llm_calls"))
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("behaviour", "name", "says"),
    [
        (talk("I would rather not."), "unusable_answer", "is no plan"),
        (status(500), "provider_down", "500"),
        (hang(300), "timed_out", ""),
    ],
    ids=["talk", "500", "hang"],
)
def test_what_was_not_answered_is_told_while_the_run_goes_on(
    behaviour: Behaviour, name: str, says: str, tmp_path: Path
) -> None:
    rows: list[IterationDone] = []
    first: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, IterationDone):
            rows.append(event)
            first.extend(watched.lines if len(rows) == 1 else [])

    watched = Watched(note)
    run = taught_by(behaviour, tmp_path, watched, teacher__timeout_s=0.3)
    (line,) = first
    assert line == watched.lines[0], "told once, and before anything was learned"
    assert line.startswith(f"{PROVIDER}: {name}: ")
    assert says in line
    assert rows[0].asked > 0
    assert dict(rows[0].failures) == {name: rows[0].asked}
    assert sum(rows[-1].failures.values()) == run.summary.llm.failures


def test_answers_that_all_come_too_late_are_no_answer(tmp_path: Path) -> None:
    """The last iteration is over when the server answers; the run's end takes the answer in."""
    gate = StopSignal()

    def late(body: Body) -> Reply:
        gate.wait(60)
        return teach()(body)

    def opens(event: Event) -> None:
        if isinstance(event, IterationDone) and event.row["iteration"] == 3:
            gate.set()
            sleep(0.5)

    run = taught_by(late, tmp_path, Watched(opens), teacher__pause_s=0.0)
    assert code_of(run) == "no_answer"


class TestStopped:
    def test_a_request_to_stop_ends_the_wait_and_a_resume_waits_anew(self, tmp_path: Path) -> None:
        stop = StopSignal()

        def stops(event: Event) -> None:
            if isinstance(event, Waiting) and event.waited_s > LATE_S:
                stop.set()

        is_up = False

        def behaviour(body: Body) -> Reply:
            return (after(LATE_S) if is_up else hang(300))(body)

        began = monotonic()
        with OpenAIServer(behaviour) as server:
            options = {**QUICK, "wait": False, "base_url": server.base_url}
            run = make_run(tmp_path, Watched(stops), stop, **options)
            assert monotonic() - began < 30
            assert code_of(run) == "stopped"
            assert run.rows == [], "nothing was learned without the teacher"
            is_up = True
            watched = Watched()
            summary = resume(run.path, watched, base_urls=[server.base_url])
        assert summary.outcome is not None
        assert summary.outcome.code == "taught_to_the_end"
        assert shares(run)[0] > 0
        assert watched.before == {0}

    def test_the_pause_is_one_for_all_processes_of_a_run(self, tmp_path: Path) -> None:
        stop = StopSignal()

        def stops(event: Event) -> None:
            if isinstance(event, IterationDone) and event.row["iteration"] == 2:
                stop.set()

        with OpenAIServer(hang(300)) as server:
            options = {**QUICK, "wait": False, "base_url": server.base_url}
            options |= {"teacher__pause_s": LATE_S, "steps": 5 * ROLLOUT}
            run = make_run(tmp_path, Watched(stops), stop, **options)
            assert len(run.rows) == 2
            watched = Watched()
            summary = resume(run.path, watched, base_urls=[server.base_url])
        assert watched.waits == []
        assert summary.status == "finished"
        assert len(RunFolder.open(run.path).read_metrics()) == 5
