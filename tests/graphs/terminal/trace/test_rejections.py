"""Advice that the teacher check rejected is marked, with its figures, by every verb."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.commands import say, tell
from helpers.rejected_advice import IN_WORDS, MESSAGE, REJECTED, TEXTS, make_rejected_run
from helpers.trace_rows import ADVICE, visit
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.names import DASH
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import (
    ADVICE_REJECTED,
    TEACHER_REJECTED,
    AdviceRecord,
    EventRecord,
    Rejection,
)
from tutelage.graphs.records.trace.search import SITUATION_ORDERS
from tutelage.graphs.records.trace.writer import TraceWriter
from tutelage.rl.advice.advice import Advice
from tutelage.rl.tasks.options import Option

OTHER = Advice(((Option("explore"),),), (1.0,))
FIGURES = {
    "iteration": 2,
    "message": MESSAGE,
    "with_advice": {"successes": 0, "episodes": 48},
    "without_advice": {"successes": 5, "episodes": 54},
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setenv("COLUMNS", "80")
    return make_rejected_run(tmp_path / "run")


def of_situation(run: RunFolder, situation_id: int = REJECTED) -> Rejection | None:
    with TraceReader(run.trace) as reader:
        return reader.situation_of(situation_id).rejection


def advise(run: RunFolder, iteration: int, advice: Advice) -> None:
    with TraceWriter(run.trace) as writer:
        writer.advice([AdviceRecord(iteration, 0, REJECTED, "model", advice.to_json())])
        writer.commit()


def test_a_rejection_is_read_with_its_figures(run: RunFolder) -> None:
    found = of_situation(run)
    assert found is not None
    assert found == Rejection.read(2, MESSAGE)
    assert (found.with_advice, found.without_advice) != (None, None)
    assert [of_situation(run, s) for s in TEXTS if s != REJECTED] == [None, None]


def test_words_without_figures_are_a_rejection_too(tmp_path: Path) -> None:
    assert Rejection.read(7, "worse").with_advice is None
    folder = make_rejected_run(tmp_path / "run")
    with TraceWriter(folder.trace) as writer:
        writer.events([EventRecord(3, 1, "teacher_check", ADVICE_REJECTED, "worse", 10)])
        writer.commit()
    assert "✗ 0.75 pick_up" in say("trace", "list", folder.path)
    assert "rejected: worse" in say("trace", "show", folder.path, "1")
    assert len(tell("trace", "stats", folder.path)["rejected"]) == 2
    shown = [line.split() for line in say("trace", "stats", folder.path).splitlines()]
    assert ["1", "3", DASH, DASH] in [words[:4] for words in shown]


def test_other_advice_is_not_rejected_and_the_same_still_is(run: RunFolder) -> None:
    advise(run, 3, ADVICE)
    assert of_situation(run) is not None, "the same once more is still what was rejected"
    advise(run, 4, OTHER)
    assert of_situation(run) is None, "other advice is followed until it is found to do harm"
    advise(run, 5, ADVICE)
    assert of_situation(run) is None, "the check has begun anew"


def test_the_list_marks_it_and_gives_the_figures(run: RunFolder) -> None:
    shown = say("trace", "list", run.path)
    (line,) = [line for line in shown.splitlines() if "✗ 0/48 vs 5/54" in line]
    assert line.split()[0] == "2"
    assert "rejected, not followed: episodes that succeeded with the advice vs without" in shown
    rows = {row["id"]: row["rejection"] for row in tell("trace", "list", run.path)}
    assert rows == {1: None, 2: FIGURES, 3: None}
    assert tell("trace", "list", run.path, "--sort", "rejected")[0]["id"] == 2


def test_failures_name_it_as_what_it_is(run: RunFolder) -> None:
    shown = say("trace", "list", run.path, "failures")
    assert "advice rejected" in shown
    assert "given up" not in shown
    (row,) = tell("trace", "list", run.path, "failures")
    assert (row["kind"], row["situation"], row["error"]) == ("rejected", 2, MESSAGE)


def test_show_says_so_with_the_figures(run: RunFolder) -> None:
    shown = say("trace", "show", run.path, "2")
    assert "✗ its advice was rejected" in shown
    assert IN_WORDS in shown
    assert "gave up" not in shown
    assert tell("trace", "show", run.path, "2")["rejection"] == FIGURES
    assert "rejected" not in say("trace", "show", run.path, "1")


def test_stats_count_it_apart_from_what_was_given_up(run: RunFolder) -> None:
    shown = say("trace", "stats", run.path)
    lines = [line.split(maxsplit=2) for line in shown.splitlines() if line]
    assert ["given", "up", "none"] in [[word.strip() for word in line] for line in lines]
    assert "in 1 of 3 situations" in shown
    assert "0 of 48" in shown
    assert "5 of 54" in shown
    figures = tell("trace", "stats", run.path)
    assert (figures["given_up"], figures["advised"], figures["teacher_rejected"]) == ({}, 3, None)
    (row,) = figures["rejected"]
    assert (row["id"], row["text"], row["rejection"]) == (2, TEXTS[REJECTED], FIGURES)


def test_a_teacher_of_whom_nothing_is_followed_is_told_of(run: RunFolder) -> None:
    with TraceWriter(run.trace) as writer:
        writer.events([EventRecord(3, 1, "teacher_check", TEACHER_REJECTED, "no help: 0 of 9")])
        writer.commit()
    assert "none of it is followed: no help: 0 of 9" in " ".join(
        say("trace", "list", run.path).split()
    )
    assert "no help: 0 of 9" in say("trace", "stats", run.path)
    assert tell("trace", "stats", run.path)["teacher_rejected"] == "no help: 0 of 9"
    with TraceWriter(run.trace) as writer:
        writer.events([EventRecord(4, 1, "teacher_check", "teacher_enabled", "helps after all")])
        writer.commit()
    assert tell("trace", "stats", run.path)["teacher_rejected"] is None


def test_spans_have_it_as_attributes(run: RunFolder) -> None:
    found: dict[int, dict[str, Any]] = {}
    for line in say("trace", "export", run.path).splitlines():
        span = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
        told = {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}
        found[int(told["tutelage.situation.id"])] = told
    name = "tutelage.advice.rejected"
    assert {number: told[name] for number, told in found.items()} == {1: False, 2: True, 3: False}
    assert found[2][f"{name}.message"] == MESSAGE
    assert found[2][f"{name}.with_advice.episodes"] == "48"
    assert found[2][f"{name}.without_advice.successes"] == "5"
    assert f"{name}.message" not in found[1]


def test_a_difference_says_on_which_side(run: RunFolder, tmp_path: Path) -> None:
    other = make_rejected_run(tmp_path / "other")
    advise(other, 3, OTHER)
    shown = say("trace", "diff", run.path, other.path)
    assert "✗ a " in shown
    assert f"a: ✗ rejected: {IN_WORDS}" in shown
    assert "b: ✗" not in shown
    rows = {row["text"]: row for row in tell("trace", "diff", run.path, other.path)}
    assert rows[TEXTS[REJECTED]]["a"]["rejection"] == FIGURES
    assert rows[TEXTS[REJECTED]]["b"]["rejection"] is None
    told = tell("trace", "diff", f"{run.path}:2", f"{other.path}:2")
    assert told["rejections"] == {"a": FIGURES, "b": None}
    assert f"a: ✗ rejected: {IN_WORDS}" in say("trace", "diff", f"{run.path}:2", f"{run.path}:1")


def test_whoever_follows_the_run_sees_which_situation_it_is(run: RunFolder) -> None:
    shown = say("trace", "follow", run.path)
    lines = shown.splitlines()
    (place,) = [i for i, line in enumerate(lines) if "advice rejected" in line]
    assert MESSAGE in lines[place]
    assert "2: mission: open the door; carrying: red key" in lines[place + 1]
    told = [json.loads(line) for line in say("trace", "follow", run.path, "--json").splitlines()]
    (event,) = [item for item in told if item["type"] == "event"]
    assert (event["situation"], event["text"]) == (2, TEXTS[REJECTED])


def test_where_they_disagree_is_counted_in_visits(run: RunFolder) -> None:
    """100 visits with one in ten done otherwise come before four that all are."""
    rows = tell("trace", "list", run.path, "--sort", "disagree")
    assert [row["id"] for row in rows] == [1, 3, 2]
    assert [row["disagreements"] for row in rows] == [pytest.approx(10.0), 4.0, None]
    back = tell("trace", "list", run.path, "--sort", "disagree", "--reverse")
    assert [row["id"] for row in back] == [3, 1, 2], "what is not known always comes last"


def test_half_of_a_visit_counts_half(tmp_path: Path) -> None:
    folder = make_rejected_run(tmp_path / "run")
    with TraceWriter(folder.trace) as writer:
        writer.visits([visit(2, 30, 10, coverage=0.5, agreement=0.2)])
        writer.commit()
    rows = {row["id"]: row for row in tell("trace", "list", folder.path)}
    assert rows[3]["disagreements"] == pytest.approx(4.0 + 10 * 0.5 * 0.8)


@pytest.mark.parametrize("sort", list(SITUATION_ORDERS))
def test_every_order_that_the_help_names_is_one(sort: str, run: RunFolder) -> None:
    assert len(tell("trace", "list", run.path, "--sort", sort)) == len(TEXTS)
    assert sort in " ".join(say("trace", "list", "--help").replace("│", " ").split())
