"""Finding rows of a trace: filters, order, a hundred thousand rows, the command `trace list`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from helpers.commands import say, tell
from helpers.long_trace import ROWS, SITUATIONS, STATUSES, make_long_run
from helpers.tiny_runs import CLI, TinyRun, environment, make_run
from helpers.trace_rows import ADVICE, CALL, visit
from tutelage.agents.client.call_record import CallRecord
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import AdviceRecord, EventRecord
from tutelage.graphs.records.trace.schema import TraceError, TraceNotBegunError
from tutelage.graphs.records.trace.search import CallRow, Wanted
from tutelage.graphs.records.trace.writer import TraceWriter
from tutelage.graphs.terminal.app import app
from tutelage.graphs.terminal.trace.listing import span_of


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A real run of the offline teacher."""
    return make_run(tmp_path_factory.mktemp("real"), env="helpers.toy_task:Corridor")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_long_run(tmp_path_factory.mktemp("long") / "run")


def listed(*arguments: str | Path) -> Any:
    """What `trace list ... --json` prints."""
    return tell("trace", "list", *arguments)


# --------------------------------------------------------------------------------- searching

TEXTS = {1: "seen: red key", 2: "seen: RED door\nunexplored: no", 3: "Straße 100% _ '"}
spans = st.tuples(st.none() | st.integers(0, 5), st.none() | st.integers(0, 5))
calls = st.lists(
    st.builds(
        lambda iteration, situation_id, node, status, tokens, latency: replace(
            CALL,
            iteration=iteration,
            situation_id=situation_id,
            node=node,
            status=status,
            prompt_tokens=tokens,
            completion_tokens=None if tokens is None else 1,
            latency_s=latency,
        ),
        st.integers(0, 5),
        st.sampled_from(tuple(TEXTS)),
        st.sampled_from(("planner", "cache", "fallback")),
        st.sampled_from(("ok", "cached", "timed_out", "refused")),
        st.none() | st.integers(0, 5),
        st.integers(0, 5).map(float),
    ),
    max_size=12,
)
wanteds = st.builds(
    Wanted,
    iteration=spans,
    text=st.none() | st.sampled_from(("red", "RED DOOR", "STRASSE", "%", "_", "'", "nothing")),
    node=st.none() | st.sampled_from(("planner", "cache")),
    status=st.none() | st.sampled_from(("ok", "failed", "timed_out")),
    cached=st.none() | st.booleans(),
    tokens=spans,
    latency_s=spans,
)


def within(value: float | None, span: tuple[float | None, float | None]) -> bool:
    if span == (None, None):
        return True
    return value is not None and (span[0] or 0) <= value <= (9 if span[1] is None else span[1])


def is_wanted(call: CallRecord, wanted: Wanted) -> bool:
    """The filters once more, in plain Python."""
    failed = call.status not in ("ok", "cached")
    tokens = None if call.prompt_tokens is None else call.prompt_tokens + 1
    return (
        within(call.iteration, wanted.iteration)
        and (wanted.text is None or wanted.text.casefold() in TEXTS[call.situation_id].casefold())
        and wanted.node in (None, call.node)
        and (wanted.status in (None, call.status) or (wanted.status == "failed" and failed))
        and wanted.cached in (None, call.status == "cached")
        and within(tokens, wanted.tokens)
        and within(call.latency_s, wanted.latency_s)
    )


ORDERS: dict[str, tuple[Callable[[CallRow], Any], bool]] = {
    "latency": (lambda row: row.latency_s, True),
    "tokens": (lambda row: row.prompt_tokens, True),
    "iteration": (lambda row: row.iteration, False),
    "situation": (lambda row: row.number, False),
    "status": (lambda row: row.status, False),
}


