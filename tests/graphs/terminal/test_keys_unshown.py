"""No command shows or writes a key that stands in a run folder or a cache, in whatever form.

What this program writes holds none. A stranger's files, or those of before a key was known, may.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from helpers.cache_entries import EXCHANGE, entry
from helpers.key_forms import FORMS, KEY, shows_key
from helpers.screens import screen
from helpers.tiny_runs import TinyRun, make_run
from helpers.trace_rows import CALL, visit
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.graphs.records.trace.records import (
    ADVICE_REJECTED,
    TEACHER_REJECTED,
    AdviceRecord,
    EventRecord,
    ExampleRecord,
)
from tutelage.graphs.records.trace.writer import TraceWriter
from tutelage.graphs.terminal.app import app
from tutelage.graphs.terminal.trace.browser import TraceBrowser

TypeIn = Callable[..., subprocess.CompletedProcess[bytes]]

PARTS: Final = (KEY[:14], KEY[14:])
"""Of which neither is much of the key."""
_MADE_UP: Final = 10**12
"""Of no situation of the run's task."""
SAID: Final = f"said: {'; '.join(FORMS)} and no more"

COMMANDS: Final[dict[str, str]] = {
    "trace list": "RUN",
    "trace list calls": "trace list RUN calls",
    "trace list failures": "trace list RUN failures",
    "trace list none": "trace list RUN calls --status timed_out --node fallback",
    "trace show": "RUN 2 --full",
    "trace show the first": "trace show RUN 1",
    "trace show a call": "trace show RUN cLAST",
    "trace show a damaged call": "trace show RUN cDAMAGED",
    "trace follow": "RUN --last 100",
    "trace stats": "RUN",
    "trace diff": "RUN:1 RUN:2",
    "trace diff of runs": "trace diff RUN OTHER",
    "trace replay": "RUN 1 --provider offline",
    "trace replay with its prompts": "trace replay RUN 1 --provider offline --prompts RUN/prompts",
    "trace replay what is not told so": "trace replay RUN 5 --provider offline",
    "trace export": "RUN",
    "trace export to a file": "trace export RUN OUT/spans.jsonl",
    "runs list": "FOLDER",
    "runs show": "RUN",
    "runs show two": "runs show RUN OTHER",
    "runs plot": "RUN OTHER",
    "runs plot to a file": "runs plot RUN OTHER --out OUT/curves.svg",
    "runs compare": "RUN OTHER",
    "cache show": "--file CACHE",
    "cache export": "OUT/answers.jsonl --file CACHE",
    "cache export of a run": "cache export OUT/of-run.jsonl --run RUN",
    "cache import": "ODD --file CACHE",
    "config show": "--diff RUN",
    "prompts list": "--prompts RUN/prompts",
    "prompts show": "planner_system --run RUN",
    "prompts diff": "--run RUN",
    "prompts check": "--prompts STRAY",
    "prompts render": "--env helpers.toy_task:Corridor --prompts RUN/prompts",
    "prompts try": "--provider offline --prompts RUN/prompts --limit 2 --wrong",
    "report": "RUN --out OUT/report.html",
    "report of two": "report FOLDER --out OUT/reports.html",
    "export": "RUN --format safetensors --output OUT/export",
    "watch": "RUN",
    "eval": "RUN --episodes 2",
}
"""What is typed for each: all of it, or what follows the command."""

