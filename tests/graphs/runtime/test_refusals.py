"""Whole runs against a provider that refuses for good, or that never says anything of use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.faults import KEY
from helpers.openai_server import (
    Behaviour,
    Body,
    OpenAIServer,
    Reply,
    hang,
    saying_no,
    status,
    talk,
    teach,
)
from helpers.tiny_runs import ROLLOUT, TinyRun, make_run, tiny_config
from helpers.told import Told
from tutelage.graphs.analysis.evaluation import evaluate_run
from tutelage.graphs.config.events import Event, IterationDone
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.shapes import Outcome
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.runtime.conditions import RunStoppedError
from tutelage.graphs.runtime.run import resume
from tutelage.rl.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")

PROVIDER = "openai:test-model"
QUICK: dict[str, Any] = {
    "provider": PROVIDER,
    "env": "helpers.toy_task:Corridor",
    "steps": 3 * ROLLOUT,
    "weaning__schedule": "constant",
    "teacher__backoff_s": 0.0,
    "teacher__samples": 2,
    "ppo__epochs": 1,
    "student__hidden": 16,
    "evaluation__final_episodes": 1,
}
QUOTA = "You exceeded your current quota, please check your plan and billing details."

REFUSALS: dict[str, tuple[Behaviour, str, str, str]] = {
    "401": (status(401, f"bad key {KEY}"), "refused", "the key was refused", "OPENAI_API_KEY"),
    "403": (status(403, "no rights"), "refused", "the key was refused", "OPENAI_API_KEY"),
    "404": (status(404, "no such model"), "not_found", "no such model", "model's name"),
    "402": (status(402, "Insufficient Balance"), "no_credit", "no credit", "billing"),
    "429 for good": (
        saying_no(429, QUOTA, "insufficient_quota"),
        "no_credit",
        "no credit",
        "billing",
    ),
}
"""A server's answer with the failure's name, the cause and the cure in words."""

HANGS = hang()

waiting_or_not = pytest.mark.parametrize("wait", [True, False], ids=["wait", "no-wait"])


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def refused(folder: Path, told: Told, **options: Any) -> str:
    """The line with which a run ends before anything was learned."""
    with pytest.raises(RunStoppedError) as caught:
        make_run(folder, told, **{**QUICK, **options})
    return str(caught.value)


def outcome_of(run: TinyRun) -> Outcome:
    assert run.folder.read_summary() == run.summary
    assert run.summary.outcome is not None
    return run.summary.outcome


@waiting_or_not
@pytest.mark.parametrize("row", REFUSALS)
def test_it_ends_the_run_at_once_in_one_line(row: str, wait: bool, tmp_path: Path) -> None:
    behaviour, name, cause, cure = REFUSALS[row]
    told = Told()
    with OpenAIServer(behaviour) as server:
        line = refused(tmp_path, told, base_url=server.base_url, wait=wait)
        assert 0 < len(server.requests) <= 4
    assert line.startswith(f"{PROVIDER}: ")
    assert all(part in line for part in (cause, cure, "--keep-going", "teacher.fallback"))
    assert line.endswith(f"resume {tmp_path / 'run'} --base-url {server.base_url}")
    assert "\n" not in line
    assert KEY not in line
    assert told.lines == [], "the line that ends the run is all there is to say"
    folder = RunFolder.open(tmp_path / "run")
    assert folder.read_metrics() == []
    summary = folder.read_summary()
    assert summary is not None
    assert summary.status == "interrupted"
    assert summary.outcome is not None
    assert summary.outcome.code == "refused"
    assert summary.outcome.sentence.startswith("Taught by nobody: ")
    assert cause in summary.outcome.sentence
    with TraceReader(folder.trace) as trace:
        events = trace.events()
    assert {e.kind for e in events if e.situation_id is not None} == {name}
    (fault,) = [e.message for e in events if e.kind == "provider_fault"]
    assert cause in fault
    assert "goes on" not in fault


def test_a_resume_comes_to_the_numbers_of_the_unbroken_run(tmp_path: Path) -> None:
    key_is_good = False

    def behaviour(body: Body) -> Reply:
        return (teach() if key_is_good else status(401, "bad key"))(body)

    with OpenAIServer(behaviour) as server:
        refused(tmp_path / "broken", Told(), base_url=server.base_url, wait=True)
        key_is_good = True
        summary = resume(tmp_path / "broken" / "run", base_urls=[server.base_url])
        made = len(server.requests)
        whole = make_run(tmp_path / "whole", base_url=server.base_url, wait=True, **QUICK)
    folder = RunFolder.open(tmp_path / "broken" / "run")
    broken = TinyRun(folder, tmp_path / "broken" / "plans.sqlite", summary)
    assert broken.figures("llm_calls") == whole.figures("llm_calls")
    assert broken.folder.student.read_bytes() == whole.folder.student.read_bytes()
    assert summary.student == whole.summary.student
    assert outcome_of(broken) == outcome_of(whole)
    assert summary.llm.calls == made > whole.summary.llm.calls, "those that were refused count"
    with broken.trace() as trace:
        assert {call.status for call in trace.calls()} == {"ok"}


class TestGoesOn:
    @waiting_or_not
    def test_where_it_is_to_keep_going(self, wait: bool, tmp_path: Path) -> None:
        told = Told()
        with OpenAIServer(status(401)) as server:
            options = {**QUICK, "base_url": server.base_url, "teacher__keep_going": True}
            run = make_run(tmp_path, told, wait=wait, **options)
        (line,) = told.lines
        assert "check OPENAI_API_KEY; the run goes on" in line
        found = outcome_of(run)
        assert found.code == "no_answer"
        assert found.sentence == (
            f"Taught by nobody: the key was refused; {PROVIDER} answered 0 of "
            f"{run.summary.llm.situations} questions."
        )

    def test_where_somebody_stands_in(self, tmp_path: Path) -> None:
        with OpenAIServer(status(401)) as server:
            options = {**QUICK, "base_url": server.base_url, "teacher__fallback": "offline"}
            run = make_run(tmp_path, wait=True, **options)
        found = outcome_of(run)
        assert found.code == "stand_ins"
        assert f"by offline in the place of {PROVIDER} (the key was refused)" in found.sentence

    def test_where_nobody_who_stands_in_has_an_answer_either(self, tmp_path: Path) -> None:
        with OpenAIServer(status(401)) as server:
            options = {**QUICK, "base_url": server.base_url, "teacher__fallback": "cached"}
            run = make_run(tmp_path, wait=True, **options)
        assert outcome_of(run).code == "no_answer"

    @waiting_or_not
    def test_where_it_has_answered_before(self, wait: bool, tmp_path: Path) -> None:
        """One good answer, though it is the last to come, is something to go on with."""

        def behaviour(body: Body) -> Reply:
            if "place: at the lever" in body["messages"][-1]["content"]:
                return status(401)(body)
            return Reply(body=teach()(body).body, delay_s=0.3)

        told = Told()
        with OpenAIServer(behaviour) as server:
            run = make_run(tmp_path, told, base_url=server.base_url, wait=wait, **QUICK)
        (line,) = told.lines
        assert "the run goes on" in line
        assert outcome_of(run).code == "taught_to_the_end"

    def test_where_the_key_is_taken_back_later_on(self, tmp_path: Path) -> None:
        iterations = 0

        def behaviour(body: Body) -> Reply:
            return (status(401) if iterations else teach())(body)

        def watch(event: Event) -> None:
            nonlocal iterations
            iterations += isinstance(event, IterationDone)

        with OpenAIServer(behaviour) as server:
            options = {**QUICK, "env": "ColoredDoorKey", "steps": 6 * ROLLOUT}
            run = make_run(tmp_path, watch, base_url=server.base_url, wait=True, **options)
        assert run.summary.llm.failures > 0
        assert outcome_of(run).code == "taught_to_the_end"


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        (status(429), "the server was asked too often"),
        (status(500), "the server could not be reached, or failed"),
        (HANGS, "the server gave no answer in time"),
        (talk("no idea"), "no answer held a plan that can be used"),
    ],
    ids=["429", "500", "hang", "talk"],
)
def test_what_may_pass_ends_no_run_but_is_told_at_its_end(
    behaviour: Behaviour, cause: str, tmp_path: Path
) -> None:
    timeout_s = 0.2 if behaviour is HANGS else 30.0
    options = {**QUICK, "teacher__timeout_s": timeout_s, "teacher__max_tries": 1}
    with OpenAIServer(behaviour) as server:
        run = make_run(tmp_path, base_url=server.base_url, **options)
    assert run.summary.status == "finished"
    found = outcome_of(run)
    assert found.code == "no_answer"
    assert found.sentence.startswith(f"Taught by nobody: {cause}; {PROVIDER} answered 0 of ")


@pytest.mark.parametrize("alone", [{"graph": "student_only"}, {"weaning__schedule": "off"}])
def test_nobody_is_missed_where_no_teacher_is_asked(alone: dict[str, Any], tmp_path: Path) -> None:
    run = make_run(tmp_path, env=QUICK["env"], **alone)
    assert outcome_of(run).code == "no_teacher"


def test_a_teacher_that_acts_itself_ends_its_run_too(tmp_path: Path) -> None:
    about_a_student = ("steps", "weaning__schedule", "ppo__epochs", "student__hidden")
    left_alone = {**dict.fromkeys((*about_a_student, "num_envs", "ppo__num_steps"))}
    with OpenAIServer(status(401)) as server:
        options = {**left_alone, "graph": "teacher_only", "base_url": server.base_url}
        assert "the key was refused" in refused(tmp_path, Told(), **options)


def test_nor_is_a_teacher_tested_that_refuses(tmp_path: Path) -> None:
    with OpenAIServer() as server:
        run = make_run(tmp_path, base_url=server.base_url, wait=True, **QUICK)
    config = tiny_config(tmp_path, **QUICK)
    assert config.cache is not None
    config.cache.unlink()
    with OpenAIServer(status(403)) as server:
        stored = {**run.folder.read_config(), "base_url": server.base_url}
        run.folder.write_config(stored)
        with pytest.raises(UserError, match=r"the key was refused .*; the key is wrong or lacks"):
            evaluate_run(run.path, 2, teacher=True, base_urls=[server.base_url])