@settings(max_examples=60)
@given(
    calls=calls,
    wanted=wanteds,
    sort=st.sampled_from(tuple(ORDERS)),
    reverse=st.booleans(),
    limit=st.none() | st.integers(1, 4),
)
def test_calls_are_found_and_sorted_as_plain_python_would(
    tmp_path_factory: pytest.TempPathFactory,
    calls: list[CallRecord],
    wanted: Wanted,
    sort: str,
    reverse: bool,
    limit: int | None,
) -> None:
    path = tmp_path_factory.mktemp("trace") / "trace.sqlite"
    with TraceWriter(path) as writer:
        writer.situations(TEXTS)
        writer.calls(calls)
        writer.commit()
        with TraceReader(path) as reader:
            found, total = reader.find_calls(wanted, sort=sort, reverse=reverse, limit=limit)
            failures, _ = reader.find_calls(wanted, failures_only=True)
            everything, _ = reader.find_calls(wanted)
            situations = reader.situations(wanted)
    expected = {number for number, call in enumerate(calls, 1) if is_wanted(call, wanted)}
    assert {row.id for row in everything} == expected
    assert total == len(expected)
    assert len(found) == min(total, limit or total)
    assert {row.id for row in failures} == {
        number for number in expected if calls[number - 1].status not in ("ok", "cached")
    }
    key, largest_first = ORDERS[sort]
    figures = [key(row) for row in found if key(row) is not None]
    assert figures == sorted(figures, reverse=largest_first != reverse)
    assert [key(row) is None for row in found] == sorted(key(row) is None for row in found)
    if wanted.asks_about_calls:
        assert {s.situation_id for s in situations} == {calls[n - 1].situation_id for n in expected}
    made = [n for n in expected if calls[n - 1].status != "cached"]
    assert sum(s.calls for s in situations) == len(made)


