"""The graphs as LangGraph's development server has them: found, drawn, run, closed."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from helpers.tiny_runs import IMPORTABLE, ROOT, environment, wait_for
from tutelage.graphs.config.config import make_config
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.registry import build_graph, list_graphs
from tutelage.graphs.studio import StudioSettings, teacher_only, teacher_student

TINY = {
    "env": "helpers.toy_task:Corridor",
    "num_envs": 4,
    "ppo.num_steps": 8,
    "wait": True,
    "steps": 1000,
    "evaluation.episodes": 2,
    "evaluation.final_episodes": 2,
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a server, and the fields that whoever starts it has set."""
    monkeypatch.chdir(tmp_path)
    set_fields(tmp_path, monkeypatch, TINY)
    return tmp_path


def set_fields(folder: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]) -> None:
    values = make_config(None, [], {"cache": folder / "plans.sqlite", **fields})
    file = folder / "fields.json"
    file.write_text(values.model_dump_json(exclude_unset=True))
    monkeypatch.setenv("TUTELAGE_STUDIO_CONFIG", str(file))


def named() -> dict[str, Any]:
    """What langgraph.json names, imported as the server does it."""
    text = (ROOT / "graphs" / "langgraph.json").read_text("utf-8")
    found = {}
    for name, where in json.loads(text)["graphs"].items():
        module, variable = where.split(":")
        found[name] = vars(importlib.import_module(module))[variable]
    return found


def ends(drawn: Any) -> set[tuple[str, str, bool]]:
    return {(edge.source, edge.target, edge.conditional) for edge in drawn.edges}


async def look(factory: Any) -> tuple[Any, Any]:
    async with factory() as graph:
        return graph.get_graph(), graph.get_context_jsonschema()


async def play(factory: Any, settings: StudioSettings) -> tuple[list[str], dict[str, Any]]:
    """The nodes that ran, and the state at the end."""
    nodes, state = [], {}
    async with factory() as graph:
        how = {"context": settings, "stream_mode": ["updates", "values"]}
        async for mode, item in graph.astream({}, {"recursion_limit": 500}, **how):
            if mode == "updates":
                nodes += item
            else:
                state = item
    return nodes, state


def test_every_graph_is_there() -> None:
    assert list(named()) == [info.name for info in list_graphs()]


@pytest.mark.parametrize("name", [info.name for info in list_graphs()])
def test_the_server_draws_the_graph_itself(name: str) -> None:
    """All its nodes and edges, and one more at the start that opens the run."""
    drawn, settings = asyncio.run(look(named()[name]))
    plain = ends(build_graph(name).get_graph())
    first = {(a, b, c) for a, b, c in plain if a == "__start__"}
    opening = {("begin", b, c) for _, b, c in first} | {("__start__", "begin", False)}
    assert ends(drawn) == (plain - first) | opening
    assert set(settings["properties"]) == {"env", "seed", "steps", "iterations"}


@pytest.mark.parametrize(
    "named",
    [
        {"env": "os:abort"},
        {"env": "helpers.toy_task:Corridor"},
        {"env": "Taxi-v3"},
        {"env": "/etc/passwd"},
        {"provider": "os:abort"},
        {"base_url": "http://127.0.0.1:1/v1"},
        {"run_dir": "/tmp/elsewhere"},
        {"settings": ["run_dir=/tmp/elsewhere"]},
        {"seed": -1},
        {"steps": 0},
        {"steps": 10**20},
        {"iterations": 10**20},
    ],
)
def test_nothing_else_can_be_set_from_outside(named: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(named))):
        StudioSettings(**named)


@pytest.mark.usefixtures("here")
def test_what_is_set_there_goes_before_the_servers_fields() -> None:
    config = StudioSettings(env="LavaDoorKey", seed=3, steps=500).config("shaped")
    assert (config.graph, config.env, config.seed, config.steps) == (
        *("shaped", "LavaDoorKey"),
        *(3, 500),
    )
    assert config.num_envs == TINY["num_envs"]
    assert StudioSettings().config("shaped").env == TINY["env"]


