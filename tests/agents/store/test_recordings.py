"""Recorded answers: written from a run or a cache, imported, replayed, and written by hand."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.openai_server import OpenAIServer
from helpers.tiny_runs import TinyRun, make_run, tiny_arguments
from helpers.toy_task import OPTIONS, PULL_IT, WALK_TO_EXIT, WALK_TO_LEVER, Corridor
from tutelage.agents.client.call_record import Exchange
from tutelage.agents.providers.replay import Recording
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.agents.store.recordings import (
    RecordedAnswer,
    RecordingError,
    read_recording,
    situation_in,
    write_recording,
)
from tutelage.graphs.analysis.recorded import answers_behind
from tutelage.graphs.config.events import Event, Notice
from tutelage.rl.advice.advice import Advice
from tutelage.rl.tasks.options import Option

TypeIn = Callable[..., subprocess.CompletedProcess[bytes]]
CORRIDOR: dict[str, Any] = {"env": "helpers.toy_task:Corridor", "steps": 6 * 128}
COUNTERS = ("llm_calls", "cache_hits")
"""A replay asks nobody; all other figures of a run are those of the recorded one."""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A run whose teacher was asked over HTTP, every answer waited for."""
    with OpenAIServer() as server:
        return make_run(
            tmp_path_factory.mktemp("asked"),
            provider="openai:test-model",
            base_url=server.base_url,
            wait=True,
            **CORRIDOR,
        )


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a replay must not connect to anything")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def recorded(asked: TinyRun, tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    write_recording(path, answers_behind(asked.path))
    return path


def replay(folder: Path, file: Path, **options: Any) -> tuple[TinyRun, list[str]]:
    """A run from a recording, and what it told."""
    told: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Notice):
            told.append(event.text)

    run = make_run(folder, listen, provider=f"replay:{file}", **{**CORRIDOR, **options})
    return run, told


class TestTheSameRun:
    @pytest.mark.usefixtures("no_network")
    def test_a_replay_gives_the_recorded_run(
        self, asked: TinyRun, recorded: Path, tmp_path: Path
    ) -> None:
        run, told = replay(tmp_path, recorded)
        assert told == []
        assert run.figures(*COUNTERS) == asked.figures(*COUNTERS)
        assert run.folder.student.read_bytes() == asked.folder.student.read_bytes()
        llm = run.summary.llm
        assert (llm.calls, llm.prompt_tokens, llm.cost_usd, llm.failures) == (0, 0, 0.0, 0)
        assert llm.situations == asked.summary.llm.situations
        with run.trace() as trace:
            first = trace.situations()[0]
            assert first.sources == {"replay": 1}
            (call,) = trace.calls(first.situation_id)
            assert (call.status, call.provider) == ("cached", "openai:test-model")
        # A recording of a replay is the recording once more.
        again = tmp_path / "again.jsonl"
        write_recording(again, answers_behind(run.path))
        assert plans_in(again) == plans_in(recorded)

    def test_imported_answers_are_found_and_nobody_is_asked(
        self, asked: TinyRun, recorded: Path, tmp_path: Path, type_in: TypeIn
    ) -> None:
        cache = tmp_path / "fresh" / "plans.sqlite"
        cache.parent.mkdir()
        done = type_in("cache", "import", recorded, "--file", cache)
        assert done.returncode == 0
        taken = len(read_recording(recorded))
        assert f"{taken} answers taken into {cache}, 0 were there".encode() in done.stdout
        done = type_in("cache", "import", recorded, "--file", cache)
        assert f"0 answers taken into {cache}, {taken} were there".encode() in done.stdout
        stored = json.loads(asked.folder.config.read_text())
        with OpenAIServer() as server:
            # At another address nothing would be found: the key covers it.
            url = stored["base_url"]
            run = make_run(
                cache.parent, provider="openai:test-model", base_url=url, wait=True, **CORRIDOR
            )
            assert server.requests == []
        assert (run.summary.llm.calls, run.summary.llm.cache_hits) == (0, taken)
        assert run.figures(*COUNTERS) == asked.figures(*COUNTERS)

    def test_a_whole_cache_is_exported_and_replayed(
        self, asked: TinyRun, tmp_path: Path, type_in: TypeIn
    ) -> None:
        file = tmp_path / "all.jsonl"
        done = type_in("cache", "export", file, "--file", asked.cache)
        assert done.returncode == 0
        assert f"replay:{file}".encode() in b"".join(done.stdout.split(b"\n"))
        run, told = replay(tmp_path, file)
        assert told == []
        assert run.figures(*COUNTERS) == asked.figures(*COUNTERS)
        with closing(PlanCache(asked.cache)) as cache:
            entries = cache.entries()
        back = tmp_path / "back.sqlite"
        assert type_in("cache", "import", file, "--file", back).returncode == 0
        with closing(PlanCache(back)) as cache:
            assert cache.entries() == entries

    def test_hardened_advice_is_replayed_and_not_taken_for_the_models(
        self, asked: TinyRun, tmp_path: Path
    ) -> None:
        folder = tmp_path / "hard"
        folder.mkdir()
        shutil.copy(asked.cache, folder / "plans.sqlite")
        url = json.loads(asked.folder.config.read_text())["base_url"]
        hard = make_run(
            folder,
            provider="openai:test-model",
            base_url=url,
            wait=True,
            teacher__soft=False,
            **CORRIDOR,
        )
        answers = answers_behind(hard.path)
        assert {answer.key for answer in answers} == {None}
        write_recording(tmp_path / "hard.jsonl", answers)
        run, _ = replay(tmp_path, tmp_path / "hard.jsonl")
        assert run.figures(*COUNTERS) == hard.figures(*COUNTERS)