def test_a_situation_that_was_given_up_is_a_failure(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.sqlite") as writer:
        writer.situations(TEXTS)
        writer.events([EventRecord(4, 64, "planner", "budget_spent", "situation 2", 2)])
        writer.events([EventRecord(4, 64, "assess", "teacher_removed", "at step 64")])
        writer.calls([replace(CALL, iteration=3, situation_id=1, status="refused", error="401")])
        writer.commit()
        with TraceReader(writer.path) as reader:
            (refused, spent), total = reader.find_calls(failures_only=True)
            about_doors, _ = reader.find_calls(Wanted(text="door"), failures_only=True)
    assert total == 2
    assert (refused.kind, refused.error, refused.number) == ("call", "401", 1)
    assert (spent.kind, spent.status, spent.text) == ("given up", "budget_spent", TEXTS[2])
    assert about_doors == [spent]


def test_figures_are_of_the_wanted_iterations_alone(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.sqlite") as writer:
        writer.situations(TEXTS)
        writer.visits([visit(i, 1, 10 + i, agreement=i / 10) for i in range(6)])
        writer.visits([visit(5, 2)])
        writer.calls([replace(CALL, iteration=i, situation_id=1) for i in range(6)])
        writer.commit()
        with TraceReader(writer.path) as reader:
            (found,) = reader.situations(Wanted(iteration=(1, 2)))
    assert (found.situation_id, found.visits, found.calls) == (1, 11 + 12, 2)
    assert found.agreement == pytest.approx((11 * 0.1 + 12 * 0.2) / 23)


def test_a_situation_keeps_its_number_while_a_run_goes_on_and_after_a_cut(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.sqlite") as writer:
        for i, new in enumerate(([50, 60], [10, 50], [70])):
            writer.situations({s: f"{s}" for s in new})
            writer.visits([visit(i, s, 1 + s % 7) for s in new])
            writer.commit()
        writer.cut(1, str)
        writer.situations({5: "5", 70: "70"})
        writer.commit()
        with TraceReader(writer.path) as reader:
            numbers = {s.number: s.situation_id for s in reader.situations()}
            assert numbers == {1: 50, 2: 60, 3: 10, 4: 5, 5: 70}
            assert reader.situation(3).text == "10"
            assert reader.situation(60) == reader.situation(2)
            assert reader.situation(5).situation_id == 70, "a number comes before a situation id"
            with pytest.raises(TraceError, match=r"no situation 6 in .*; allowed: 1 to 5"):
                reader.situation(6)


@pytest.mark.parametrize("sort", ["", "latency; DROP TABLE calls", "Latency", "text"])
def test_an_unknown_order_is_refused(tmp_path: Path, sort: str) -> None:
    TraceWriter(tmp_path / "trace.sqlite").close()
    with TraceReader(tmp_path / "trace.sqlite") as reader:
        for find in (reader.find_calls, reader.situations):
            with pytest.raises(TraceError, match=r"cannot sort by .*; allowed: "):
                find(sort=sort)  # type: ignore[operator]  # both take it


def test_what_is_not_there_yet_has_an_error_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "trace.sqlite"
    with pytest.raises(TraceNotBegunError):
        TraceReader(path)
    path.touch()
    with pytest.raises(TraceNotBegunError):
        TraceReader(path)


@pytest.mark.parametrize(
    ("text", "span"),
    [(None, (None, None)), ("5", (5, 5)), ("0.5..2", (0.5, 2)), ("5..", (5, None)), ("..", None)],
)
def test_ranges(text: str | None, span: Any) -> None:
    assert span_of("--tokens", text) == (span or (None, None))


@pytest.mark.parametrize("text", ["", "five", "1-2", "1...2", "-1", "1e9", "nan..", "1..2..3"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(TraceError, match=r"--tokens .* is no range; allowed: 5, 5\.\.20"):
        span_of("--tokens", text)


# ----------------------------------------------------------------------- a long run, quickly

SEARCHES: list[tuple[Wanted, dict[str, Any]]] = [
    (Wanted(), {"limit": 50}),
    (Wanted(), {"sort": "latency", "limit": 50}),
    (Wanted(), {"sort": "situation", "reverse": True, "limit": 1000}),
    (Wanted(status="timed_out", text="key 3"), {}),
    (Wanted(status="failed"), {"failures_only": True, "limit": 50}),
    (Wanted(iteration=(400, 500), cached=False, latency_s=(1.0, 50.0)), {"sort": "tokens"}),
]


@pytest.mark.parametrize("number", range(len(SEARCHES)))
def test_a_hundred_thousand_rows_are_searched_in_less_than_a_second(
    long: RunFolder, number: int
) -> None:
    wanted, how = SEARCHES[number]
    with TraceReader(long.trace) as reader:
        began = time.process_time()  # and not the clock: other processes' work says nothing
        rows, total = reader.find_calls(wanted, **how)
        assert time.process_time() - began < 1.0
    assert len(rows) == min(total, how.get("limit", total)) > 0


def test_situations_of_a_long_run_are_listed_in_less_than_a_second(long: RunFolder) -> None:
    with TraceReader(long.trace) as reader:
        began = time.process_time()
        situations = reader.situations(Wanted(status="timed_out"), sort="calls")
        assert time.process_time() - began < 1.0
    with_one = {i % SITUATIONS for i in range(ROWS) if STATUSES[i % 20] == "timed_out"}
    assert {s.situation_id for s in situations} == with_one


def test_listing_calls_reads_no_conversation(long: RunFolder) -> None:
    """Only indexes are read, so it stays quick however long the prompts are."""
    with TraceReader(long.trace) as reader:
        seen: list[str] = []
        reader._connection.set_trace_callback(seen.append)
        reader.find_calls(Wanted(status="failed", text="key"), sort="latency")
        reader.situations(Wanted(node="cache"))
        reader._connection.set_trace_callback(None)
        queries = [sql for sql in seen if "FROM listed_calls" in sql]
        assert len(queries) == 2
        for query in queries:
            plan = [row[3] for row in reader._query(f"EXPLAIN QUERY PLAN {query}")]
            about_calls = [step for step in plan if " calls" in step]
            assert about_calls
            assert all("COVERING INDEX calls_listed" in step for step in about_calls), plan


def test_the_command_is_quick_and_imports_nothing_heavy(long: RunFolder) -> None:
    command = [*("trace", "list", str(long.path), "calls"), *("--status", "failed", "--json")]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(CLI), *command],
        capture_output=True,
        check=True,
        env=environment({}),
    )
    assert len(json.loads(done.stdout)) == ROWS // 10
    lines = done.stderr.decode().splitlines()
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "sqlite3" in imported
    heavy = {"gymnasium", "langchain", "langchain_core", "langgraph", "numba", "numpy", "torch"}
    assert not imported & heavy


# ------------------------------------------------------------------------------ the command


def test_a_real_run_is_listed(real: TinyRun) -> None:
    situations = listed(real.path)
    calls = listed(real.path, "calls")
    assert sum(row["calls"] for row in situations) == len(calls) == real.summary.llm.calls
    assert sum(row["prompt_tokens"] for row in calls) == real.summary.llm.prompt_tokens
    assert {row["node"] for row in calls} == {"planner"}
    assert [row["visits"] for row in situations] == sorted(
        (row["visits"] for row in situations), reverse=True
    )
    assert sorted(row["id"] for row in situations) == list(range(1, len(situations) + 1))
    assert listed(real.path, "failures") == []
    texts = {row["id"]: row["text"] for row in situations}
    assert all(row["text"] == texts[row["situation"]] for row in calls)
    assert listed(real.path, "calls", "--limit", "1", "--sort", "id") == calls[:1]
    assert listed(real.path, "calls", "--reverse")[0] == calls[-1]


def test_what_the_cache_replays_is_told_from_what_was_asked(tmp_path: Path) -> None:
    real = make_run(tmp_path / "first")
    again = make_run(tmp_path / "again", cache=real.cache)
    calls = listed(again.path, "calls", "--cached")
    assert len(calls) == len(listed(again.path, "calls"))
    assert {(row["node"], row["status"]) for row in calls} == {("cache", "cached")}
    assert listed(again.path, "calls", "--not-cached") == []
    with real.trace() as first, again.trace() as second:
        answers, replayed = first.calls(), second.calls()
        assert [call.plans for call in replayed] == [call.plans for call in answers]
        plans = answers[0].plans
        assert len(plans) == len(answers[0].answers)
        advised = first.advice(answers[0].situation_id)[0].plans
        assert {json.dumps(plan) for plan in plans} == {json.dumps(row["plan"]) for row in advised}


def test_people_get_so_many_rows_and_are_told_of_the_rest(long: RunFolder) -> None:
    done = CliRunner().invoke(app, ["trace", "list", str(long.path), "calls"])
    assert done.exit_code == 0
    assert "50 of 100,000 calls; more with --limit" in done.stdout
    assert "trace show" in done.stdout
    assert "c50" in done.stdout
    assert "c51" not in done.stdout


def test_a_filter_that_finds_nothing_says_what_there_is(real: TinyRun) -> None:
    filtered = ["calls", "--status", "timed_out"]
    done = CliRunner().invoke(app, ["trace", "list", str(real.path), *filtered])
    assert done.exit_code == 0
    assert "no such calls; statuses of its calls: ok (" in done.stdout
    assert "planner (" in done.stdout
    assert listed(real.path, *filtered) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["everything"], "cannot list 'everything'; allowed: situations, calls, failures"),
        (["calls", "--sort", "size"], "cannot sort by 'size'; allowed: id, iteration"),
        (["--sort", "latency"], "cannot sort by 'latency'; allowed: visits"),
        (["--latency", "fast"], "--latency 'fast' is no range"),
        (["cals"], "(did you mean 'calls'?)"),
        (["--sort", "visit"], "(did you mean 'visits'?)"),
        (["--status", "timedout"], "--status 'timedout' is none (did you mean 'timed_out'?); "),
        (["calls", "--node", "plannr"], "--node 'plannr' is none (did you mean 'planner'?); "),
        (["calls", "--node", "nope", "--json"], "--node 'nope' is none; allowed: planner, cache"),
    ],
)
def test_mistakes_say_what_is_allowed(real: TinyRun, arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["trace", "list", str(real.path), *arguments])
    assert isinstance(done.exception, TraceError)
    assert says in str(done.exception)


