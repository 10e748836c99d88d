"""The rows of a trace's browser: orders are those of `trace list`, verdicts follow the events."""

from __future__ import annotations

from pathlib import Path

import pytest

from tutelage.graphs.analysis.browsing import TraceBook
from tutelage.graphs.analysis.browsing_rows import ORDERS, in_order
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import (
    ADVICE_REJECTED,
    TEACHER_REJECTED,
    TEACHER_WITHHELD,
    AdviceRecord,
    EventRecord,
    VisitRecord,
)
from tutelage.graphs.records.trace.search import SITUATION_ORDERS
from tutelage.graphs.records.trace.writer import TraceWriter

GO = [{"p": 1.0, "plan": [["explore", None]]}]
OPEN = [{"p": 0.4, "plan": [["explore", None]]}, {"p": 0.6, "plan": [["open", "door"]]}]
SAID = "advice does worse than the student: {} of 48 episodes succeeded with it, 5 of 54 without"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Situations 1 to 6: some were visited as often, or never, or advised by nobody."""
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config({})
    with TraceWriter(folder.trace) as writer:
        writer.situations({10 * n: f"seen: {n}" for n in range(1, 7)})
        writer.visits(
            [
                VisitRecord(1, 10, 30, 1.0, 0.5, 1, 0),
                VisitRecord(3, 10, 10, 1.0, 0.9, 1, 0),
                VisitRecord(2, 20, 40, 1.0, 0.6, 1, 0),
                VisitRecord(3, 30, 5, 0.5, 0.0, 1, 0),
                VisitRecord(2, 40, 99, 0.0, None, 1, 0),
                VisitRecord(1, 50, 40, 1.0, 0.6, 1, 0),
            ]
        )
        given = {10: GO, 20: OPEN, 30: GO, 50: OPEN}
        writer.advice([AdviceRecord(1, 9, s, "model", plans) for s, plans in given.items()])
        writer.commit()
    return folder


def tell(folder: RunFolder, iteration: int, kind: str, about: int | None, said: str = "") -> None:
    """Add an event."""
    with TraceWriter(folder.trace) as writer:
        writer.events([EventRecord(iteration, 9, "teacher_check", kind, said, about)])
        writer.commit()


def verdicts(folder: RunFolder) -> dict[int, str | None]:
    """Of each situation, by its number."""
    book = TraceBook(folder.path)
    found = {row.record.number: row.verdict for row in book.rows("situations")}
    book.close()
    return found


@pytest.mark.parametrize("reverse", [False, True])
def test_orders_are_those_of_trace_list(folder: RunFolder, reverse: bool) -> None:
    book = TraceBook(folder.path)
    rows = book.rows("situations")
    with TraceReader(folder.trace) as reader:
        for order in ("visits", "disagree", "last", "id"):
            assert order in SITUATION_ORDERS
            listed = [found.number for found in reader.situations(None, order, reverse)]
            own = in_order(rows, "situations", order, reverse)
            assert [row.record.number for row in own] == listed, order
    book.close()


def test_they_disagree_most_where_most_visits_differ_and_last_where_none_is_known(
    folder: RunFolder,
) -> None:
    book = TraceBook(folder.path)
    rows = in_order(book.rows("situations"), "situations", "disagree", False)
    # 1: 30 x 0.5 + 10 x 0.1 visits, 2 and 5: 40 x 0.4, 3: 5 x 0.5 x 1; 4 and 6 were not advised.
    numbers = [row.record.number for row in rows]
    assert sorted(numbers[:3]) == [1, 2, 5]
    assert numbers[3:] == [3, 4, 6]
    book.close()


def test_equal_advice_is_together_and_what_is_rejected_comes_first(folder: RunFolder) -> None:
    tell(folder, 2, ADVICE_REJECTED, 30, SAID.format(0))
    book = TraceBook(folder.path)
    rows = book.rows("situations")
    by_advice = in_order(rows, "situations", "advice", False)
    assert [row.record.number for row in by_advice] == [1, 3, 2, 5, 4, 6]
    by_verdict = in_order(rows, "situations", "verdict", False)
    assert [row.record.number for row in by_verdict] == [3, 4, 6, 1, 2, 5]
    assert next(iter(ORDERS["situations"])) == "visits"
    book.close()


def test_verdicts_are_those_of_the_last_events(folder: RunFolder) -> None:
    assert verdicts(folder) == {
        **dict.fromkeys((1, 2, 3, 5), "followed"),
        **dict.fromkeys((4, 6), "no advice"),
    }
    tell(folder, 1, TEACHER_WITHHELD, None)
    assert verdicts(folder)[1] == "withheld"
    tell(folder, 2, ADVICE_REJECTED, 10, SAID.format(0))
    tell(folder, 2, "teacher_enabled", None)
    assert verdicts(folder)[1] == "rejected"
    assert verdicts(folder)[2] == "followed"
    # Another answer is tried anew.
    with TraceWriter(folder.trace) as writer:
        writer.advice([AdviceRecord(3, 9, 10, "model", OPEN)])
        writer.commit()
    assert verdicts(folder)[1] == "followed"
    tell(folder, 4, TEACHER_REJECTED, None, "3 of 40 episodes succeeded")
    assert {verdict for n, verdict in verdicts(folder).items() if n not in (4, 6)} == {"rejected"}
    assert verdicts(folder)[4] == "no advice"


def test_a_detail_says_why_its_advice_is_not_followed(folder: RunFolder) -> None:
    tell(folder, 2, ADVICE_REJECTED, 10, SAID.format(0))
    tell(folder, 4, TEACHER_REJECTED, None, "3 of 40 episodes succeeded")
    book = TraceBook(folder.path)
    details = {row.record.number: book.detail(row) for row in book.rows("situations")}
    book.close()
    assert details[1].teacher is None, "it was rejected for itself"
    assert details[1].values is not None
    assert details[1].values["rejection"]["iteration"] == 2
    assert details[2].teacher is not None
    assert details[2].teacher.message == "3 of 40 episodes succeeded"
    assert (details[4].verdict, details[4].teacher) == ("no advice", None)
