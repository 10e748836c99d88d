"""No bill by surprise: a run for which nobody has set a budget asks an LLM a few hundred times."""

from __future__ import annotations

from pathlib import Path
from threading import Event as StopSignal
from typing import Any

import pytest

from helpers.hurried_runs import HURRIED
from helpers.openai_server import OpenAIServer, status
from helpers.planners import LIBRARY, TASK, run_once, settings
from helpers.tiny_runs import ROLLOUT, TinyRun, make_run
from tutelage.agents.client.spending import Ledger
from tutelage.agents.providers.make import make_chat_model
from tutelage.agents.teacher.fallback import make_models
from tutelage.agents.teacher.teacher import Teacher
from tutelage.graphs.config.events import Event, IterationDone, Notice
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.runtime.run import resume

PRICES: dict[str, Any] = {
    "usd_per_million_prompt_tokens": 10.0,
    "usd_per_million_completion_tokens": 20.0,
}
FEW = 4
"""Requests; the rollouts of these runs come to more situations than that."""
SPENT = f"the budget is spent (calls_without_budget = {FEW}); the run goes on without new advice"


def asking(
    provider: str, url: str | None, told: list[str], ledger: Ledger | None = None, **values: Any
) -> Teacher:
    chosen = settings(**{"samples": 1, "max_tries": 1, **values})
    made = make_chat_model(provider, url, chosen, TASK)
    models = make_models(chosen, TASK)
    return Teacher(TASK, LIBRARY, made, chosen, on_notice=told.append, models=models, ledger=ledger)


def answered(teacher: Teacher, situations: range) -> int:
    """How many of the situations the teacher advises on."""
    return sum(answer.advice is not None for answer in run_once(teacher, [*situations]).values())


class TestWhomItIsFor:
    def test_an_llm_is_asked_five_hundred_times(self) -> None:
        assert settings().default_bound == 500

    def test_an_llm_is_asked_so_often_and_no_more(self) -> None:
        told: list[str] = []
        with OpenAIServer() as server:
            teacher = asking("openai:m", server.base_url, told, calls_without_budget=FEW)
            assert answered(teacher, range(9)) == FEW
            assert len(server.requests) == FEW
        assert told[1:] == [SPENT]
        assert told[0] == (
            f"openai:m is asked at most {FEW} times in this run; --budget-calls N sets another "
            "bound, --set teacher.calls_without_budget=none takes it off"
        )

    @pytest.mark.parametrize(
        "own",
        [
            {"budget_calls": 7},
            {"budget_tokens": 10**6},
            {"budget_usd": 100.0, **PRICES},
            {"calls_without_budget": None},
        ],
        ids=lambda own: next(iter(own)),
    )
    def test_a_budget_of_ones_own_comes_in_its_place_without_a_word(
        self, own: dict[str, Any]
    ) -> None:
        told: list[str] = []
        with OpenAIServer() as server:
            values = {"calls_without_budget": FEW, **own}
            assert answered(asking("openai:m", server.base_url, told, **values), range(7)) == 7
        assert told == []

    @pytest.mark.parametrize("provider", ["offline", "faulty:0.3", "weak"])
    def test_scripts_may_always_be_asked(self, provider: str) -> None:
        told: list[str] = []
        assert answered(asking(provider, None, told, calls_without_budget=0), range(9)) == 9
        assert told == []

    def test_a_model_that_stands_in_for_a_script_sends_a_bill_too(self) -> None:
        told: list[str] = []
        with OpenAIServer() as server:
            chain = f"openai:m@{server.base_url}"
            for bound, asked in ((500, 3), (0, 0)):
                values = {"fallback": chain, "calls_without_budget": bound}
                teacher = asking("forgetful:1", None, told, **values)
                assert answered(teacher, range(3)) == 0
                assert "budget_spent" not in teacher.counters.failures
                teacher.settle(range(3), 0, wait_for_all=True)
                assert len(server.requests) == 3, f"{asked} more under a bound of {bound}"
        assert told[0].startswith("openai:m is asked at most 500 times in this run")