# ------------------------------------------------------------------------- a line for each row


@pytest.fixture
def similar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose situations differ only at the ends of long texts."""
    monkeypatch.setenv("COLUMNS", "80")
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config({})
    things = "red key; yellow key; purple key; blue door (locked); green door (open)"
    with TraceWriter(folder.trace) as writer:
        texts = [
            f"mission: go through the green door\ncarrying: {carried}\nseen: {things}{last}\n"
            f"unexplored: {left}"
            for carried in ("nothing", "grey ball")
            for last in ("", "; grey box")
            for left in ("yes", "no")
        ]
        writer.situations(dict(enumerate(texts)))
        writer.calls([replace(CALL, situation_id=s) for s in range(len(texts))])
        late = replace(CALL, situation_id=1, status="timed_out", answers=[], plans=[])
        writer.calls([replace(late, error="no answer within 30 s, tried three times " * 2)])
        writer.advice([AdviceRecord(1, 1, s, "model", ADVICE.to_json()) for s in range(len(texts))])
        writer.visits([visit(1, s, 12_345) for s in range(len(texts))])
        writer.commit()
    return folder.path


def rows_of(shown: str) -> list[str]:
    """The lines of a table below its head."""
    lines = shown.splitlines()
    (rule,) = [i for i, line in enumerate(lines) if set(line.strip()) == {"─"}]
    rows = lines[rule + 1 :]
    return rows[: next(i for i, line in enumerate(rows) if not line.strip())]


@pytest.mark.parametrize("what", ["situations", "calls"])
@pytest.mark.parametrize("columns", ["80", "120", "200"])
def test_each_takes_a_line_and_none_looks_like_another(
    similar: Path, what: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown = say("trace", "list", similar, what)
    rows = rows_of(shown)
    assert len(rows) == len(listed(similar, what))
    assert all(len(row) <= int(columns) for row in rows)
    if what == "situations":
        told = {row.split(maxsplit=3)[3] for row in rows}
        assert len(told) == len(rows), "what differs stays in sight"
    assert shown.count("go through the green door") == 1, "what all have is said once"
    assert "carrying · seen · unexplored" in shown


@pytest.mark.parametrize("columns", range(80, 116, 4))
def test_the_figures_of_a_list_are_whole(
    similar: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    said = say("trace", "list", similar)
    assert all(f" {heading} " in said for heading in ("id", "visits", "agree", "advice"))
    for row in rows_of(said):
        assert "12,345" in row
        assert "0.75 pick_up" in row


def test_failures_are_told_in_whole_words_at_80_columns(similar: Path) -> None:
    shown = say("trace", "list", similar, "failures")
    assert "timed_out" in shown
    words = " ".join(" ".join(line.split()[0:]) for line in rows_of(shown))
    for word in ["no", "answer", "within", "30", "s,", "tried", "three", "times"]:
        assert word in words.split()
    assert len(rows_of(shown)) <= 4
    assert "trace show" in shown
    assert shown.rstrip().endswith(" c9")


def test_texts_that_are_no_fields_are_told_in_a_line_too(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config({})
    with TraceWriter(folder.trace) as writer:
        writer.situations({1: "you stand\nleft of it", 2: "you stand\nat: the goal", 3: ""})
        writer.visits([visit(1, s) for s in (1, 2, 3)])
        writer.commit()
    rows = rows_of(say("trace", "list", folder.path))
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert "you stand · left of it" in rows[0]
    assert "you stand · at: the goal" in rows[1]


@pytest.mark.parametrize("columns", ["20", "40"])
def test_no_terminal_is_too_narrow(
    similar: Path, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for what in ("situations", "calls", "failures"):
        assert rows_of(say("trace", "list", similar, what))
