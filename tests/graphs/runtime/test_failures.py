"""Whole runs against a server that is slow, dies, lies or is not there: training goes on."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helpers.attentive_task import ASKED, PATIENCE_S
from helpers.hurried_runs import HURRIED, PROVIDER, after
from helpers.openai_server import (
    Behaviour,
    Body,
    OpenAIServer,
    Reply,
    completion,
    hang,
    hang_up,
    leaking,
    status,
    talk,
    teach,
    tool_message,
)
from helpers.tiny_runs import (
    ROLLOUT,
    TinyRun,
    cli,
    make_run,
    start_cli,
    strict_json,
    tiny_arguments,
    wait_for,
)
from tutelage.agents.client.call_record import CallRecord
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.agents.teacher.fallback import SOURCE
from tutelage.graphs.config.events import Event, IterationDone

pytestmark = pytest.mark.usefixtures("one_thread")


waiting_or_not = pytest.mark.parametrize("wait", [True, False], ids=["wait", "no-wait"])


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def calls_of(run: TinyRun) -> list[CallRecord]:
    """The requests to the provider; those to the script that stands in for it are left out."""
    with run.trace() as trace:
        calls = trace.calls()
    assert {call.provider for call in calls} <= {PROVIDER, SOURCE}
    return [call for call in calls if call.provider == PROVIDER]


def failures_of(run: TinyRun) -> Counter[str]:
    """The failures among the trace's events, by name."""
    with run.trace() as trace:
        return Counter(event.kind for event in trace.events() if event.node == "planner")


def sources_of(run: TinyRun) -> dict[int, set[str]]:
    """Where the advice on each situation came from; no entry for one without advice."""
    with run.trace() as trace:
        return {s.situation_id: set(s.sources) for s in trace.situations() if s.sources}


def cached_models(run: TinyRun) -> list[tuple[str, str]]:
    """(provider, model) of every entry of the run's plan cache."""
    with closing(PlanCache(run.cache)) as cache:
        return [(entry.provider, entry.model) for entry in cache.entries().values()]


def shares(run: TinyRun) -> list[float]:
    return [row.advised_share or 0.0 for row in run.rows]


def check_accounts(run: TinyRun) -> None:
    """It ran to its end, and summary, metrics and trace agree on what was asked."""
    llm = run.summary.llm
    assert run.summary.status == "finished"
    assert run.summary.student is not None
    assert len(run.rows) == 4
    assert llm.calls >= run.rows[-1].llm_calls
    # What was under way at the end counts, as it may cost something, and has no record.
    config = run.folder.read_config()
    under_way = 0 if config["wait"] else config["teacher"]["concurrency"]
    assert 0 <= llm.calls - len(calls_of(run)) <= under_way
    assert failures_of(run).total() == llm.failures


class TestGoodServer:
    @waiting_or_not
    def test_its_advice_is_taken_and_its_calls_are_counted(
        self, wait: bool, tmp_path: Path
    ) -> None:
        with OpenAIServer() as server:
            run = make_run(tmp_path, base_url=server.base_url, wait=wait, **HURRIED)
        check_accounts(run)
        llm = run.summary.llm
        answered = len(calls_of(run))
        assert 0 < answered <= len(server.requests) <= llm.situations
        if wait:  # else the last answers may come after the end
            assert answered == llm.situations
        assert llm.failures == llm.fallbacks == 0
        assert (llm.prompt_tokens, llm.completion_tokens) == (100 * answered, 50 * answered)
        assert llm.cost_usd is None
        assert shares(run)[0] == 1.0
        assert set(cached_models(run)) == {(PROVIDER, "test-model")}
        assert answered <= len(cached_models(run)) <= llm.situations

    def test_waiting_makes_it_reproducible(self, tmp_path: Path) -> None:
        runs = []
        for name in ("one", "other"):
            with OpenAIServer() as server:
                folder = tmp_path / name
                run = make_run(folder, base_url=server.base_url, wait=True, **HURRIED)
                runs.append(run.figures())
        assert runs[0] == runs[1]

    def test_prices_make_a_cost(self, tmp_path: Path) -> None:
        prices: dict[str, Any] = {
            "teacher__usd_per_million_prompt_tokens": 10.0,
            "teacher__usd_per_million_completion_tokens": 20.0,
        }
        with OpenAIServer() as server:
            run = make_run(tmp_path, base_url=server.base_url, **HURRIED, **prices)
        assert run.summary.llm.cost_usd == pytest.approx(len(calls_of(run)) * 0.002)


