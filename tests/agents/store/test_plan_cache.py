"""The plan cache: real SQLite files, whole, damaged, shared and tampered with."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage, SystemMessage

from helpers.cache_entries import EXCHANGE, entry
from helpers.tiny_runs import IMPORTABLE
from tutelage.agents.client.call_record import Exchange
from tutelage.agents.common.redact import REDACTED
from tutelage.agents.store.plan_cache import CacheEntry, PlanCache, cache_key, default_cache_path
from tutelage.agents.store.plan_file import CacheError
from tutelage.rl.advice.advice import Advice
from tutelage.rl.tasks.options import Option


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "plans.sqlite"


@pytest.fixture
def cache(path: Path) -> Iterator[PlanCache]:
    opened = PlanCache(path)
    yield opened
    opened.close()


options = st.builds(Option, st.text(min_size=1), st.none() | st.text())


plans = st.lists(options, min_size=1, max_size=4).map(tuple)


advices = st.lists(plans, min_size=1, max_size=4, unique=True).map(
    lambda found: Advice(tuple(found), (1.0 / len(found),) * len(found))
)


utf8 = st.text(st.characters(codec="utf-8"))


@given(st.lists(advices, max_size=4))
def test_what_is_stored_comes_back_in_json(found: list[Advice]) -> None:
    for advice in found:
        stored = json.loads(json.dumps(entry(advice).to_json()))
        assert CacheEntry.from_json(stored).advice == advice


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


def test_whatever_a_model_said_comes_back(cache: PlanCache) -> None:
    @settings(deadline=None)  # a busy disk is no failure
    @given(json_values, st.text(st.characters(codec=None)))
    def check(said: Any, error: str) -> None:
        call = replace(EXCHANGE, answers=[{"args": said}, {}], error=error)
        cache.put_many({"a": entry(None, EXCHANGE, call)})
        (kept,) = cache.get_many(["a"]).values()
        assert kept.calls[0] == EXCHANGE
        assert kept.calls[1].answers == [{"args": storable(said)}, {}]
        assert kept.calls[1].error == storable(error)

    check()
    assert cache.warnings == []


@pytest.mark.parametrize("depth", [100, 300, 5000])
def test_an_answer_nested_too_deeply_stops_nobody(cache: PlanCache, depth: int) -> None:
    deep: Any = "bottom"
    for _ in range(depth):
        deep = [deep]
    cache.put_many({"deep": entry(None, replace(EXCHANGE, answers=[{"args": deep}])), "a": entry()})
    found = cache.get_many(["deep", "a"])
    assert "a" in found
    assert ("deep" in found) == (depth == 100)


def test_secrets_never_reach_the_file(
    cache: PlanCache, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, shaped = "hunter2-hunter2", "sk-proj-abcDEF_0123456789"
    monkeypatch.setenv("SOME_API_KEY", known)
    leaky = Exchange(
        provider="openai:m",
        model=f"m-{known}",
        error=f"the key {shaped} was refused",
        messages=[{"role": "user", "content": f"my key is {known}", known: 1}],
        tools=[{"description": f"key={shaped}"}],
        settings={"headers": {"Authorization": "Bearer abc.def-ghi"}},
        answers=[{"content": f"You said {known}", "extra": [[shaped]]}],
    )
    cache.put_many({"a": entry(None, leaky)})
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"You said" in content
    for secret in (known, shaped, "abc.def-ghi"):
        assert secret.encode() not in content
    (kept,) = cache.get_many(["a"])["a"].calls
    assert kept.messages == [{"role": "user", "content": f"my key is {REDACTED}", REDACTED: 1}]
    assert kept.answers == [{"content": f"You said {REDACTED}", "extra": [[REDACTED]]}]


def test_entries_outlive_the_process_and_replace_older_ones(path: Path) -> None:
    first = PlanCache(path)
    many = {f"key{i}": entry() for i in range(1200)}
    first.put_many(many)
    other = entry(Advice(((Option("explore"),),), (1.0,)))
    first.put_many({"key7": other})
    first.close()
    second = PlanCache(path)
    found = second.get_many([*many, "unknown", "key7"])
    assert found == {**many, "key7": other}
    assert len(second.entries()) == 1200
    assert second.clear() == 1200
    assert second.get_many(many) == {}
    second.close()


messages = [SystemMessage("Rules."), HumanMessage("Now?")]


BASE: dict[str, Any] = {
    "identity": {"provider": "openai", "model": "m", "base_url": None, "seed": 0},
    "messages": messages,
    "tools": [{"type": "function", "function": {"name": "explore"}}],
    "output_mode": "required",
    "samples": 5,
    "max_options": 5,
    "uncertainty": "samples",
    "lookups": {"look_up_objects": "places: red key (near, reachable)"},
}


def key(**changes: Any) -> str:
    asked = {**BASE, **changes}
    first = (asked.pop("identity"), asked.pop("messages"), asked.pop("tools"))
    return cache_key(*first, **asked)


@pytest.mark.parametrize(
    "change",
    [
        {"identity": {**BASE["identity"], name: "other"}}
        for name in ("provider", "model", "base_url", "seed", "new")
    ]
    + [
        {"messages": [SystemMessage("Rules!"), messages[1]]},
        {"messages": [HumanMessage("Rules."), messages[1]]},
        {"messages": messages[:1]},
        {"tools": []},
        {"tools": [{"type": "function", "function": {"name": "go_to"}}]},
        {"output_mode": "json"},
        {"samples": 4},
        {"max_options": 4},
        {"uncertainty": "logprobs"},
        {"lookups": {}},
        {"lookups": {"look_up_objects": "places: red key (far, reachable)"}},
        {"lookups": {**BASE["lookups"], "look_up_record": "plans here: none"}},
    ],
)
def test_every_part_of_what_was_asked_changes_the_key(change: dict[str, Any]) -> None:
    assert key(**change) != key()


def test_the_key_is_the_same_in_every_process() -> None:
    assert key(identity=dict(reversed(BASE["identity"].items()))) == key()
    assert key(messages=[SystemMessage("Rules.", id="1"), messages[1]]) == key()
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import test_plan_cache as t; print(t.key())"
    env = {**os.environ, "PYTHONPATH": IMPORTABLE, "PYTHONHASHSEED": "5"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == key()


@settings(max_examples=50, deadline=None)  # each with a file of its own
@given(st.binary(max_size=60) | utf8.map(str.encode))
def test_a_value_that_cannot_be_read_is_a_miss(tmp_path_factory: Any, value: bytes) -> None:
    path = tmp_path_factory.mktemp("cache") / "plans.sqlite"
    cache = PlanCache(path)
    cache.put_many({"good": entry(), "bad": entry()})
    with sqlite3.connect(path) as direct:
        direct.execute("UPDATE store SET value = ? WHERE key = 'bad'", (value,))
    direct.close()
    assert set(cache.get_many(["good", "bad"])) == {"good"}
    assert len(cache.entries()) == 1
    assert cache.warnings
    cache.put_many({"bad": entry()})
    assert set(cache.get_many(["good", "bad"])) == {"good", "bad"}
    cache.close()


@pytest.mark.parametrize(
    "tampered",
    [
        {"advice": []},
        {"advice": [{"plan": [], "p": 1.0}]},
        {"advice": [{"plan": [["explore", None]], "p": -1.0}]},
        {"advice": [{"plan": [["explore", None]], "p": "nan"}]},
        {"advice": "explore"},
        {"provider": None, "advice": {"plan": 3}},
        {"calls": None},
        {"calls": "[oops"},
        {"calls": "{}"},
        {"calls": '[{"model": "m"}]'},
        {"calls": json.dumps([{**vars(EXCHANGE), "messages": "Now?"}])},
        {"calls": json.dumps([{**vars(EXCHANGE), "answers": [5]}])},
        {"calls": "[" * 100_000},
    ],
)
def test_an_entry_that_is_none_is_a_miss(
    cache: PlanCache, path: Path, tampered: dict[str, Any]
) -> None:
    cache.put_many({"a": entry()})
    with sqlite3.connect(path) as direct:
        text = json.dumps({**entry().to_json(), **tampered})
        direct.execute("UPDATE store SET value = ?", (text,))
    direct.close()
    assert cache.get_many(["a"]) == {}


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough " * 9, b"SQLite format 3\0"]
)
def test_a_file_that_is_none_is_set_aside_at_the_start(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    cache = PlanCache(path)
    cache.put_many({"a": entry()})
    assert set(cache.get_many(["a"])) == {"a"}
    cache.close()
    (aside,) = path.parent.glob("*.damaged-?")
    assert aside.read_bytes() == content
    (warning,) = cache.warnings
    assert str(path) in warning
    assert "\n" not in warning


@pytest.mark.parametrize("operation", ["get", "put", "entries", "clear"])
def test_a_file_damaged_in_use_is_set_aside_and_work_goes_on(path: Path, operation: str) -> None:
    cache = PlanCache(path)
    cache.put_many({f"key{i}": entry() for i in range(300)})
    cache.close()
    cache = PlanCache(path)
    with path.open("r+b") as file:
        file.seek(0)
        file.write(b"\xff" * path.stat().st_size)
    if operation == "get":
        assert cache.get_many(["key1"]) == {}
    elif operation == "entries":
        assert cache.entries() == {}
    elif operation == "clear":
        assert cache.clear() == 0
    cache.put_many({"new": entry()})
    assert set(cache.get_many(["new", "key1"])) == {"new"}
    assert len(list(path.parent.glob("*.damaged-?"))) == 1
    assert len(cache.warnings) == 1
    cache.close()


def test_an_empty_file_and_a_missing_folder_are_fine(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    cache = PlanCache(path)
    cache.put_many({"a": entry()})
    assert set(cache.get_many(["a"])) == {"a"}
    assert cache.warnings == []
    cache.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_path_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "plans.sqlite"):
        with pytest.raises(CacheError, match=r"plan cache .* cannot be used") as caught:
            PlanCache(path)
        assert str(path) in str(caught.value)


def test_many_threads_share_one_cache(cache: PlanCache) -> None:
    def work(number: int) -> None:
        for i in range(10):
            cache.put_many({f"{number}-{i}": entry()})
            assert cache.get_many([f"{number}-{i}"])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache.entries()) == 80
    assert cache.warnings == []


def test_processes_that_start_at_the_same_time_share_one_file(path: Path) -> None:
    code = """