def plans_in(path: Path) -> list[tuple[str, Advice]]:
    return [(answer.situation, answer.advice) for answer in read_recording(path).values()]


def by_hand(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


AT_START = {"situation": Corridor().describe(0), "plans": [{"plan": ["walk_to(lever)", "pull()"]}]}
AT_LEVER = {"situation": Corridor().describe(2), "plans": [{"plan": ["pull()"], "p": 1}]}
OPEN = {"situation": Corridor().describe(1), "plans": [{"plan": [["walk_to", "exit"]], "p": 0.75}]}


class TestByHand:
    @pytest.mark.usefixtures("no_network")
    def test_a_few_lines_teach(self, tmp_path: Path) -> None:
        loose = {**AT_START, "situation": f"\n{AT_START['situation']}  \n\n"}
        file = by_hand(tmp_path / "mine.jsonl", loose, AT_LEVER, OPEN)
        run, told = replay(tmp_path, file, ppo__num_steps=64, steps=8 * 512)
        assert "has no answer for: mission: pull the lever" in " ".join(told)
        assert all("place: at the lever" in line for line in told), told
        with run.trace() as trace:
            plans = {s.situation_id: s.plans for s in trace.situations()}
        assert plans[0] == [{"plan": [["walk_to", "lever"], ["pull", None]], "p": 1.0}]
        assert plans[1] == [{"plan": [["walk_to", "exit"]], "p": 0.75}]
        assert plans[3] is None
        assert run.summary.student is not None
        assert run.rows[-1].train_success is not None
        assert run.rows[-1].train_success > 0.5

    def test_what_is_not_covered_is_said_once_and_learned_without(self, tmp_path: Path) -> None:
        run, told = replay(tmp_path, by_hand(tmp_path / "mine.jsonl", AT_LEVER))
        covered = {0: False, 2: True}
        with run.trace() as trace:
            met = {s.situation_id: s for s in trace.situations()}
            failed = [event.kind for event in trace.events()]
        assert {s: met[s].plans is not None for s in covered} == covered
        gaps = [line for line in told if "has no answer for" in line]
        assert len(gaps) == len(set(gaps)) == len(met) - 1
        assert failed.count("not_recorded") == len(gaps) == run.summary.llm.failures

    def test_the_fallback_stands_in_for_what_is_missing(self, tmp_path: Path) -> None:
        file = by_hand(tmp_path / "mine.jsonl", AT_LEVER)
        run, told = replay(tmp_path, file, teacher__fallback="offline")
        with run.trace() as trace:
            sources = {s.situation_id: dict(s.sources) for s in trace.situations()}
        assert sources[0] == {"fallback:offline": 1}
        assert sources[2] == {"replay": 1}
        assert run.summary.llm.fallbacks == len(told)

    def test_a_plan_that_is_not_on_offer_is_named_with_its_line(self, tmp_path: Path) -> None:
        wrong = {**AT_START, "plans": [{"plan": ["fly(home)"]}]}
        run, told = replay(tmp_path, by_hand(tmp_path / "mine.jsonl", AT_LEVER, wrong))
        assert any(
            f"{tmp_path / 'mine.jsonl'}, line 2: fly(home) is not on offer" in line
            and "allowed: walk_to(lever), pull()" in line
            for line in told
        )
        assert run.summary.status == "finished"

    def test_shares_that_are_left_open_are_equal(self, tmp_path: Path) -> None:
        plans = [{"plan": ["a()"], "p": 0.5}, {"plan": ["b()"]}, {"plan": ["c( the x )"]}]
        path = by_hand(tmp_path / "f.jsonl", {"situation": "s", "plans": plans})
        (answer,) = read_recording(path).values()
        assert answer.advice.probs == (0.5, 0.25, 0.25)
        assert answer.advice.plans[2] == (Option("c", "the x"),)


BAD = {
    "json": ('{"situation": "s", ', "no JSON"),
    "list": ("[1]", "no JSON object"),
    "no situation": ('{"plans": [{"plan": ["a()"]}]}', "situation is no text"),
    "no plans": ('{"situation": "s"}', "plans is no list"),
    "empty plan": ('{"situation": "s", "plans": [{"plan": []}]}', "a plan is not of the form"),
    "step": ('{"situation": "s", "plans": [{"plan": ["a"]}]}', "a step is not of the form"),
    "number": ('{"situation": "s", "plans": [{"plan": [1]}]}', "a step is not of the form"),
    "share": ('{"situation": "s", "plans": [{"plan": ["a()"], "p": 1.5}]}', "shares p"),
    "nan": ('{"situation": "s", "plans": [{"plan": ["a()"], "p": NaN}]}', "no|shares|probab"),
    "text share": ('{"situation": "s", "plans": [{"plan": ["a()"], "p": "1"}]}', "no number"),
    "twice": ('{"situation": "s", "plans": [{"plan": ["a()"]}, {"plan": ["a()"]}]}', "the same"),
    "field": ('{"situation": "s", "plans": [{"plan": ["a()"]}], "hunter": 2}', "'hunter'.*allowed"),
    "format": ('{"situation": "s", "plans": [{"plan": ["a()"]}], "format": 9}', "format '9'"),
    "key": ('{"situation": "s", "plans": [{"plan": ["a()"]}], "key": "../x"}', "64 digits"),
    "calls": ('{"situation": "s", "plans": [{"plan": ["a()"]}], "calls": [1]}', "no requests"),
    "tokens": ('{"situation": "s", "plans": [{"plan": ["a()"]}], "prompt_tokens": -1}', "no count"),
    "deep": ('{"situation": "s", "plans": ' + "[" * 100_000, "nested too deeply"),
    "bytes": ("\udcff", "no UTF-8|no JSON"),
}


class TestBadLines:
    @pytest.mark.parametrize("name", BAD)
    def test_each_is_named(self, name: str, tmp_path: Path) -> None:
        text, says = BAD[name]
        path = tmp_path / "f.jsonl"
        good = json.dumps(AT_LEVER)
        path.write_bytes(f"{good}\n\n{text}\n{good}\n".encode("utf-8", "surrogateescape"))
        with pytest.raises(RecordingError, match=f"^{path}, line 3: .*({says})") as caught:
            read_recording(path)
        assert len(caught.value.problems) == 1
        assert "\n" not in str(caught.value)

    def test_all_of_them_are_named_and_nothing_is_taken(
        self, recorded: Path, tmp_path: Path, type_in: TypeIn
    ) -> None:
        bad = tmp_path / "bad.jsonl"
        lines = recorded.read_text().splitlines()
        bad.write_text("\n".join([lines[0], "nonsense", lines[1], "{}", "[]", "3"]))
        cache = tmp_path / "fresh.sqlite"
        done = type_in("cache", "import", bad, "--file", cache)
        assert (done.returncode, done.stdout) == (2, b"")
        said = done.stderr.decode().splitlines()
        assert [line.split(":")[0] for line in said[:4]] == [
            f"{bad}, line {n}" for n in (2, 4, 5, 6)
        ]
        assert said[4] == f"nothing was taken: 4 problems in {bad}"
        assert not cache.exists()

    def test_a_line_by_hand_is_no_cached_answer(self, tmp_path: Path, type_in: TypeIn) -> None:
        path = by_hand(tmp_path / "mine.jsonl", AT_LEVER)
        done = type_in("cache", "import", path, "--file", tmp_path / "fresh.sqlite")
        assert done.returncode == 2
        assert b"line 1: no key" in done.stderr
        assert b"--provider replay:" in done.stderr

    def test_two_answers_to_one_situation_are_refused(self, tmp_path: Path) -> None:
        other = {**AT_LEVER, "plans": [{"plan": ["wander()"]}]}
        path = by_hand(tmp_path / "f.jsonl", AT_LEVER, OPEN, other)
        with pytest.raises(RecordingError, match="lines 1 and 3 answer the same situation"):
            Recording.read(path)
        assert len(Recording.read(by_hand(path, AT_LEVER, AT_LEVER)).answers) == 1

    @pytest.mark.parametrize("words", ["run --provider replay:PATH", "cache import PATH"])
    def test_a_file_that_cannot_be_read_is_one_line(
        self, words: str, tmp_path: Path, type_in: TypeIn
    ) -> None:
        for path in (tmp_path / "nowhere.jsonl", tmp_path):
            arguments = words.replace("PATH", str(path)).split()
            if arguments[0] == "run":
                arguments += ["--run-dir", str(tmp_path / "new")]
            done = type_in(*arguments)
            assert done.returncode == 2
            assert f"{path} cannot be read".encode() in done.stderr
            assert b"Traceback" not in done.stderr
        assert not (tmp_path / "new").exists()

    def test_nothing_of_a_strangers_file_is_repeated(self, tmp_path: Path, type_in: TypeIn) -> None:
        path = tmp_path / "passwd"
        path.write_text("root:x:0:0:hunter2:/root:/bin/sh\n")
        done = type_in(
            "run", *tiny_arguments(tmp_path), "--provider", f"replay:{path}", "--seed", "1"
        )
        assert done.returncode == 2
        assert b"hunter2" not in done.stderr


texts = st.text(st.characters(codec="utf-8"), max_size=12)
options = st.builds(Option, st.text(min_size=1, max_size=8), st.none() | texts)
plans = st.lists(options, min_size=1, max_size=3).map(tuple)
advices = st.lists(plans, min_size=1, max_size=3, unique=True).map(
    lambda found: Advice(tuple(found), (1.0 / len(found),) * len(found))
)


@given(
    advice=advices,
    situation=st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda s: s.strip()),
    tokens=st.integers(0, 10**6),
    said=texts,
)
def test_what_is_written_is_read(
    advice: Advice, situation: str, tokens: int, said: str, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    message = {"role": "user", "content": said}
    call = Exchange("openai:m", "m", None, [message], [], {"n": 1}, [{"content": said}])
    answer = RecordedAnswer(
        situation.strip(), advice, "E", "openai:m", "m", "2026-01-01", "0" * 64, tokens, 1, (call,)
    )
    write_recording(path, [answer])
    assert len(path.read_text("utf-8").split("\n")) == 2
    if all(option.name.strip() for plan in advice.plans for option in plan):
        assert list(read_recording(path).values()) == [answer]


def test_the_situation_is_found_in_any_message_of_the_user() -> None:
    messages = [
        {"role": "system", "content": "```situation\nnot this\n```"},
        {"role": "user", "content": "Now:\n```situation\nmission: x\ncarrying: y\n```\nGo."},
        {"role": "assistant", "content": "```situation\nnor this\n```"},
        {"role": "user", "content": "That is not on offer."},
    ]
    assert situation_in(messages) == "mission: x\ncarrying: y"
    assert situation_in(messages[3:]) is None


def test_no_secret_is_exported(
    asked: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = answers_behind(asked.path)
    monkeypatch.setenv("MY_TOKEN", "opensesame-0123")
    call = Exchange("p", "m", "for opensesame-0123", [{"content": "opensesame-0123"}], [], {}, [])
    path = tmp_path / "answers.jsonl"
    leaky = RecordedAnswer("opensesame-0123", answers[0].advice, calls=(call,))
    write_recording(path, [*answers, leaky])
    assert "opensesame" not in path.read_text()
    assert path.read_text().count("[redacted]") == 3


def test_the_corridors_options_are_what_the_lines_by_hand_name() -> None:
    assert {WALK_TO_LEVER, PULL_IT, WALK_TO_EXIT} <= set(OPTIONS)