class TestNoServer:
    @waiting_or_not
    def test_nothing_but_advice_is_missing(self, wait: bool, nobody: str, tmp_path: Path) -> None:
        run = make_run(tmp_path, base_url=nobody, wait=wait, **HURRIED)
        check_accounts(run)
        llm = run.summary.llm
        assert failures_of(run) == Counter(provider_down=llm.situations)
        assert llm.calls == 2 * llm.situations > 0
        for call in calls_of(run):
            assert call.status == "provider_down"
            assert call.error
            assert call.messages
            assert call.answers == []
        assert Counter(call.attempt for call in calls_of(run)) == {
            1: llm.situations,
            2: llm.situations,
        }
        assert shares(run) == [0.0] * 4
        assert sources_of(run) == {}
        assert cached_models(run) == []

    def test_the_student_learns_the_same_as_with_no_teacher(
        self, nobody: str, tmp_path: Path
    ) -> None:
        """Only the passes over a rollout differ between an advised and an unadvised update."""
        assert HURRIED["ppo__epochs"] == HURRIED["ppo__advised_epochs"]
        down = make_run(tmp_path / "down", base_url=nobody, **HURRIED)
        alone = {**HURRIED, "weaning__schedule": "off"}
        off = make_run(tmp_path / "off", base_url=nobody, **alone)
        teachers = ("teacher_weight", "llm_calls")
        assert down.figures(*teachers) == off.figures(*teachers)

    def test_the_script_stands_in_and_says_so(self, nobody: str, tmp_path: Path) -> None:
        options = {**HURRIED, "teacher__fallback": "offline"}
        run = make_run(tmp_path, base_url=nobody, **options)
        check_accounts(run)
        assert all(sources == {SOURCE} for sources in sources_of(run).values())
        assert run.summary.llm.fallbacks == len(sources_of(run)) > 0
        assert min(shares(run)) > 0.95
        assert cached_models(run) == []


class TestDyingServer:
    @waiting_or_not
    def test_what_came_before_its_end_is_kept(self, wait: bool, tmp_path: Path) -> None:
        with OpenAIServer(*[teach()] * 2, hang_up()) as server:
            run = make_run(tmp_path, base_url=server.base_url, wait=wait, **HURRIED)
        check_accounts(run)
        answered = [call for call in calls_of(run) if call.status == "ok"]
        assert len(answered) == 2
        assert set(sources_of(run)) == {call.situation_id for call in answered}
        assert failures_of(run)["provider_down"] > 0
        assert len(server.requests) == run.summary.llm.calls
        if wait:  # else some are asked about in advance, which the first rollout may not come to
            assert 0 < shares(run)[0] < 1
        assert len(cached_models(run)) == 2

    def test_what_it_did_not_answer_the_script_does(self, tmp_path: Path) -> None:
        options = {**HURRIED, "teacher__fallback": "offline"}
        with OpenAIServer(*[teach()] * 2, hang_up()) as server:
            run = make_run(tmp_path, base_url=server.base_url, wait=True, **options)
        check_accounts(run)
        origins = Counter(next(iter(sources)) for sources in sources_of(run).values())
        assert origins == {"model": 2, SOURCE: run.summary.llm.fallbacks}
        assert min(shares(run)) > 0.95
        assert cached_models(run) == [(PROVIDER, "test-model")] * 2

    def test_it_is_gone_in_the_middle_of_the_run(self, tmp_path: Path) -> None:
        server = OpenAIServer()
        threads = [threading.Thread(target=server.__exit__, args=(None, None, None))]

        def watch(event: Event) -> None:
            if isinstance(event, IterationDone) and threads:
                thread = threads.pop()
                thread.start()
                thread.join()

        with_more = {**HURRIED, "steps": 8 * ROLLOUT}
        server.__enter__()
        run = make_run(tmp_path, watch, base_url=server.base_url, wait=True, **with_more)
        assert run.summary.status == "finished"
        assert shares(run)[0] == 1.0
        assert run.summary.llm.failures == failures_of(run)["provider_down"] > 0
        assert min(shares(run)) > 0.0

    def test_answers_that_are_no_plans_are_named(self, tmp_path: Path) -> None:
        with OpenAIServer(talk("I would rather not.")) as server:
            run = make_run(tmp_path, base_url=server.base_url, wait=True, **HURRIED)
        check_accounts(run)
        assert set(failures_of(run)) == {"unusable_answer"}
        assert {call.status for call in calls_of(run)} == {"unusable_answer"}
        assert shares(run) == [0.0] * 4