OF_OTHER_FILES: Final = (
    *("trace follow", "trace replay", "runs list", "runs show", "runs show two", "runs plot"),
    *("runs plot to a file", "runs compare", "cache export of a run", "config show", "report"),
    *("report of two", "export", "watch", "eval"),
)
"""Those of them that read more of a run than its trace."""
WITHOUT_JSON: Final = {"trace export", "trace export to a file"}
ELSEWHERE: Final = {
    "trace open": "TestBrowser",
    "runs delete": "names what is typed, and the sizes of files",
    "cache clear": "counts",
    "prompts edit": "an editor's own",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A run into whose every text a key came, while nobody knew it for one."""
    run = make_run(tmp_path_factory.mktemp("keys"), env="helpers.toy_task:Corridor")
    with run.trace() as reader:
        first, second, *_ = reader.situations(sort="id")
    messages = [
        {"role": "system", "content": SAID},
        {"role": "user", "content": PARTS[0]},
        {"role": "user", "content": PARTS[1], SAID: [{"text": SAID, "bytes": [*KEY.encode()]}]},
    ]
    answer = {
        "content": SAID,
        "tool_calls": [{"id": SAID, "name": SAID, "args": {SAID: PARTS}}],
        "response_metadata": {"id": SAID, "model_name": SAID, "finish_reason": SAID},
        "additional_kwargs": {"reasoning_content": SAID},
        "logprobs": [{"token": part} for part in PARTS],
    }
    plan: list[Any] = [[SAID, SAID], *([part, None] for part in PARTS)]
    plans = [{"plan": plan, "p": 0.5}]
    call = replace(
        CALL,
        iteration=2,
        node=SAID,
        provider=f"openai:{SAID}",
        model=SAID,
        error=SAID,
        messages=messages,
        tools=[{"name": SAID, "description": SAID, "parameters": {SAID: SAID}}],
        settings={"temperature": SAID, SAID: SAID},
        answers=[answer],
        plans=[plan],
    )
    at = {"iteration": 2, "env_steps": 200}
    with TraceWriter(run.folder.trace) as writer:
        writer.situations({_MADE_UP: SAID, _MADE_UP + 1: f"mission: {PARTS[0]}\n{PARTS[1]}"})
        for situation_id in (first.situation_id, second.situation_id, _MADE_UP, _MADE_UP + 1):
            about = {"situation_id": situation_id}
            writer.calls([replace(call, status=status, **about) for status in ("ok", SAID)])
            writer.advice([AdviceRecord(**at, **about, source=f"model {SAID}", plans=plans)])
            writer.visits([visit(4, situation_id, visits=100, agreement=0.5)])
            told = {"picture": f"{SAID}\n{PARTS[0]}\n{PARTS[1]}", "decision": {SAID: [SAID]}}
            writer.examples([ExampleRecord(2, situation_id, 0, inks=SAID, **told)])
            writer.events(
                EventRecord(**at, **about, node=SAID, kind=kind, message=SAID)
                for kind in (ADVICE_REJECTED, "nobody", SAID)
            )
        writer.events([EventRecord(**at, node=SAID, kind=TEACHER_REJECTED, message=SAID)])
        writer.commit()
    with closing(sqlite3.connect(run.folder.trace)) as connection, connection:
        columns = ", ".join(field.name for field in fields(CALL) if field.name != "id")
        connection.execute(
            f"INSERT INTO calls ({columns})"
            f" SELECT {columns.replace('messages', '?')} FROM calls WHERE id = 1",
            (f'[1e999, "{KEY}"]',),
        )
        connection.execute(
            f"INSERT INTO visits SELECT '{KEY}', situation_id, visits, coverage, agreement,"
            " episodes, successes FROM visits LIMIT 1"
        )
    for file in run.folder.prompts.iterdir():
        file.write_text(f"{file.read_text('utf-8')}\n{SAID}\n", "utf-8")
    cached = replace(entry(None, replace(EXCHANGE, messages=messages)), provider=SAID, model=SAID)
    with closing(PlanCache(run.cache)) as cache:
        cache.put_many({KEY: cached, "0" * 64: cached})
    summary = json.loads(run.folder.summary.read_text("utf-8"))
    summary |= {"graph": SAID, "env": SAID, "provider": SAID}
    summary["outcome"] = {"code": "taught", "sentence": SAID}
    summary["advice"] |= {"evidence": SAID}
    run.folder.write_json("summary.json", summary)
    return run


def lay_out(written: TinyRun, tmp_path: Path, more: str) -> dict[str, str]:
    """The places that the words of `COMMANDS` stand for.

    more: `config` for a key in config.json, too, with which no run can go on; `damaged` for one in
    what cannot be read of metrics.jsonl and summary.json.
    """
    home = tmp_path / "home"
    out = tmp_path / "out"
    out.mkdir()
    for name in ("run", "other"):
        shutil.copytree(written.path, home / name)
        config = json.loads((home / name / "config.json").read_text("utf-8"))
        config["seed"] = int(name == "other")
        if more == "config":
            config["env_args"] = {"said": SAID, "parts": PARTS, SAID: name}
            config |= {"base_url": f"https://host/{KEY}", "provider": SAID, "graph": SAID}
            config["versions"] |= {SAID: SAID}
        (home / name / "config.json").write_text(json.dumps(config), "utf-8")
    if more == "damaged":
        with (home / "run" / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({SAID: SAID}) + "\n")
        summary = json.loads((home / "run" / "summary.json").read_text("utf-8"))
        (home / "run" / "summary.json").write_text(json.dumps({**summary, SAID: 1}), "utf-8")
    shutil.copytree(home / "run" / "prompts", tmp_path / "stray")
    (tmp_path / "stray" / f"{KEY}.md").write_text(SAID, "utf-8")
    odd = tmp_path / "odd.jsonl"
    odd.write_text(json.dumps({KEY: 1}) + "\n" + json.dumps({"format": KEY}) + "\n", "utf-8")
    with written.trace() as reader:
        last = reader.last_id(type(CALL)) - 1
    shutil.copy(written.cache, tmp_path / "plans.sqlite")
    return {
        "RUN": str(home / "run"),
        "OTHER": str(home / "other"),
        "FOLDER": str(home),
        "OUT": str(out),
        "CACHE": str(tmp_path / "plans.sqlite"),
        "ODD": str(odd),
        "STRAY": str(tmp_path / "stray"),
        "DAMAGED": str(last + 1),
        "LAST": str(last),
    }


def parts_of_key(text: str) -> set[str]:
    """The parts of the key that are too long to stand there by chance."""
    signs = re.sub("[^a-z0-9]", "", text.lower())
    words = re.sub("[^a-z0-9]", "", KEY)
    return {words[at : at + 12] for at in range(len(words) - 11) if words[at : at + 12] in signs}


def typed(name: str, places: dict[str, str]) -> list[str]:
    """The words of a command of `COMMANDS`."""
    rest = COMMANDS[name]
    words = rest if rest.startswith(name.split()[0]) else f"{name} {rest}"
    for place, path in places.items():
        words = re.sub(rf"\b{place}\b|(?<=\bc){place}\b", path, words)
    return words.split()


def holders(folder: Path) -> Iterator[Path]:
    """The files in a folder that hold the key."""
    for path in folder.rglob("*"):
        content = path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
        if shows_key(content) or parts_of_key(content):
            yield path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "more"),
    [
        *((name, "") for name in COMMANDS),
        *((name, more) for name in OF_OTHER_FILES for more in ("config", "damaged")),
    ],
)
def test_no_command_shows_or_writes_it(
    name: str,
    more: str,
    written: TinyRun,
    tmp_path: Path,
    type_in: TypeIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = lay_out(written, tmp_path, more)
    assert list(holders(Path(places["FOLDER"])))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for ending in ([], ["--json"]) if name not in WITHOUT_JSON else ([],):
        for file in Path(places["OUT"]).iterdir():
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        done = type_in(*typed(name, places), *ending)
        said = (done.stdout + done.stderr).decode()
        assert "Traceback" not in said
        assert "Usage:" not in said
        assert done.returncode in (0, 2, 3), said
        assert not shows_key(said), said
        assert not parts_of_key(said), said
        assert not list(holders(Path(places["OUT"])))


def commands_of(noun: str) -> set[str]:
    group = typer.main.get_command(app).commands[noun]  # type: ignore[attr-defined]
    return {f"{noun} {name}" for name in group.commands}


@pytest.mark.parametrize("noun", ["trace", "runs", "cache", "prompts"])
def test_every_command_is_tried(noun: str) -> None:
    assert commands_of(noun) - {*COMMANDS, *ELSEWHERE} == set()


class TestBrowser:
    @pytest.mark.slow
    def test_it_shows_none(self, written: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        seen: list[str] = []

        async def session() -> None:
            browser = TraceBrowser(written.path, refresh_s=0.05)
            async with browser.run_test(size=(140, 60)) as pilot:
                for kind in "123":
                    await pilot.press(kind, "g")
                    for _ in range(6):
                        await pilot.pause()
                        seen.append(screen(browser))
                        await pilot.press("l", "G")
                        await pilot.pause()
                        seen.append(screen(browser))
                        await pilot.press("h", "j")

        asyncio.run(session())
        shown = "\n".join(seen)
        assert "[redacted]" in shown
        assert not shows_key(shown)
        assert not parts_of_key(shown)
