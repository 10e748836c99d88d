"""What a teacher costs: the tables of prices, the sums made with them, the limit in dollars."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.openai_server import Behaviour, Body, OpenAIServer, Reply, teach
from helpers.planners import TASK, run_once, settings
from helpers.tiny_runs import make_run
from tutelage.agents.client.budget import Budget
from tutelage.agents.client.prices import (
    FREE,
    SHIPPED,
    Price,
    PriceFileError,
    find_price,
    list_prices,
    own_file,
)
from tutelage.agents.providers.make import ProviderError, make_chat_model
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.agents.teacher.teacher import Teacher
from tutelage.prompts.library import PromptLibrary

OPENAI = "https://api.openai.com/v1"


@pytest.fixture(autouse=True)
def _nobodys_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No prices and keys but those of the test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for variable in ("OPENAI_API_BASE", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def own() -> Path:
    """The user's own file of prices, empty as yet."""
    own_file().parent.mkdir(parents=True)
    own_file().touch()
    return own_file()


class TestTables:
    def test_the_shipped_ones_have_a_date_and_a_source(self) -> None:
        rows = list_prices()
        assert len(rows) > 20
        assert all(row.checked is not None and row.file == SHIPPED for row in rows)
        assert all(0 < row.price.input_usd <= row.price.output_usd for row in rows)
        assert "genai-prices" in SHIPPED.read_text("utf-8")

    def test_a_price_is_for_an_exact_name_at_the_providers_own_address(self) -> None:
        price = find_price("openai", "gpt-4o")
        assert price is not None
        assert (price.input_usd, price.output_usd) == (2.5, 10.0)
        assert find_price("openai", "gpt-4o", OPENAI) == price
        for other in (
            find_price("openai", "gpt-4o-2024-05-13"),
            find_price("openai", "gpt-4"),
            find_price("nobody", "gpt-4o"),
            find_price("openai", "gpt-4o", "http://localhost:8000/v1"),
            find_price("openai", "gpt-4o", "https://api.openai.com.example/v1"),
        ):
            assert other is None

    def test_the_users_own_go_first(self, own: Path) -> None:
        before = list_prices()
        own.write_text(
            "date = 2030-01-31\n"
            '[openai.models]\n"gpt-4o" = { input = 1, output = 2.5 }\n'
            '["my_package.teacher:make".models]\n"mine" = { input = 0, output = 0 }\n'
        )
        found = find_price("openai", "gpt-4o")
        assert found is not None
        assert (found.input_usd, found.output_usd) == (1.0, 2.5)
        assert "2030-01-31" in found.source
        assert str(own) in found.source
        assert find_price("openai", "gpt-4o", "http://localhost/v1") is None
        mine = find_price("my_package.teacher:make", "mine", "http://anywhere/v1")
        assert mine is not None
        assert mine.cost(10**6, 10**6) == 0.0
        assert len(list_prices()) == len(before) + 1

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("[openai", "not valid TOML"),
            ('[openai.models]\n"m" = { input = -1, output = 1 }', r"openai\.models\.m\.input"),
            ('[openai.models]\n"m" = { input = nan, output = 1 }', r"openai\.models\.m\.input"),
            ('[openai.models]\n"m" = { input = 1 }', r"openai\.models\.m\.output"),
            ('[openai.models]\n"m" = 1', r"openai\.models\.m"),
            ("[openai.model]", r"openai\.model"),
            ('date = "soon"', "date"),
        ],
    )
    def test_a_broken_file_is_one_line(self, own: Path, text: str, says: str) -> None:
        own.write_text(text)
        with pytest.raises(PriceFileError, match=f"^prices {own}: .*{says}") as caught:
            list_prices()
        assert "\n" not in str(caught.value)


