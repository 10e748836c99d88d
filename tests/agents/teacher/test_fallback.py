"""Who stands in for a teacher that fails: second models, cached advice, the script; in that order
or any other, with every step in the trace."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.openai_server import Behaviour, OpenAIServer, hang, plans, rejects, status, teach
from helpers.planners import LIBRARY, TASK, run_once, settings
from helpers.tiny_runs import ROLLOUT, TinyRun, make_run
from tutelage.agents.client.call_record import NOBODY, STOOD_IN
from tutelage.agents.common.files import RunFolderError
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.providers.make import ProviderError, make_chat_model
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.agents.teacher.fallback import make_models
from tutelage.agents.teacher.teacher import Teacher
from tutelage.graphs.config.config import ConfigError, make_config
from tutelage.graphs.runtime.trust import check_address
from tutelage.rl.tasks.options import Option

EXPLORE = plans([("explore", {})])
KEY_FIRST = plans([("pick_up", {"target": "red key"})])
IMPATIENT: dict[str, Any] = {"max_tries": 1, "backoff_s": 0.0, "samples": 1}


def teacher(
    url: str, fallback: str, cache: PlanCache | None = None, model: str = "first", **values: Any
) -> Teacher:
    chosen = settings(**{**IMPATIENT, "fallback": fallback, **values})
    provider = make_chat_model(f"openai:{model}", url, chosen)
    return Teacher(TASK, LIBRARY, provider, chosen, cache, models=make_models(chosen, TASK))


def settled(asking: Teacher, situations: list[int], iteration: int = 1) -> dict[int, Any]:
    """What stands in for a teacher that is asked in vain; the last answer about each situation."""
    asking.submit(situations, iteration)
    asking.harvest(wait_for_all=True)
    answers = asking.settle(situations, iteration)
    while asking.pending_fallbacks:
        answers += asking.settle([], iteration, wait_for_all=True)
    return {answer.situation_id: answer for answer in answers}


def path(asking: Teacher, situation_id: int = 1) -> list[str]:
    """Who was tried for a situation and with which result, as the event tells it."""
    (event,) = [e for e in asking.take_events() if e.situation_id == situation_id]
    assert event.kind in (STOOD_IN, NOBODY)
    prefix, _, steps = event.message.partition(": ")
    assert prefix == f"situation {situation_id}"
    return steps.split(" -> ")


class TestSecondModel:
    def test_it_answers_under_its_own_name_and_is_counted_but_not_stored(
        self, cache: PlanCache
    ) -> None:
        with OpenAIServer(status(500)) as first, OpenAIServer(EXPLORE) as second:
            asking = teacher(first.base_url, f"openai:b@{second.base_url},offline", cache)
            answer = settled(asking, [1])[1]
            assert second.requests[0].body["model"] == "b"
        assert answer.source == "fallback:openai:b"
        assert answer.advice.plans == ((Option("explore"),),)
        assert path(asking) == ["openai:first: provider_down", "openai:b: answered"]
        assert cache.entries() == {}
        counted = asking.counters
        assert (counted.calls, counted.fallbacks, counted.prompt_tokens) == (2, 1, 100)
        assert counted.failures == {"provider_down": 1}

    def test_each_step_is_reported_with_its_cause(self, nobody: str) -> None:
        with OpenAIServer(status(401)) as first, OpenAIServer(status(404)) as third:
            chain = f"openai:b@{nobody}, openai:c@{third.base_url}, cached, offline"
            asking = teacher(first.base_url, chain)
            answer = settled(asking, [1])[1]
        assert answer.source == "fallback:offline"
        assert path(asking) == [
            "openai:first: refused",
            "openai:b: provider_down",
            "openai:c: not_found",
            "cached: nothing stored",
            "offline: answered",
        ]

    def test_nobody_is_left_and_the_situation_is_paused(self) -> None:
        with OpenAIServer(status(500)) as first, OpenAIServer(plans([("fly", {})])) as second:
            asking = teacher(first.base_url, f"openai:b@{second.base_url}")
            assert [a.failure for a in settled(asking, [1]).values()] == ["unusable_answer"]
            assert path(asking)[-1] == "openai:b: unusable_answer"
            made = len(second.requests)
            assert settled(asking, [1], iteration=10) == {}
            assert len(second.requests) == made
            assert settled(asking, [1], iteration=11) != {}

    def test_a_dead_one_is_tried_with_a_few_situations_and_then_paused(self) -> None:
        with OpenAIServer(status(500)) as first, OpenAIServer(status(500)) as second:
            chain = f"openai:b@{second.base_url},offline"
            asking = teacher(first.base_url, chain, concurrency=2)
            answers = settled(asking, list(range(20)))
            assert {a.source for a in answers.values()} == {"fallback:offline"}
            assert (len(first.requests), len(second.requests)) == (2, 2)
            settled(asking, list(range(20, 40)), iteration=10)
            assert (len(first.requests), len(second.requests)) == (2, 2), "both rest"
            settled(asking, list(range(40, 60)), iteration=11)
            assert (len(first.requests), len(second.requests)) == (4, 4)

    def test_a_teacher_that_is_back_goes_first(self) -> None:
        with (
            OpenAIServer(status(500), teach()) as first,
            OpenAIServer(EXPLORE) as second,
        ):
            asking = teacher(first.base_url, f"openai:b@{second.base_url}")
            assert settled(asking, [1])[1].source == "fallback:openai:b"
            assert run_once(asking, [1], 11)[1].source == "model"

    def test_a_hanging_one_holds_up_nobody(self) -> None:
        with OpenAIServer(status(500)) as first, OpenAIServer(hang(60)) as second:
            asking = teacher(first.base_url, f"openai:b@{second.base_url}", timeout_s=60)
            run_once(asking, [1])
            assert asking.settle([1], 1) == []
            assert asking.settle([], 1, wait_for_all=True, timeout_s=0.05) == []
            assert asking.pending_fallbacks == (1,)
            assert asking.close() == []

    def test_one_budget_serves_both(self) -> None:
        with OpenAIServer(status(500)) as first, OpenAIServer(EXPLORE) as second:
            chain = f"openai:b@{second.base_url},offline"
            asking = teacher(first.base_url, chain, concurrency=1, budget_calls=3)
            answers = settled(asking, [1, 2, 3, 4])
            assert len(first.requests) + len(second.requests) == 3
        sources = [answer.source for answer in answers.values()]
        assert sources == ["fallback:openai:b"] * 2 + ["fallback:offline"] * 2

    def test_the_pauses_go_on_after_a_resume(self) -> None:
        with OpenAIServer(status(500)) as first, OpenAIServer(status(500)) as second:
            chain = f"openai:b@{second.base_url}"
            before, after = teacher(first.base_url, chain), teacher(first.base_url, chain)
            settled(before, [1])
            after.restore(json.loads(json.dumps(before.snapshot())))
            assert settled(after, [1, 2], iteration=10) == {}
            assert len(second.requests) == 1
        told = after.snapshot()
        for damage in (
            {"counters": 5},
            {"scheduler": {**told["scheduler"], "back_offs": 5}},
            {"fallbacks": {"back_offs": {}, "models": []}},
        ):
            with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
                after.restore({**teacher(first.base_url, chain).snapshot(), **damage})
            assert after.snapshot() == told
        assert path(after, 2) == ["openai:first: paused", "openai:b: paused"]
        assert after.counters.failures == {"provider_down": 1}


class TestCached:
    def test_the_newest_word_of_another_model_on_the_same_situation(self, cache: PlanCache) -> None:
        with OpenAIServer(EXPLORE) as server:
            run_once(teacher(server.base_url, "", cache, model="old"), [1])
        ((key, entry),) = cache.entries().items()
        cache.put_many({key: replace(entry, date="2020-02-02T02:02:02+00:00")})
        with OpenAIServer(KEY_FIRST) as server:
            run_once(teacher(server.base_url, "", cache, model="sage"), [1])
        stored = cache.entries()
        with OpenAIServer(status(500)) as server:
            asking = teacher(server.base_url, "cached,offline", cache)
            answers = settled(asking, [1, 2])
        assert answers[1].source == "fallback:cached:openai:sage"
        assert answers[1].advice.plans == ((Option("pick_up", "red key"),),)
        assert [call.status for call in answers[1].calls] == ["cached"]
        assert answers[2].source == "fallback:offline"
        assert cache.entries() == stored
        assert asking.counters.calls == 1 + 1, "of the teacher, one about each situation"

    @pytest.mark.parametrize("script", ["offline", "adversarial", "faulty:0.5"])
    def test_a_script_is_no_model(self, script: str, cache: PlanCache) -> None:
        chosen = settings(**IMPATIENT)
        run_once(
            Teacher(TASK, LIBRARY, make_chat_model(script, None, chosen, TASK), chosen, cache), [1]
        )
        assert len(cache.entries()) == 1
        with OpenAIServer(status(500)) as server:
            asking = teacher(server.base_url, "cached", cache)
            assert settled(asking, [1]) == {}
        assert path(asking) == ["openai:first: provider_down", "cached: nothing stored"]


OPTIONS: dict[str, Any] = {
    "provider": "openai:first",
    "env": "helpers.toy_task:Corridor",
    "steps": 2 * ROLLOUT,
    "weaning__schedule": "constant",
    "teacher__max_tries": 2,
    "teacher__backoff_s": 0.02,
    "evaluation__final_episodes": 1,
}


class TestRuns:
    def run(self, folder: Path, url: str, chain: str, wait: bool, **more: Any) -> TinyRun:
        options = {**OPTIONS, "teacher__fallback": chain, **more}
        return make_run(folder, base_url=url, wait=wait, **options)

    @pytest.mark.parametrize("wait", [True, False], ids=["wait", "no-wait"])
    def test_the_trace_tells_who_taught_and_why(
        self, wait: bool, nobody: str, tmp_path: Path
    ) -> None:
        with OpenAIServer() as second:
            run = self.run(tmp_path, nobody, f"openai:b@{second.base_url},offline", wait)
        assert run.summary.status == "finished"
        with run.trace() as trace:
            found = [e for e in trace.events() if e.kind == STOOD_IN]
            sources = {name for s in trace.situations() for name in s.sources}
            calls = {(c.node, c.provider) for c in trace.calls()}
        assert {e.message.partition(": ")[2] for e in found} == {
            "openai:first: provider_down -> openai:b: answered"
        }
        assert all(e.node == "fallback" for e in found)
        assert sources == {"fallback:openai:b"}
        assert calls == {("planner", "openai:first"), ("fallback", "openai:b")}
        assert run.summary.llm.fallbacks == len(found) > 0
        assert run.rows[-1].advised_share

    @pytest.mark.parametrize(
        "habit",
        [teach(), teach(most_choices=1), rejects("n", teach())],
        ids=["good", "ignores n", "rejects n"],
    )
    @pytest.mark.parametrize("budget", [None, 7], ids=["unlimited", "limited"])
    def test_waiting_is_reproducible_for_all_the_jitter(
        self, habit: Behaviour, budget: int | None, nobody: str, tmp_path: Path
    ) -> None:
        figures = []
        for name in ("one", "other"):
            with OpenAIServer(habit) as second:
                chain = f"openai:b@{second.base_url},offline"
                more = {"env": "SimpleDoorKey", "teacher__budget_calls": budget}
                run = self.run(tmp_path / name, nobody, chain, wait=True, **more)
                with run.trace() as trace:
                    advice = [(s.text, s.plans) for s in trace.situations()]
                figures.append((run.figures(), advice))
        assert figures[0] == figures[1]


class TestSettings:
    @pytest.mark.parametrize(
        ("typed", "steps"),
        [
            ("offline", ("offline",)),
            ("none", ()),
            ("cached, offline, none", ("cached", "offline")),
            ('["openai:b@http://h:1/v1", "offline"]', ("openai:b@http://h:1/v1", "offline")),
        ],
    )
    def test_as_typed(self, typed: str, steps: tuple[str, ...]) -> None:
        assert make_config(None, [f"teacher.fallback={typed}"], {}).teacher.fallback == steps

    @pytest.mark.parametrize("typed", ["somebody", "none,offline", "human"])
    def test_what_cannot_stand_in_is_refused_in_one_line(self, typed: str) -> None:
        with pytest.raises(ConfigError, match=r"teacher\.fallback.*allowed: offline, cached"):
            make_config(None, [f"teacher.fallback={typed}"], {})

    @pytest.mark.parametrize(
        "typed",
        [
            "openai:b@http://me:hunter22@h/v1",
            "openai:b@http://h/?key=hunter22",
            '["offline", "openai:b@http://h/sk-hunter22hunter22hunter22/v1"]',
        ],
    )
    def test_an_address_holds_no_secret(self, typed: str) -> None:
        with pytest.raises(ConfigError, match=r"teacher\.fallback") as caught:
            make_config(None, [f"teacher.fallback={typed}"], {})
        assert "hunter22" not in str(caught.value)

    def test_a_model_that_cannot_be_made_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        with pytest.raises(ProviderError, match=r"^teacher\.fallback: .*OPENAI_API_KEY"):
            make_models(TeacherSettings(fallback=("openai:b",)), TASK)

    def test_a_strangers_run_sends_no_key_to_its_second_model(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-no-worth")
        url = "https://teacher.example/v1"
        config = make_config(None, [f"teacher.fallback=openai:b@{url}"], {})
        with pytest.raises(RunFolderError, match=f"OPENAI_API_KEY.* to {url}; .*--base-url {url}$"):
            check_address(Path("run"), config, ())
        check_address(Path("run"), config, [url])
