"""The trace: real SQLite files, readers beside a writer, killed writers, secrets."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.tiny_runs import ROOT
from helpers.trace_rows import ADVICE, CALL, visit
from tutelage.agents.client.call_record import CACHED, OK, CallRecord
from tutelage.agents.common.redact import redact
from tutelage.graphs.records.trace import deadline
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import (
    AdviceRecord,
    EventRecord,
    ExampleRecord,
    VisitRecord,
)
from tutelage.graphs.records.trace.schema import TraceDamagedError, TraceError
from tutelage.graphs.records.trace.writer import MAX_EXAMPLES, TraceWriter
from tutelage.rl.advice.advice import Advice


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.sqlite"


@pytest.fixture
def writer(path: Path) -> Iterator[TraceWriter]:
    with TraceWriter(path) as writer:
        yield writer


@pytest.fixture
def reader(writer: TraceWriter) -> Iterator[TraceReader]:
    with TraceReader(writer.path) as reader:
        yield reader


def one_line(error: pytest.ExceptionInfo[TraceError], path: Path) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_records_round_trip(writer: TraceWriter, reader: TraceReader) -> None:
    failed = replace(CALL, attempt=2, status="timed_out", error="no answer in 30 s", answers=[])
    advice = AdviceRecord(1, 2048, 7, "model", ADVICE.to_json())
    example = ExampleRecord(1, 7, 3, "#>.\n..D")
    event = EventRecord(1, 2048, "planner", "budget_spent", "100 of 100 calls made")
    visits = [visit(0, 7), visit(1, 7, 5, coverage=0.5, agreement=0.25, episodes=2, successes=1)]
    writer.calls([CALL, failed])
    writer.advice([advice])
    writer.visits(visits)
    writer.examples([example])
    writer.events([event])
    writer.commit()
    assert reader.calls() == [replace(CALL, id=1), replace(failed, id=2)]
    assert reader.calls(CALL.situation_id) == reader.calls()
    assert reader.calls(7) == []
    assert reader.call(2) == replace(failed, id=2)
    assert reader.advice(7) == [replace(advice, id=1)]
    assert Advice.from_json(reader.advice(7)[0].plans) == ADVICE
    assert reader.visits(7) == visits
    assert reader.examples(7) == [replace(example, id=1)]
    assert reader.events() == [replace(event, id=1)]
    with pytest.raises(TraceError, match="there is no call 3"):
        reader.call(3)


def test_a_flipped_bit_of_a_text_hides_nothing_else(
    writer: TraceWriter, reader: TraceReader
) -> None:
    writer.calls([CALL, CALL])
    writer.commit()
    with closing(sqlite3.connect(writer.path)) as connection, connection:
        connection.execute("UPDATE calls SET model = CAST(x'61ff62' AS TEXT) WHERE id = 1")
    assert [call.model for call in reader.calls()] == ["a\ufffdb", CALL.model]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates included: a model's answer can hold them.
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def storable(value: Any) -> Any:
    """What a stored value comes back as: the same, but lone surrogates are question marks."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def test_any_text_and_json_is_kept(writer: TraceWriter, reader: TraceReader) -> None:
    @settings(deadline=None)  # a busy disk is no failure
    @given(messages=json_values, error=st.text(st.characters(codec=None)))
    def check(messages: Any, error: str) -> None:
        writer.calls([replace(CALL, messages=messages, error=error)])
        writer.commit()
        kept = reader.calls()[-1]
        assert kept.messages == storable(messages)
        assert kept.error == storable(error)

    check()


def test_numbers_and_depths_that_json_cannot_hold(writer: TraceWriter, reader: TraceReader) -> None:
    deep: Any = "bottom"
    for _ in range(5000):
        deep = [deep]
    writer.calls([replace(CALL, answers={"logprobs": [-math.inf, math.nan, -1.5]}, messages=deep)])
    writer.commit()
    assert reader.call(1).answers == {"logprobs": [None, None, -1.5]}
    assert reader.call(1).messages == "[nested too deeply to be kept]"