class TestBudget:
    def test_it_ends_with_the_dollars(self) -> None:
        budget = Budget(settings(budget_usd=0.5))
        assert budget.take_call()
        budget.add_answer(100_000, 0, Price(1.0, 4.0, "here"))
        assert budget.cost_usd == pytest.approx(0.1)
        assert budget.take_call()
        budget.add_answer(0, 100_000, Price(9.0, 4.0, "another model's"))
        assert budget.cost_usd == pytest.approx(0.5)
        assert not budget.take_call()
        assert budget.limit_reached == "budget_usd = 0.5"

    def test_what_nobody_counted_ends_a_limit_in_dollars_and_no_other(self) -> None:
        limited = Budget(settings(budget_usd=100.0))
        free = Budget(settings(budget_usd=100.0))
        unlimited = Budget(settings())
        price = Price(1.0, 4.0, "here")
        for budget, charged in ((limited, price), (free, FREE), (unlimited, price)):
            budget.add_answer(None, None, charged)
        assert (limited.take_call(), free.take_call(), unlimited.take_call()) == (False, True, True)
        assert (limited.cost_usd, free.cost_usd, unlimited.cost_usd) == (None, 0.0, None)

    @pytest.mark.parametrize("provider", ["openai:nobody-knows-it", "helpers.planners:make_own"])
    def test_without_a_price_it_is_refused_at_the_start(
        self, provider: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-no-worth")
        with pytest.raises(ProviderError, match=r"budget_usd = 1: no price is known.*prices\.toml"):
            make_chat_model(provider, None, settings(budget_usd=1.0))
        known = {"usd_per_million_prompt_tokens": 1, "usd_per_million_completion_tokens": 2}
        made = make_chat_model(provider, None, settings(budget_usd=1.0, **known))
        assert made.price == Price(1.0, 2.0, "the settings")

    def test_one_price_alone_is_none(self) -> None:
        with pytest.raises(ValueError, match="usd_per_million_completion_tokens go together"):
            settings(usd_per_million_prompt_tokens=1.0)

    def test_a_known_model_needs_nothing_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-no-worth")
        limit = settings(budget_usd=1.0)
        made = make_chat_model("openai:gpt-4.1-mini", None, limit)
        assert made.price == find_price("openai", "gpt-4.1-mini")
        assert make_chat_model("openai:gpt-4.1-mini", OPENAI, limit).price == made.price
        with pytest.raises(ProviderError, match="no price is known"):
            make_chat_model("openai:gpt-4.1-mini", "http://127.0.0.1:1/v1", limit)
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
        with pytest.raises(ProviderError, match="no price is known"):
            make_chat_model("openai:gpt-4.1-mini", None, limit)
        assert make_chat_model("offline", None, limit, TASK).price == FREE


PRICES: dict[str, Any] = {
    "usd_per_million_prompt_tokens": 10.0,
    "usd_per_million_completion_tokens": 20.0,
}


def uncounted(then: Behaviour) -> Behaviour:
    """The other's answers without their usage."""

    def answer(body: Body) -> Reply:
        reply = then(body)
        assert isinstance(reply.body, dict)
        reply.body.pop("usage")
        return reply

    return answer


def asking(url: str, cache: PlanCache | None = None, **limits: Any) -> Teacher:
    chosen = settings(**PRICES, concurrency=1, **limits)
    provider = make_chat_model("openai:test-model", url, chosen)
    return Teacher(TASK, PromptLibrary(None), provider, chosen, cache)


class TestCounting:
    def test_each_call_has_its_cost_and_a_cached_one_none(self, tmp_path: Path) -> None:
        cache = PlanCache(tmp_path / "plans.sqlite")
        with OpenAIServer() as server:
            first = asking(server.base_url, cache)
            answers = run_once(first, [1, 2])
            again = asking(server.base_url, cache)
            found = again.lookup([1, 2])
        calls = [call for answer in answers.values() for call in answer.calls]
        assert sum(call.cost_usd for call in calls) == pytest.approx(first.cost_usd)
        assert all(
            call.cost_usd
            == pytest.approx(1e-5 * call.prompt_tokens + 2e-5 * call.completion_tokens)
            for call in calls
        )
        assert first.cost_usd > 0
        assert [call.cost_usd for answer in found for call in answer.calls] == [None] * len(calls)
        assert again.cost_usd == 0.0
        cache.close()

    def test_an_answer_that_nobody_counted_makes_the_cost_unknown(self) -> None:
        with OpenAIServer(teach(), uncounted(teach())) as server:
            teacher = asking(server.base_url)
            run_once(teacher, [1])
            assert teacher.cost_usd == pytest.approx(0.002)
            run_once(teacher, [2])
            assert teacher.cost_usd is None
            restored = asking(server.base_url)
            restored.restore(json.loads(json.dumps(teacher.snapshot())))
            assert restored.cost_usd is None

    def test_a_limit_in_dollars_ends_the_asking(self) -> None:
        with OpenAIServer(*[teach()] * 9) as server:
            teacher = asking(server.base_url, budget_usd=0.0059)
            answers = run_once(teacher, list(range(9)))
        assert len(server.requests) == 3
        assert [a.failure for a in answers.values()] == [None] * 3 + ["budget_spent"] * 6
        assert teacher.cost_usd == pytest.approx(0.006)

    def test_it_stands_in_summary_and_trace(self, tmp_path: Path) -> None:
        options = {f"teacher__{name}": price for name, price in PRICES.items()}
        with OpenAIServer() as server:
            run = make_run(
                tmp_path,
                env="helpers.toy_task:Corridor",
                provider="openai:test-model",
                base_url=server.base_url,
                wait=True,
                **options,
            )
        cost = run.summary.llm.cost_usd
        assert cost == pytest.approx(run.summary.llm.calls * 0.002)
        with run.trace() as trace:
            assert sum(call.cost_usd or 0.0 for call in trace.calls()) == pytest.approx(cost)


def test_a_dollar_budget_is_refused_in_one_line(
    tmp_path: Path, type_in: Callable[..., Any]
) -> None:
    words = ("--provider", "openai:m", "--base-url", "http://127.0.0.1:1/v1")
    done = type_in("run", "--run-dir", tmp_path / "new", *words, "--budget-usd", "1")
    assert done.returncode == 2
    assert b"budget_usd = 1: no price is known for openai:m" in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert not (tmp_path / "new").exists()
