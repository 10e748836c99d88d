"""The fault table: whatever a server does wrong, a run ends well and says what happened.

Each row is a server that ill-treats the questions about some situations and answers the others. So
each shows three things at once: the fault is named, it stops nothing, and what can be learned is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.faults import BEFALLEN, KEY, TABLE, Fault, looking_for_ever, partly
from helpers.openai_server import Body, OpenAIServer, Reply, status
from helpers.tiny_runs import ROLLOUT, TinyRun, make_run
from helpers.told import Told
from tutelage.agents.client.call_record import CallRecord
from tutelage.graphs.runtime.conditions import RunStoppedError

pytestmark = pytest.mark.usefixtures("one_thread")

PROVIDER = "openai:test-model"
QUICK: dict[str, Any] = {
    "provider": PROVIDER,
    "env": "helpers.toy_task:Corridor",
    "steps": 2 * ROLLOUT,
    "weaning__schedule": "constant",
    "teacher__backoff_s": 0.0,
    "teacher__samples": 2,
    "ppo__epochs": 1,
    "student__hidden": 16,
    "evaluation__final_episodes": 1,
}

waiting_or_not = pytest.mark.parametrize("wait", [True, False], ids=["wait", "no-wait"])


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def calls_of(run: TinyRun, befallen: bool) -> list[CallRecord]:
    """The requests about the situations that a fault befalls, or about the others."""
    with run.trace() as trace:
        texts = {s.situation_id: s.text for s in trace.situations()}
        return [c for c in trace.calls() if (BEFALLEN in texts[c.situation_id]) == befallen]


def check(run: TinyRun, fault: Fault) -> None:
    """It ended well, said what happened, learned what could be learned, and kept the key."""
    assert run.summary.status == "finished"
    assert run.summary.student is not None
    assert len(run.rows) == 2
    assert {call.status for call in calls_of(run, befallen=True)} == set(fault.calls)
    assert {call.status for call in calls_of(run, befallen=False)} == {"ok"}
    with run.trace() as trace:
        failed = {e.kind for e in trace.events() if e.situation_id is not None}
        advised = {s.text: s.coverage for s in trace.situations()}
    assert failed == ({fault.given_up} - {None})
    for text, coverage in advised.items():
        assert (coverage or 0) > 0 or (BEFALLEN in text and fault.given_up is not None)
        assert not (coverage and BEFALLEN in text and fault.given_up)
    check_secrets(run)


def check_secrets(run: TinyRun) -> None:
    stored = [path for path in run.path.parent.rglob("*") if path.is_file()]
    assert {run.cache, run.folder.trace, run.folder.config} <= set(stored)
    assert [path for path in stored if KEY.encode() in path.read_bytes()] == []


@waiting_or_not
@pytest.mark.parametrize("row", TABLE)
def test_the_table(row: str, wait: bool, tmp_path: Path) -> None:
    fault = TABLE[row]()
    options = {**QUICK, **{f"teacher__{name}": value for name, value in fault.settings.items()}}
    told = Told()
    with OpenAIServer(partly(fault.behaviour)) as server:
        run = make_run(tmp_path, told, base_url=server.base_url, wait=wait, **options)
        assert len(server.requests) <= 40
    check(run, fault)
    assert len(set(told.lines)) == len(told.lines) <= 1
    assert not any(KEY in line or "\n" in line or "\x1b" in line for line in told.lines)
    assert sum(path.stat().st_size for path in run.path.rglob("*")) < 1 << 22


@waiting_or_not
@pytest.mark.parametrize("code", [401, 403])
def test_a_key_that_is_refused_is_told_once_and_not_tried_on_every_situation(
    code: int, wait: bool, tmp_path: Path
) -> None:
    """In a run that keeps going all the same; how others end is in test_refusals.py."""
    told = Told()
    options = {**QUICK, "teacher__keep_going": True}
    with OpenAIServer(status(code, f"Incorrect API key provided: {KEY}")) as server:
        run = make_run(tmp_path, told, base_url=server.base_url, wait=wait, **options)
        assert 0 < len(server.requests) <= 4
    (line,) = told.lines
    assert line.startswith(f"{PROVIDER}: refused: ")
    assert "OPENAI_API_KEY" in line
    assert KEY not in line
    assert run.summary.status == "finished"
    with run.trace() as trace:
        assert [e.message for e in trace.events() if e.kind == "provider_fault"] == [line]
    check_secrets(run)


@waiting_or_not
def test_a_server_that_wants_an_hour_is_left_alone(wait: bool, tmp_path: Path) -> None:
    told = Told()
    with OpenAIServer(status(429, f"slow down {KEY}", retry_after="3600")) as server:
        run = make_run(tmp_path, told, base_url=server.base_url, wait=wait, **QUICK)
        assert 0 < len(server.requests) <= 4, "one try for each that was under way by then"
    (line,) = told.lines
    assert line.startswith(f"{PROVIDER}: rate_limited: ")
    assert run.summary.status == "finished"
    check_secrets(run)


@waiting_or_not
def test_nobody_at_the_address(nobody: str, wait: bool, tmp_path: Path) -> None:
    told = Told()
    run = make_run(tmp_path, told, base_url=nobody, wait=wait, **QUICK)
    (line,) = told.lines
    assert line.startswith(f"{PROVIDER}: provider_down: ")
    assert run.summary.status == "finished"
    assert {call.status for call in [*calls_of(run, True), *calls_of(run, False)]} == {
        "provider_down"
    }
    check_secrets(run)


@waiting_or_not
@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_to_another_host_ends_the_run(code: int, wait: bool, tmp_path: Path) -> None:
    with OpenAIServer() as other:
        place = other.base_url.replace("127.0.0.1", "localhost") + "/chat/completions"

        def elsewhere(body: Body) -> Reply:  # noqa: ARG001  # a behaviour's
            return Reply(code, headers={"Location": place})

        with OpenAIServer(elsewhere) as server:
            with pytest.raises(RunStoppedError, match=f"redirects to another server, {place}"):
                make_run(tmp_path, base_url=server.base_url, wait=wait, **QUICK)
            assert KEY in server.requests[0].headers["authorization"]
        assert other.requests == []


@waiting_or_not
def test_look_ups_for_ever_have_an_end(wait: bool, tmp_path: Path) -> None:
    options = {**QUICK, "env": "ColoredDoorKey", "teacher__lookups": "objects,inventory"}
    with OpenAIServer(looking_for_ever) as server:
        run = make_run(tmp_path, base_url=server.base_url, wait=wait, **options)
        assert 0 < len(server.requests) <= 12 * run.summary.llm.situations
    assert run.summary.status == "finished"
    with run.trace() as trace:
        assert {e.kind for e in trace.events() if e.situation_id is not None} == {"unusable_answer"}
