"""`prompts try`: how sure its figures are, and what they say of the prompts, if anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.commands import say, tell
from helpers.openai_server import Behaviour, Body, OpenAIServer, Reply, talk, teach
from tutelage.agents.providers.catalogue import list_providers, reads_prompts
from tutelage.prompts.library import SHIPPED

FEW = ("--limit", "8", "--set", "teacher.samples=2")


@pytest.fixture
def brief(tmp_path: Path) -> Path:
    """A folder with one prompt that was edited."""
    text = (SHIPPED / "planner_system.md").read_text("utf-8")
    (tmp_path / "planner_system.md").write_text(f"{text}\nBe brief.\n", "utf-8")
    return tmp_path


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("OPENAI_API_KEY", "test-key-of-no-worth")


def only_talks_if_brief() -> Behaviour:
    """Answers well, but for a prompt that tells it to be brief."""
    well, badly = teach(), talk("I would explore.")

    def answer(body: Body) -> Reply:
        return badly(body) if "Be brief." in str(body["messages"]) else well(body)

    return answer


def tried(server: OpenAIServer, *arguments: str | Path) -> tuple[str, ...]:
    return tuple(
        map(
            str,
            (
                *("prompts", "try", "--provider", "openai:m", "--base-url", server.base_url),
                *(*arguments, *FEW, "--set", "teacher.max_tries=1"),
            ),
        )
    )


def test_two_prompts_are_compared_by_situation(brief: Path) -> None:
    with OpenAIServer(only_talks_if_brief()) as server:
        arguments = tried(server, "--prompts", "shipped", "--prompts", brief)
        told = tell(*arguments)
        shown = say(*arguments)
    one, other = (contender["scores"][-1] for contender in told["contenders"])
    (difference,) = told["differences"]
    assert (difference["contender"], difference["against"]) == (str(brief), "shipped")
    assert (difference["differs_in"], difference["situations"]) == ("prompts", 8)
    assert difference["sensible"] == pytest.approx(other["sensible"] - one["sensible"])
    low, high = difference["sensible_ci95"]
    assert -1.0 <= low < high < 0.0
    assert difference["unusable"] == pytest.approx(other["unusable"] - one["unusable"])
    assert f"{brief} against shipped, the same 8 situations: -" in shown
    assert shown.count(": worse") == 1
    assert "reads no prompts" not in shown


def test_prompts_that_change_nothing_are_not_called_better_or_worse(brief: Path) -> None:
    with OpenAIServer(teach()) as server:
        arguments = tried(server, "--prompts", "shipped", "--prompts", brief)
        shown, (difference,) = say(*arguments), tell(*arguments)["differences"]
    low, high = difference["sensible_ci95"]
    assert low < 0.0 < high, "eight that agree are no proof that they always do"
    assert "no clear difference" in shown


def test_each_share_has_an_interval() -> None:
    with OpenAIServer(teach()) as server:
        told = tell(*tried(server))
        shown = say(*tried(server))
    assert set(told["methods"]) == {"interval", "difference"}
    assert told["differences"] == []
    for score in told["contenders"][0]["scores"]:
        for name in ("sensible", "unusable"):
            low, high = score[f"{name}_ci95"]
            assert 0.0 <= low <= score[name] <= high <= 1.0
            assert high - low > 0.2, "so few say little"
    total = told["contenders"][0]["scores"][-1]
    low, high = total["sensible_ci95"]
    share = f"{100 * total['sensible']:.1f} % ({100 * low:.0f} to {100 * high:.0f})"
    assert share in shown
    assert total["latency_s_ci95"][0] < total["latency_s"] < total["latency_s_ci95"][1]
    assert "not known" in shown
    assert total["cost_usd"] is None


@pytest.mark.parametrize("provider", ["offline", "faulty:0.5", "weak"])
def test_a_script_is_not_asked_twice_for_two_prompts(provider: str, brief: Path) -> None:
    arguments: tuple[Any, ...] = ("prompts", "try", "--provider", provider, *FEW)
    both = (*arguments, "--prompts", "shipped", "--prompts", brief)
    told = tell(*both)
    (contender,) = told["contenders"]
    assert (contender["name"], contender["reads_prompts"]) == (provider, False)
    assert told["differences"] == []
    shown = say(*both)
    assert f"{provider} reads no prompts, only the situation" in shown
    assert "asked once for all 2 sets" in shown
    assert str(brief) not in shown
    assert f"{provider} reads no prompts" in say(*arguments)
    assert "asked once" not in say(*arguments)


def test_a_script_beside_a_model_that_reads(brief: Path) -> None:
    with OpenAIServer(only_talks_if_brief()) as server:
        folders = ("--prompts", "shipped", "--prompts", brief)
        told = tell(*tried(server, *folders, "--provider", "offline"))
    names = [contender["name"] for contender in told["contenders"]]
    assert names == ["openai:m, shipped", f"openai:m, {brief}", "offline"]
    pairs = [(each["contender"], each["against"]) for each in told["differences"]]
    assert pairs == [(names[1], names[0]), (names[2], names[0])]
    assert [each["differs_in"] for each in told["differences"]] == ["prompts", "provider"]


def test_who_reads_prompts() -> None:
    """Every provider that needs no model reads none; models do, and so may people's own."""
    own = [info.name for info in list_providers() if info.package == "tutelage"]
    assert len(own) >= 7
    assert not any(reads_prompts(name) for name in own)
    for name in ("openai:gpt", "anthropic:x", "my_package.teacher:make", "humanist"):
        assert reads_prompts(name)


def test_the_table_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = say("prompts", "try", "--provider", "offline", "--provider", "weak", *FEW)
    table = shown[: shown.index("in brackets")].splitlines()
    assert all(len(line) <= 80 for line in table)
    assert all(words in shown for words in ("sensible", "no plan", "cost", " to "))
