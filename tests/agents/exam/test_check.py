"""`providers list` and `check`: what they report of teachers that work, and of others."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.openai_server import OpenAIServer, hang, plans, raw, rejects, status, talk, teach
from helpers.tiny_runs import ROOT
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.providers.catalogue import list_providers
from tutelage.agents.providers.make import ProviderError, make_chat_model

TypeIn = Callable[..., subprocess.CompletedProcess[bytes]]
KEY = "opensesame-0123456789-abcdef"
CHECK = ("providers", "check")
CORRIDOR = ("--env", "helpers.toy_task:Corridor", "--set", "teacher.backoff_s=0")


@pytest.fixture(autouse=True)
def _nobodys_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, address or file but those of the test. `type_in` clears the keys."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for variable in ("OPENAI_API_BASE", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)


def checked(type_in: TypeIn, *words: str) -> dict[str, Any]:
    done = type_in(*CHECK, *words, *CORRIDOR, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["works"] else 1)
    return found


class TestCheck:
    def test_one_that_works_tells_all(self, type_in: TypeIn) -> None:
        prices = [
            "--set",
            "teacher.usd_per_million_prompt_tokens=10",
            "--set",
            "teacher.usd_per_million_completion_tokens=20",
        ]
        with OpenAIServer() as server:
            found = checked(type_in, "openai:m", "--base-url", server.base_url, *prices)
            (request,) = server.requests
        assert found["situation"] in request.body["messages"][-1]["content"]
        assert (found["provider"], found["output_mode"], found["failure"]) == (
            "openai:m",
            "required",
            None,
        )
        assert (found["prompt_tokens"], found["completion_tokens"]) == (100, 50)
        assert found["cost_usd"] == pytest.approx(0.002)
        assert found["latency_s"] > 0
        assert sum(plan["p"] for plan in found["advice"]) == pytest.approx(1.0)

    def test_the_rung_that_works_is_named_and_those_above_it_shown(self, type_in: TypeIn) -> None:
        answer = '{"plan": [{"option": "wander", "target": ""}]}'
        with OpenAIServer(rejects("tools", talk(answer))) as server:
            found = checked(type_in, "openai:m", "--base-url", server.base_url)
        assert found["works"]
        assert found["output_mode"] in ("json", "text")
        ways = [request["output_mode"] for request in found["requests"]]
        assert ways[0] == "required"
        assert ways[-1] == found["output_mode"]
        assert found["advice"] == [{"plan": [["wander", None]], "p": 1.0}]
        assert found["cost_usd"] is None

    @pytest.mark.parametrize(
        ("behaviour", "failure", "hint"),
        [
            (status(401, f"Incorrect API key {KEY}"), "refused", "check OPENAI_API_KEY"),
            (status(429), "rate_limited", "concurrency=1"),
            (status(404, "no such model"), "not_found", "model's name right"),
            (status(402, "Insufficient Balance"), "no_credit", "plan and billing"),
            (status(500), "provider_down", "its own log says why"),
            (raw(b"<html>Sign in</html>"), "not_compatible", "does the address end in /v1"),
            (hang(), "timed_out", "teacher.timeout_s"),
            (plans([("fly", {"target": "home"})]), "unusable_answer", "--prompts"),
        ],
        ids=["refused", "rate", "model", "credit", "down", "page", "hangs", "nonsense"],
    )
    def test_what_does_not_work_says_what_to_do(
        self,
        behaviour: Any,
        failure: str,
        hint: str,
        type_in: TypeIn,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        with OpenAIServer(behaviour) as server:
            words = ["openai:m", "--base-url", server.base_url, *CORRIDOR]
            words += ["--set", "teacher.timeout_s=0.3", "--set", "teacher.max_tries=1"]
            done = type_in(*CHECK, *words)
        assert (done.returncode, done.stderr) == (1, b"")
        last = done.stdout.decode().splitlines()[-1]
        assert last.startswith(f"{failure}: ")
        assert hint in last
        assert KEY.encode() not in done.stdout

    def test_a_server_that_is_not_there(self, type_in: TypeIn) -> None:
        with OpenAIServer() as server:
            url = server.base_url
        found = checked(type_in, "openai:m", "--base-url", url)
        assert (found["works"], found["output_mode"], found["failure"]) == (
            False,
            None,
            "provider_down",
        )
        assert found["advice"] is None

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("openai:m", "OPENAI_API_KEY"),
            ("xai:m", "pip install langchain-xai"),
            ("nonsense", "unknown provider"),
            ("human", "standard input is a pipe or a file"),
            ("replay:/nowhere.jsonl", "/nowhere.jsonl cannot be read"),
        ],
    )
    def test_what_must_be_mended_first_is_one_line(
        self, name: str, says: str, type_in: TypeIn
    ) -> None:
        done = type_in(*CHECK, name)
        assert (done.returncode, done.stdout) == (2, b"")
        assert says in done.stderr.decode()
        assert done.stderr.count(b"\n") == 1

    def test_people_see_the_situation_and_the_advice(self, type_in: TypeIn) -> None:
        done = type_in(*CHECK, "offline", *CORRIDOR)
        said = done.stdout.decode()
        assert done.returncode == 0
        assert "what the teacher is told" in said
        assert "mission: pull the lever" in said
        assert "asked by     required" in said
        assert "0.000000 USD" in said

    def test_a_recording_is_checked_without_a_request(
        self, type_in: TypeIn, tmp_path: Path
    ) -> None:
        told = checked(type_in, "offline")
        file = tmp_path / "f.jsonl"
        file.write_text(
            json.dumps({"situation": told["situation"], "plans": [{"plan": ["pull()"]}]})
        )
        found = checked(type_in, f"replay:{file}")
        assert found["works"]
        assert (found["requests"], found["prompt_tokens"], found["cost_usd"]) == ([], 0, 0)
        file.write_text('{"situation": "another", "plans": [{"plan": ["pull()"]}]}')
        assert checked(type_in, f"replay:{file}")["failure"] == "not_recorded"


class TestList:
    def test_it_says_what_to_install_and_which_key(
        self, type_in: TypeIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = "tutelage.agents.providers.catalogue.importlib.util.find_spec"
        monkeypatch.setattr(found, lambda name: None if "anthropic" in name else name)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        rows = {
            row["name"]: row for row in json.loads(type_in("providers", "list", "--json").stdout)
        }
        assert rows["anthropic:MODEL"]["install"] == 'pip install "tutelage[anthropic]"'
        assert rows["anthropic:MODEL"]["key"] == "ANTHROPIC_API_KEY"
        assert not rows["anthropic:MODEL"]["key_present"]
        assert (rows["openai:MODEL"]["install"], rows["openai:MODEL"]["key_present"]) == (
            None,
            True,
        )
        assert {"offline", "human", "replay:FILE"} <= set(rows)
        said = type_in("providers", "list").stdout.decode()
        assert 'pip install "tutelage[anthropic]"' in said
        assert "OPENAI_API_KEY, set" in said
        assert KEY not in said
        with pytest.raises(ProviderError, match=r'langchain-anthropic: pip install "tutelage\[ant'):
            make_chat_model("anthropic:claude-x", None, TeacherSettings())

    def test_prices_are_listed_with_their_place(self, type_in: TypeIn) -> None:
        found = json.loads(type_in("providers", "prices", "--json").stdout)
        assert found["own_file"].endswith("tutelage/prices.toml")
        assert {"provider", "model", "checked"} <= set(found["prices"][0])
        assert "gpt-4.1-mini" in type_in("providers", "prices").stdout.decode()


class TestPlugIn:
    def test_by_its_path_it_teaches(self, type_in: TypeIn) -> None:
        found = checked(type_in, "helpers.first_option:make")
        ((plan,), p) = found["advice"][0]["plan"], found["advice"][0]["p"]
        assert plan in ([["walk_to", "lever"], ["pull", None], ["walk_to", "exit"]])
        assert p == 1.0

    def test_by_an_entry_point_it_is_listed_and_teaches(
        self, type_in: TypeIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        installed = tmp_path / "first_option-1.0.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: first-option\nVersion: 1\n"
        )
        (installed / "entry_points.txt").write_text(
            "[tutelage.providers]\nfirst-option = helpers.first_option:make\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        assert "first-option" in {info.name for info in list_providers()}
        assert checked(type_in, "first-option")["works"]

    def test_the_page_on_providers_shows_it_whole(self) -> None:
        source = (ROOT / "tests" / "helpers" / "first_option.py").read_text("utf-8")
        assert len(source.splitlines()) < 60
        assert f"```py\n{source}```" in (ROOT / "docs" / "providers.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("package", "name", "variable"),
    [
        ("langchain_anthropic", "anthropic:claude-haiku-4-5", "ANTHROPIC_API_KEY"),
        ("langchain_google_genai", "google_genai:gemini-2.5-flash", "GOOGLE_API_KEY"),
        ("langchain_ollama", "ollama:llama3", ""),
    ],
)
def test_the_extras_packages_are_asked_down_the_ladder(
    package: str, name: str, variable: str, type_in: TypeIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rejects `n` in a way of its own; that must not be taken for the model's fault."""
    pytest.importorskip(package)
    if variable:
        monkeypatch.setenv(variable, KEY)
    with OpenAIServer(teach()) as server:
        url = server.base_url  # its port is free again below: nobody answers there
    found = checked(type_in, name, "--base-url", url, "--set", "teacher.max_tries=1")
    statuses = [request["status"] for request in found["requests"]]
    assert statuses[0] == "bad_request"
    assert statuses[-1] == found["failure"] == "provider_down"