import sys
from pathlib import Path
from helpers.cache_entries import entry
from tutelage.agents.store.plan_cache import PlanCache
sys.stdin.readline()
cache = PlanCache(Path(sys.argv[1]))
for i in range(20):
    cache.put_many({f"{sys.argv[2]}-{i}": entry()})
    assert cache.get_many([f"{sys.argv[2]}-{i}"])
print(cache.warnings)
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(number)],
            env={**os.environ, "PYTHONPATH": IMPORTABLE},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        out, errors = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "[]\n"), errors
    cache = PlanCache(path)
    assert len(cache.entries()) == 60
    cache.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_locked_file_is_passed_over(path: Path) -> None:
    cache = PlanCache(path, busy_s=0.05)
    cache.put_many({"a": entry()})
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    cache.put_many({"b": entry()})
    cache.put_many({"b2": entry()})
    assert set(cache.get_many(["a", "b"])) == {"a"}, "who writes keeps nobody from reading"
    (warning,) = cache.warnings  # the same line once
    assert str(path) in warning
    assert "locked" in warning
    holder.execute("ROLLBACK")
    holder.close()
    cache.put_many({"c": entry()})
    assert set(cache.get_many(["a", "b", "c"])) == {"a", "c"}
    cache.close()


def test_the_users_cache_folder_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert default_cache_path() == tmp_path / "tutelage" / "plans.sqlite"
    assert default_cache_path().name == "plans.sqlite"