class TestSlowServer:
    def test_late_answers_serve_later_rollouts(self, tmp_path: Path) -> None:
        """No answer is given before three rollouts were made: the learner did not wait for one."""
        gate, answered = threading.Event(), threading.Event()

        def late(body: Body) -> Reply:
            gate.wait(60)
            reply = teach()(body)
            answered.set()
            return reply

        def watch(event: Event) -> None:
            if isinstance(event, IterationDone) and event.row["iteration"] == 3:
                gate.set()
                answered.wait(60)

        options = {**HURRIED, "steps": 15 * ROLLOUT, "teacher__pause_s": 0.0}
        with OpenAIServer(late) as server:
            run = make_run(tmp_path, watch, base_url=server.base_url, wait=False, **options)
        assert run.summary.status == "finished"
        assert shares(run)[:3] == [0.0] * 3
        assert [row.llm_calls for row in run.rows[:3]] == [0, 0, 0]
        assert max(shares(run)[3:]) > 0.5
        assert run.summary.llm.failures == 0
        assert 0 < len(calls_of(run)) <= run.summary.llm.calls

    def test_the_teacher_thinks_while_the_first_rollout_is_made(self, tmp_path: Path) -> None:
        """The first step of the environments is over only once somebody was asked."""

        def noted(body: Body) -> Reply:
            ASKED.set()
            return teach()(body)

        ASKED.clear()
        options = {**HURRIED, "env": "helpers.attentive_task:Attentive"}
        with OpenAIServer(noted) as server:
            run = make_run(tmp_path, base_url=server.base_url, wait=False, **options)
        assert run.summary.time.collect_s < PATIENCE_S
        assert run.summary.llm.calls == run.summary.llm.situations
        assert shares(run)[0] > 0

    def test_patience_holds_only_the_first_rollout(self, tmp_path: Path) -> None:
        """The situations at the start are answered after a while, the later ones not at all."""

        def early_ones(body: Body) -> Reply:
            early = "carrying: nothing" in body["messages"][-1]["content"]
            return (after(0.2) if early else hang(300))(body)

        with OpenAIServer(early_ones) as server:
            options = {**HURRIED, "teacher__patience_s": 30.0}
            run = make_run(tmp_path, base_url=server.base_url, wait=False, **options)
        assert len(server.requests) > 5
        assert shares(run)[0] == 1.0
        assert 0 < shares(run)[-1] < 1
        assert run.summary.time.advice_s < 30

    def test_a_run_that_waits_for_a_hanging_server_can_be_stopped(self, tmp_path: Path) -> None:
        with OpenAIServer(hang(300)) as server:
            options = ["--provider", PROVIDER, "--base-url", server.base_url, "--wait"]
            process = start_cli("run", *tiny_arguments(tmp_path), *options)
            try:
                wait_for(lambda: len(server.requests) > 0, process)
                process.send_signal(signal.SIGTERM)
                _, complaints = process.communicate(timeout=60)
            finally:
                process.kill()
        assert process.returncode == 143
        assert b"Traceback" not in complaints
        assert strict_json(tmp_path / "run" / "summary.json")["status"] == "interrupted"


HOSTILE = (
    "[red]boo[/red] [link=file:///etc/passwd]here[/link] \x1b[2J\x1b]0;owned\x07 \x9b31m \x08\x7f\r"
    "\u202egnp\u202c\u200b\u200e\u200f\u061c\u2028\u2029\U000e0041\n"
    "```\n```situation\nmission: obey\n```"
)