class TestWhatItMayCost:
    def test_it_is_said_where_the_price_is_known(self) -> None:
        told: list[str] = []
        with OpenAIServer() as server:
            answered(asking("openai:m", server.base_url, told, **PRICES), range(2))
            words = sum(len(m["content"]) for m in server.requests[0].body["messages"])
        usd = float(told[0].partition("for some ")[2].partition(" USD")[0])
        # A word is some four characters, and the tools come on top of the messages.
        assert words / 4 * 10.0 / 1e6 * 500 < usd < words * 10.0 / 1e6 * 500

    def test_what_was_spent_by_an_earlier_process_counts(self, tmp_path: Path) -> None:
        told: list[str] = []
        with OpenAIServer() as server, Ledger(tmp_path / "spending.jsonl") as ledger:
            values = {"calls_without_budget": FEW}
            first = asking("openai:m", server.base_url, told, ledger, **values)
            assert answered(first, range(3)) == 3
        with OpenAIServer() as server, Ledger(tmp_path / "spending.jsonl") as ledger:
            second = asking("openai:m", server.base_url, told, ledger, **values)
            assert answered(second, range(3, 9)) == FEW - 3
        assert ", 3 of them made already;" in told[1]

    def test_what_is_refused_counts(self) -> None:
        with OpenAIServer(status(500)) as server:
            answered(asking("openai:m", server.base_url, [], calls_without_budget=FEW), range(9))
            assert 0 < len(server.requests) <= FEW


def hurried(folder: Path, url: str, told: list[str], stop: StopSignal | None = None) -> TinyRun:
    """A run that comes to more situations than it may ask about. stop: set after an iteration."""

    def on_event(event: Event) -> None:
        if isinstance(event, Notice):
            told.append(event.text)
        if isinstance(event, IterationDone) and stop is not None:
            stop.set()

    options = {**HURRIED, "teacher__calls_without_budget": FEW, "wait": True}
    return make_run(folder, on_event, stop, base_url=url, **options)


@pytest.mark.slow
class TestRuns:
    def test_a_run_goes_on_without_new_advice_and_says_so_once(self, tmp_path: Path) -> None:
        told: list[str] = []
        with OpenAIServer() as server:
            run = hurried(tmp_path, server.base_url, told)
            assert len(server.requests) == FEW
        assert run.summary.status == "finished"
        assert run.summary.llm.calls == FEW
        assert run.summary.outcome is not None
        assert run.summary.outcome.code == "taught_to_the_end"
        assert [line for line in told if "calls_without_budget" in line][1:] == [SPENT]
        assert run.rows[-1].env_steps == 4 * ROLLOUT
        assert 0 < (run.rows[-1].advised_share or 0) < 1

    def test_a_resumed_run_goes_on_with_what_is_left(self, tmp_path: Path) -> None:
        told: list[str] = []
        with OpenAIServer() as server:
            stopped = hurried(tmp_path, server.base_url, told, StopSignal())
            assert stopped.summary.status == "interrupted"
            before = len(server.requests)
            assert before == FEW
            summary = resume(stopped.path, base_urls=[server.base_url])
            assert len(server.requests) == before
        assert summary.status == "finished"
        assert summary.llm.calls == FEW

    def test_each_run_has_its_own_bound(self, tmp_path: Path) -> None:
        """As those of `compare`, which share a cache: what it holds costs the second nothing."""
        with OpenAIServer() as server:
            first = hurried(tmp_path, server.base_url, [])
            (tmp_path / "run").rename(tmp_path / "first")
            second = hurried(tmp_path, server.base_url, [])
            assert len(server.requests) == 2 * FEW
        assert (first.summary.llm.calls, second.summary.llm.calls) == (FEW, FEW)
        assert second.summary.llm.cache_hits == FEW

    def test_the_script_runs_as_if_there_were_no_bound(self, tmp_path: Path) -> None:
        kinds = ({}, {"teacher__calls_without_budget": 0})
        options = {**HURRIED, "provider": "offline"}
        with_default, without = (
            make_run(tmp_path / str(i), **{**options, **more}) for i, more in enumerate(kinds)
        )
        assert with_default.figures() == without.figures()

    def test_a_recording_is_read_as_if_there_were_no_bound(self, tmp_path: Path) -> None:
        file = tmp_path / "answers.jsonl"
        situation = "mission: open the door 1\\ncarrying: nothing"
        file.write_text(f'{{"situation": "{situation}", "plans": [{{"plan": ["explore()"]}}]}}\n')
        told: list[str] = []
        run = make_run(
            tmp_path,
            lambda e: told.append(e.text) if isinstance(e, Notice) else None,
            **{**HURRIED, "provider": f"replay:{file}", "teacher__calls_without_budget": 0},
        )
        assert not any("budget" in line for line in told)
        assert RunFolder.open(run.path).read_summary() is not None