def test_a_run_in_the_studio(here: Path) -> None:
    nodes, state = asyncio.run(play(teacher_student, StudioSettings(iterations=2)))
    once = ["collect", "cache", "planner", "fallback", "teacher_check", "learner", "assess"]
    known = ["collect", "teacher_check", "learner", "assess"]
    assert nodes in (["begin", *once, *once], ["begin", *once, *known])
    assert state["iteration"] == 2
    (path,) = (here / "runs").iterdir()
    folder = RunFolder.open(path)
    assert [row.iteration for row in folder.read_metrics()] == [1, 2]
    with TraceReader(folder.trace) as trace:
        assert {each.situation_id for each in trace.situations()} == set(state["advice"])


def test_the_teacher_acts_in_the_studio(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_fields(here, monkeypatch, {"env": TINY["env"], "evaluation.final_episodes": 2})
    nodes, state = asyncio.run(play(teacher_only, StudioSettings(iterations=1)))
    assert nodes[:2] == ["begin", "perform"]
    assert nodes[-1] == "tally"
    assert state["env_steps"] > 0


def test_a_run_that_fails_is_closed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is free again: a lock that stays would refuse whoever comes next."""
    set_fields(here, monkeypatch, {**TINY, "run_dir": here / "run"})

    async def leave() -> None:
        async with teacher_student() as graph:
            async for _ in graph.astream({}, context=StudioSettings(), stream_mode="updates"):
                return

    asyncio.run(leave())
    from tutelage.graphs.records.lock import locked

    with locked(RunFolder.open(here / "run")):
        pass


@pytest.mark.usefixtures("here")
def test_the_server_keeps_the_state_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """Its checkpoints may hold the types that langgraph.json names, and no others."""
    text = (ROOT / "graphs" / "langgraph.json").read_text("utf-8")
    serde = json.loads(text)["checkpointer"]["serde"]
    modules = [tuple(name) for name in serde.pop("allowed_msgpack_modules")]
    saver = InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=modules, **serde))

    async def play_and_look() -> tuple[Any, Any]:
        thread: Any = {"configurable": {"thread_id": "1"}, "recursion_limit": 500}
        async with teacher_student() as graph:
            graph.checkpointer = saver
            ended = await graph.ainvoke({}, thread, context=StudioSettings(iterations=2))
            return ended, (await graph.aget_state(thread)).values

    ended, kept = asyncio.run(play_and_look())
    assert ended["advice"]
    assert kept == ended
    assert not caplog.records


@pytest.mark.slow
@pytest.mark.skipif(find_spec("langgraph_api") is None, reason="langgraph-cli[inmem] is missing")
def test_the_real_server_takes_the_short_list_alone(here: Path) -> None:
    """Over its port: as a run's settings, and as those of an assistant that is made there."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    where = ["--config", str(ROOT / "graphs" / "langgraph.json"), "--port", str(port)]
    with (here / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "langgraph_cli", "dev", *where, "--no-browser", "--no-reload"],
            cwd=here,
            env=environment({"PYTHONPATH": IMPORTABLE}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_for(lambda: is_up(client), server)
            assert ended(client, {"iterations": 1, "env": "SimpleDoorKey"})["iteration"] == 1
            for named in ("os:abort", "helpers.toy_task:Corridor"):
                assert "no shipped task" in str(ended(client, {"env": named})["__error__"])
            elsewhere = {"run_dir": str(here / "elsewhere"), "cache": str(here / "elsewhere")}
            evil = {"provider": "os:abort", "base_url": "http://127.0.0.1:1/v1", **elsewhere}
            pairs = [f"{name}={value}" for name, value in evil.items()]
            assistant = {"graph_id": "teacher_student", "context": {**evil, "settings": pairs}}
            made = client.post("/assistants", json=assistant).json()["assistant_id"]
            for context in ({**evil, "iterations": 1}, {"settings": pairs, "iterations": 1}):
                for name in ("teacher_student", made):
                    assert "__error__" not in ended(client, context, name)
        stored = [json.loads(file.read_text()) for file in here.glob("runs/*/config.json")]
        assert len(stored) == 5
        assert {(config["provider"], config["base_url"]) for config in stored} == {
            ("offline", None)
        }
        assert not (here / "elsewhere").exists()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/ok").is_success
    except httpx.TransportError:
        return False


def ended(
    client: httpx.Client, context: dict[str, Any], assistant: str = "teacher_student"
) -> dict[str, Any]:
    """The state at the end of a run over there, or its error."""
    asked = {"assistant_id": assistant, "input": {}, "context": context}
    limit = {"recursion_limit": 500}
    answer = client.post("/runs/wait", json={**asked, "config": limit})
    state: dict[str, Any] = answer.json()
    return state