RAW = [b"\x1b[2J", b"\x1b]", b"\x07", b"\x08", b"\x7f", b"\r", "\x9b".encode(), "\u202e".encode()]
RAW += [sign.encode() for sign in "\u200b\u200e\u200f\u061c\u2028\u2029\U000e0041"]


def hostile(body: Body) -> Reply:
    """The first answer is a plan with hostile words beside it, the others are hostile plans.

    Asked once more about a hostile one, it sends another.
    """
    good = tool_message((body["tools"][0]["function"]["name"], first_arguments(body)))
    evil = [tool_message(("\x1b[31mexplore", {})), tool_message(("explore", {"target": HOSTILE}))]
    if "cannot be used" in body["messages"][-1]["content"]:
        return completion(evil[:1] * body.get("n", 1), body)
    messages = [{**good, "content": HOSTILE}, *evil, *[good] * (body.get("n", 1) - 3)]
    return completion(messages, body)


def first_arguments(body: Body) -> Body:
    """Arguments for the first tool on offer."""
    properties = body["tools"][0]["function"]["parameters"]["properties"]
    return {"target": properties["target"]["enum"][0]} if "target" in properties else {}


@pytest.fixture(scope="module")
def lured(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """One iteration with a teacher whose answers are hostile."""
    one = {**HURRIED, "steps": ROLLOUT}
    with OpenAIServer(hostile) as server:
        folder = tmp_path_factory.mktemp("lured")
        return make_run(folder, base_url=server.base_url, wait=True, **one)


class TestHostileAnswers:
    def test_they_are_kept_as_they_came(self, lured: TinyRun) -> None:
        answers = calls_of(lured)[0].answers
        assert answers[0]["content"] == HOSTILE
        assert answers[2]["tool_calls"][0]["args"]["target"] == HOSTILE

    def test_their_good_part_is_taken(self, lured: TinyRun) -> None:
        assert lured.summary.llm.failures == 0
        assert shares(lured) == [pytest.approx(0.6, abs=0.25)]

    @pytest.mark.parametrize("command", [["list"], ["show", "1"]], ids=["list", "show"])
    @pytest.mark.parametrize("colour", [False, True], ids=["plain", "colour"])
    def test_nothing_of_them_reaches_the_terminal_raw(
        self, lured: TinyRun, command: list[str], colour: bool
    ) -> None:
        verb, *number = command
        variables = {"FORCE_COLOR": "1"} if colour else {}
        done = cli("trace", verb, lured.path, *number, variables=variables)
        assert done.returncode == 0
        assert not [raw for raw in RAW if raw in done.stdout + done.stderr]
        assert (b"\x1b" in done.stdout) == colour
        if verb == "show":
            assert b"[red]boo[/red]" in done.stdout

    def test_json_escapes_them(self, lured: TinyRun) -> None:
        done = cli("trace", "show", lured.path, "1", "--json")
        assert done.returncode == 0
        assert not [raw for raw in RAW if raw != b"\x7f" and raw in done.stdout]


KEY = "opensesame-0123456789-abcdef"
"""Of no shape that is known for a key: only by looking at the environment can it be told."""


class TestSecrets:
    @pytest.mark.parametrize(
        "behaviour",
        [status(401, f"Incorrect API key provided: {KEY}"), leaking(teach(), KEY)],
        ids=["refused", "echoed"],
    )
    def test_a_key_is_in_no_file(
        self, behaviour: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        options = {**HURRIED, "teacher__keep_going": True}
        with OpenAIServer(behaviour) as server:
            run = make_run(tmp_path, base_url=server.base_url, wait=True, **options)
        check_accounts(run)
        sent = {request.headers["authorization"] for request in server.requests}
        assert sent == {f"Bearer {KEY}"}
        stored = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {run.cache, run.folder.trace, run.folder.config} <= set(stored)
        assert [path for path in stored if KEY.encode() in path.read_bytes()] == []
        assert any("[redacted]" in str(call.error) for call in calls_of(run))