def test_numpy_scalars_are_stored_as_numbers(writer: TraceWriter, reader: TraceReader) -> None:
    situation_id = np.int64(5)
    writer.situations({situation_id: "a room"})  # type: ignore[dict-item]  # as an array gives it
    masses = np.full(1, 0.5, dtype=np.float32)
    writer.visits([visit(0, situation_id, np.int64(3), coverage=masses[0])])  # type: ignore[arg-type]
    writer.commit()
    assert reader.visits(5) == [visit(0, 5, 3, coverage=0.5)]
    assert [(s.situation_id, s.coverage) for s in reader.situations()] == [(5, 0.5)]


@pytest.mark.parametrize("situation_id", [-1, 2**63])
def test_signatures_out_of_range_are_refused(writer: TraceWriter, situation_id: int) -> None:
    with pytest.raises(ValueError, match=str(situation_id)):
        writer.situations({situation_id: "nowhere"})
    with pytest.raises(ValueError, match=str(situation_id)):
        writer.visits([visit(0, situation_id)])


records = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(1, 50),
        st.floats(0, 1),
        st.none() | st.floats(0, 1),
        st.integers(0, 9),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)  # each with a file of its own
@given(
    records=records,
    statuses=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from((OK, CACHED, "refused"))), max_size=8
    ),
)
def test_situations_sum_up_what_was_recorded(
    tmp_path_factory: pytest.TempPathFactory, records: list[Any], statuses: list[Any]
) -> None:
    path = tmp_path_factory.mktemp("trace") / "trace.sqlite"
    with TraceWriter(path) as writer:
        writer.situations({s: f"situation {s}" for s in range(4)})
        visits = [
            visit(i, s, n, coverage=m, agreement=a, episodes=e, successes=e // 2)
            for i, (s, n, m, a, e) in enumerate(records)
        ]
        writer.visits(visits)
        writer.calls(replace(CALL, situation_id=s, status=status) for s, status in statuses)
        writer.commit()
        with TraceReader(path) as reader:
            summaries = reader.situations()

    assert [s.visits for s in summaries] == sorted((s.visits for s in summaries), reverse=True)
    assert {s.situation_id: s.text for s in summaries} == {s: f"situation {s}" for s in range(4)}
    by_signature: dict[int, list[VisitRecord]] = defaultdict(list)
    for v in visits:
        by_signature[v.situation_id].append(v)
    for summary in summaries:
        mine = by_signature[summary.situation_id]
        advised = [v for v in mine if v.agreement is not None]
        assert summary.visits == sum(v.visits for v in mine)
        assert summary.episodes == sum(v.episodes for v in mine)
        assert summary.successes == sum(v.successes for v in mine)
        ends = [status for s, status in statuses if s == summary.situation_id]
        assert summary.calls == len(ends) - ends.count(CACHED)
        assert summary.failures == ends.count("refused")
        assert summary.coverage == weighted([(v.visits, v.coverage) for v in mine])
        assert summary.agreement == weighted([(v.visits, v.agreement) for v in advised])


def weighted(pairs: list[tuple[int, Any]]) -> Any:
    if not pairs:
        return None
    return pytest.approx(sum(n * x for n, x in pairs) / sum(n for n, _ in pairs))


def test_situations_name_their_sources_and_last_plans(
    writer: TraceWriter, reader: TraceReader
) -> None:
    writer.situations({1: "first", 2: "second"})
    last = ADVICE.hardened().to_json()
    for source in ("fallback:explore", "cache", "cache"):
        writer.advice([AdviceRecord(0, 0, 1, source, ADVICE.to_json())])
    writer.advice([AdviceRecord(1, 10, 1, "model", last)])
    writer.situations({1: "another text", 3: "third"})
    writer.commit()
    first, second, third = reader.situations()
    assert first.text == "first"
    assert first.sources == {"fallback:explore": 1, "cache": 2, "model": 1}
    assert first.plans == last
    assert (second.plans, second.sources, second.visits) == (None, {}, 0)
    assert third.text == "third"


def test_few_examples_are_kept_for_each_situation(path: Path) -> None:
    drawn = [ExampleRecord(i, i % 2, i, f"picture {i}") for i in range(10)]
    with TraceWriter(path) as writer:
        writer.examples(drawn[:3])
        writer.commit()
    with TraceWriter(path) as writer:
        assert writer.wants_example(0)
        writer.examples(drawn[3:])
        writer.commit()
        assert not writer.wants_example(0)
        assert writer.wants_example(99)
        writer.cut(2, lambda situation_id: f"situation {situation_id}")
        assert writer.wants_example(0)
        with TraceReader(path) as reader:
            assert [e.env for e in reader.examples(0)] == [0, 2]
        writer.examples(drawn[3:])
        writer.commit()
    with TraceReader(path) as reader:
        assert [e.env for e in reader.examples(0)] == [0, 2, 4]
        assert len(reader.examples(1)) == MAX_EXAMPLES


def test_nothing_is_kept_before_a_commit(path: Path) -> None:
    with TraceWriter(path) as writer, TraceReader(path) as reader:
        writer.situations({1: "a room"})
        writer.visits([visit(0, 1)])
        assert reader.situations() == []
        writer.commit()
        assert [s.visits for s in reader.situations()] == [1]
        writer.visits([visit(1, 1)])
    with TraceReader(path) as reader:
        assert reader.visits(1) == [visit(0, 1)]


def test_cut_removes_what_lies_beyond_an_iteration(path: Path) -> None:
    with TraceWriter(path) as writer:
        for i in range(4):
            writer.situations({i: f"situation {i}"})
            writer.visits([visit(i, s) for s in range(i + 1)])
            writer.calls([replace(CALL, iteration=i, situation_id=i)])
            writer.advice([AdviceRecord(i, 0, i, "model", [])])
            writer.events([EventRecord(i, 0, "planner", "note", str(i))])
            writer.commit()
        writer.visits([visit(1, 9)])
        writer.cut(1, lambda situation_id: f"situation {situation_id}")
        assert [writer.lacks(s) for s in range(4)] == [False, False, True, True]
    with TraceWriter(path) as writer, TraceReader(path) as reader:
        assert [writer.lacks(s) for s in range(4)] == [False, False, True, True]
        assert [s.situation_id for s in reader.situations()] == [0, 1]
        assert [c.iteration for c in reader.calls()] == [0, 1]
        assert [e.message for e in reader.events()] == ["0", "1"]
        assert [len(reader.advice(s)) for s in range(4)] == [1, 1, 0, 0]
        assert [len(reader.visits(s)) for s in (0, 1, 2, 3, 9)] == [2, 1, 0, 0, 0]
        writer.visits([visit(2, 0)])
        writer.commit()
        assert len(reader.visits(0)) == 3


def test_cut_removes_situations_that_have_other_texts_now(path: Path) -> None:
    """A process that was killed had numbered them after what is gone on from."""
    key = "sk-" + "a" * 40
    texts = {0: "a room", 1: f"a key: {key}", 2: "a door", 3: "a box"}
    with TraceWriter(path) as writer:
        writer.situations(texts)
        for s in texts:
            writer.visits([visit(0, s)])
            writer.calls([replace(CALL, iteration=0, situation_id=s)])
            writer.advice([AdviceRecord(0, 0, s, "model", [])])
            writer.examples([ExampleRecord(0, s, 0, f"picture {s}")] * MAX_EXAMPLES)
            writer.events([EventRecord(0, 0, "planner", "note", str(s), s)])
        writer.events([EventRecord(0, 0, "assess", "note", "of none")])
        writer.commit()
        writer.cut(1, {**texts, 2: "a ball", 3: None}.__getitem__)
        assert [writer.lacks(s) for s in texts] == [False, False, True, True]
        assert writer.wants_example(2)
        writer.situations({2: "a ball"})
        writer.commit()
    with TraceReader(path) as reader:
        assert {s.situation_id: s.text for s in reader.situations()} == {
            0: "a room",
            1: reader.situation_of(1).text,
            2: "a ball",
        }
        assert key not in reader.situation_of(1).text
        assert [len(reader.visits(s)) for s in texts] == [1, 1, 0, 0]
        assert [len(reader.calls(s)) for s in texts] == [1, 1, 0, 0]
        assert [len(reader.advice(s)) for s in texts] == [1, 1, 0, 0]
        assert [len(reader.examples(s)) for s in texts] == [3, 3, 0, 0]
        assert [event.message for event in reader.events()] == ["0", "1", "of none"]


WRITES = """
import sys
from pathlib import Path
from tutelage.graphs.records.trace.writer import TraceWriter, VisitRecord, EventRecord
with TraceWriter(Path(sys.argv[1])) as writer:
    for i in range(int(sys.argv[2])):
        writer.situations({s: f"situation {s}" for s in range(i, i + 3)})
        writer.visits(VisitRecord(i, s, 1, 1.0, None, 0, 0) for s in range(20))
        writer.events([EventRecord(i, 0, "learner", "note", "x" * 500)])
        writer.commit()
        print(i, flush=True)
"""


def start_writing(path: Path, iterations: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITES, str(path), str(iterations)]
    return subprocess.Popen(command, cwd=ROOT / ".package", stdout=subprocess.PIPE, text=True)


def test_a_reader_sees_whole_iterations_while_another_process_writes(path: Path) -> None:
    seen = []
    with start_writing(path, 400) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with TraceReader(path) as reader:
            while process.poll() is None:
                visits = {s.visits for s in reader.situations()[:20]} - {0}
                seen.append(len(reader.events()))
                assert len(visits) == 1
    assert process.returncode == 0
    assert seen == sorted(seen)
    assert len({n for n in seen if n < 400}) > 2
    with TraceReader(path) as reader:
        assert len(reader.events()) == 400


def test_a_closed_trace_is_one_plain_file(path: Path) -> None:
    with TraceWriter(path) as writer:
        writer.events([EventRecord(0, 0, "learner", "note", "")])
        writer.commit()
    assert list(path.parent.iterdir()) == [path]
    with closing(sqlite3.connect(path)) as connection:
        # In WAL mode it could not be read from a read-only folder.
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_closed_trace_is_whole_in_its_one_file_while_somebody_reads(path: Path) -> None:
    writer = TraceWriter(path)
    with TraceReader(path) as reader:
        assert reader.events() == []
        writer.events([EventRecord(0, 0, "learner", "note", "")])
        writer.commit()
        writer.close()
        copy = path.with_name("copy.sqlite")
        copy.write_bytes(path.read_bytes())
        assert len(reader.events()) == 1
    with TraceReader(copy) as reader:
        assert len(reader.events()) == 1


def test_a_reader_in_the_middle_of_reading_does_not_hold_up_a_commit(path: Path) -> None:
    with TraceWriter(path) as writer, closing(sqlite3.connect(path)) as reading:
        reading.execute("BEGIN")
        assert reading.execute("SELECT COUNT(*) FROM events").fetchone() == (0,)
        writer.events([EventRecord(0, 0, "learner", "note", "")])
        begun = time.perf_counter()
        writer.commit()
        assert time.perf_counter() - begun < 5
        assert reading.execute("SELECT COUNT(*) FROM events").fetchone() == (0,)
        reading.rollback()
        assert reading.execute("SELECT COUNT(*) FROM events").fetchone() == (1,)


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_writer_leaves_every_committed_iteration(path: Path, seed: int) -> None:
    with start_writing(path, 10**6) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.Random(seed).uniform(0.01, 0.2))
        process.kill()
        committed = max((int(line) for line in process.stdout if line.endswith("\n")), default=0)
    with TraceReader(path) as reader:
        events = reader.events()
        assert [e.iteration for e in events] == list(range(len(events)))
        assert len(events) >= committed + 1
        assert all(len(reader.visits(s)) == len(events) for s in (0, 19))
    with TraceWriter(path) as writer:
        writer.cut(0, lambda situation_id: f"situation {situation_id}")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT COUNT(*) FROM visits").fetchone() == (20,)


def test_files_that_are_no_trace_are_refused_in_one_line(path: Path) -> None:
    with pytest.raises(TraceError) as error:
        TraceReader(path)
    assert "there is no trace here" in one_line(error, path)
    path.write_bytes(b"iteration,env_steps\n" * 100)
    for open_it in (TraceReader, TraceWriter):
        with pytest.raises(TraceError) as error:
            open_it(path)
        assert "not a database" in one_line(error, path)
    with pytest.raises(TraceError) as error:
        TraceWriter(path / "below" / "trace.sqlite")
    one_line(error, path)


def test_an_empty_file_is_no_trace_to_a_reader(path: Path) -> None:
    path.touch()
    with pytest.raises(TraceError) as error:
        TraceReader(path)
    assert "trace version 0" in one_line(error, path)


def test_damage_inside_is_an_error_in_one_line(path: Path) -> None:
    with TraceWriter(path) as writer:
        writer.calls([CALL] * 50)
        writer.commit()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + os.urandom(len(content) - 4096))
    with pytest.raises(TraceError) as error, TraceReader(path) as reader:
        reader.calls()
    one_line(error, path)


DAMAGE = {
    "no JSON": ("messages", "{oops"),
    "deep JSON": ("messages", "[" * 100_000 + "]" * 100_000),
    "JSON that is deeper than what shows it can go": ("answers", "[" * 200 + "]" * 200),
    "no value": ("tools", b""),
    "a number that JSON has not": ("settings", "[NaN]"),
    "a number without end": ("settings", "9" * 5000),
    "half a character": ("answers", '"\\ud800"'),
    "plans that are none": ("plans", '[[["explore"]]]'),
    "a text for a number": ("attempt", "first"),
    "an infinite time": ("latency_s", math.inf),
    "bytes for a text": ("node", b"\xff"),
    "a count that overflows": ("prompt_tokens", 2**63 - 1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_row_is_named_and_the_others_are_read(path: Path, damage: str) -> None:
    column, value = DAMAGE[damage]
    with TraceWriter(path) as writer:
        writer.situations({7: "a room"})
        writer.calls([replace(CALL, situation_id=7)] * 3)
        writer.commit()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE calls SET {column} = ? WHERE id < 3", (value,))
        connection.commit()
    with TraceReader(path) as reader:
        assert [call.id for call in reader.calls()] == [3]
        assert [call.id for call in reader.news(CallRecord, 0, 1)] == [3]
        assert reader.find_calls()[1] in (1, 3)  # conversations are not read for a list
        assert sum(count.prompt_tokens for count in reader.call_counts()) in (812, 3 * 812)
        assert reader.situations()[0].text == "a room"
        with pytest.raises(TraceError, match="call 2 is damaged"):
            reader.call(2)
        lines = reader.passed_over()
    assert len(lines) == 2
    assert all("\n" not in line and f"row {n} of calls" in line for n, line in enumerate(lines, 1))


def test_damaged_advice_hides_no_situation(path: Path) -> None:
    with TraceWriter(path) as writer:
        writer.situations({7: "a room", 8: "a hall"})
        writer.advice([AdviceRecord(0, 0, key, "model", ADVICE.to_json()) for key in (7, 8)])
        writer.visits([visit(0, 7)])
        writer.commit()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE advice SET plans = '[1,' WHERE situation_id = 7")
        connection.commit()
    with TraceReader(path) as reader:
        first, second = reader.situations()
        assert (first.text, first.plans, second.plans) == ("a room", None, ADVICE.to_json())
        assert "situation 1" in "".join(reader.passed_over())


STRANGE_PARTS = {
    "a view for a table": "DROP TABLE visits; CREATE VIEW visits AS WITH RECURSIVE n(i) AS"
    " (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS iteration, i AS situation_id,"
    " i AS visits, 1.0 AS coverage, NULL AS agreement, 0 AS episodes, 0 AS successes FROM n",
    "a trigger": "CREATE TRIGGER evil AFTER INSERT ON calls BEGIN DELETE FROM advice; END",
    "a computed column": "DROP TABLE events; CREATE TABLE events (id INTEGER PRIMARY KEY,"
    " iteration INTEGER, env_steps INTEGER, node TEXT, kind TEXT, situation_id INTEGER,"
    " message TEXT AS (hex(zeroblob(100000000))))",
    "a virtual table": "DROP TABLE examples; CREATE VIRTUAL TABLE examples USING"
    " fts5(id, iteration, situation_id, env, picture, inks, decision)",
    "a missing index": "DROP INDEX calls_listed",
}


@pytest.mark.parametrize("name", STRANGE_PARTS)
@pytest.mark.parametrize("open_it", [TraceReader, TraceWriter])
def test_what_is_no_table_of_a_trace_is_refused_at_once(
    path: Path, name: str, open_it: type[TraceReader | TraceWriter]
) -> None:
    TraceWriter(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(STRANGE_PARTS[name])
    with pytest.raises(TraceDamagedError) as error:
        open_it(path)
    one_line(error, path)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n"


def test_reading_has_a_deadline(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TraceWriter(path).close()
    monkeypatch.setattr(deadline, "READING_S", 0.05)
    with TraceReader(path) as reader:
        with pytest.raises(TraceError, match="took more than"):
            reader._query(ENDLESS)
        assert reader.calls() == []


def test_ctrl_c_ends_a_search(path: Path) -> None:
    TraceWriter(path).close()
    with TraceReader(path) as reader:
        timer = Timer(0.05, signal.raise_signal, [signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            reader._query(ENDLESS)
        timer.join()


@pytest.mark.parametrize(("version", "age"), [(99, "newer"), (1, "older")])
def test_a_trace_of_another_version_is_refused_and_left_alone(
    path: Path, version: int, age: str
) -> None:
    TraceWriter(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    for open_it in (TraceReader, TraceWriter):
        with pytest.raises(TraceError) as error:
            open_it(path)
        assert f"trace version {version} is {age} than" in one_line(error, path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (version,)
    assert len(path.read_bytes()) == len(before)


def test_a_file_whose_structure_is_not_whole_is_known_at_once(path: Path) -> None:
    with TraceWriter(path) as writer:
        writer.situations(dict.fromkeys(range(50), "text " * 500))
        writer.commit()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TraceDamagedError):
        TraceWriter(path)
    assert path.read_bytes() == whole[: len(whole) // 2]
    path.write_bytes(whole)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE visits")
    with pytest.raises(TraceDamagedError, match="it has no table visits"):
        TraceWriter(path)


SECRET = "hunter2-hunter2"


def test_secrets_never_reach_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", SECRET)
    shaped = "sk-proj-abcDEF_0123456789"
    header = {"Authorization": "Bearer abc.def-ghi"}
    with TraceWriter(path) as writer:
        writer.calls(
            [
                replace(
                    CALL,
                    error=f"401: incorrect API key provided: {shaped}.",
                    messages=[{"content": f"my key is {SECRET}", SECRET: 1}],
                    settings={"headers": header},
                    answers=[[f"You said {SECRET}, {SECRET}"]],
                    tools=[{"description": f"key={shaped}"}],
                )
            ]
        )
        writer.events([EventRecord(0, 0, "planner", "refused", f"key {shaped} was refused")])
        writer.situations({1: f"a note says {SECRET}"})
        writer.commit()
        for file in path.parent.iterdir():
            content = file.read_bytes()
            for secret in (SECRET, shaped, "abc.def-ghi"):
                assert secret.encode() not in content
        with TraceReader(path) as reader:
            call = reader.call(1)
            assert call.error == "401: incorrect API key provided: [redacted]."
            assert call.settings == {"headers": {"Authorization": "[redacted]"}}
            assert call.answers == [["You said [redacted], [redacted]"]]


def test_redact_leaves_other_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_API_KEY", "none")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "falsefalse")
    text = "risk-free, none; ask-me; falsefalse; Bearer"
    assert redact(text) == text


@given(before=st.text(), after=st.text(), body=st.text("aA1.-+/*[(\\ ", min_size=8, max_size=20))
def test_redact_removes_known_secrets_of_any_shape(before: str, after: str, body: str) -> None:
    # Ends that are no spaces: a value is taken without the white space around it.
    secret = f"<{body}>"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("A_TOKEN", secret)
        patch.setenv("B_SECRET", secret + "-and-more")
        patch.setenv("C_API_KEY", f"other{secret}\n")
        assert secret not in redact(before + secret + after)
        assert redact(f"({secret}-and-more)") == "([redacted])"
        assert redact(f"(other{secret})") == "([redacted])"
        assert secret not in redact("sk-0123456789abcdef" + secret)


@given(st.from_regex(r"sk-[A-Za-z0-9_-]{16,40}", fullmatch=True), st.text(" ,.'\")\n"))
def test_redact_removes_keys_by_their_shape(key: str, after: str) -> None:
    assert redact(f"key: {key}{after}") == f"key: [redacted]{after}"
    assert redact(f"{{'Authorization': 'Bearer {key}'}} and") == "{'Authorization': '[redacted] and"
