"""The graphs as LangGraph's development server has them: found, drawn, run, closed."""

from __future__ import annotations

import asyncio
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from helpers.tiny_runs import ROOT
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.registry import build_graph, list_graphs
from tutelage.graphs.studio import StudioSettings, teacher_only, teacher_student

TINY = [
    *("num_envs=4", "ppo.num_steps=8", "wait=true", "steps=1000"),
    *("evaluation.episodes=2", "evaluation.final_episodes=2"),
]


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
    assert {"env", "provider", "seed", "iterations"} <= set(settings["properties"])


def test_a_run_in_the_studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = StudioSettings(
        env="helpers.toy_task:Corridor",
        iterations=2,
        settings=[*TINY, f"cache={tmp_path / 'plans'}"],
    )
    nodes, state = asyncio.run(play(teacher_student, settings))
    once = ["collect", "cache", "planner", "fallback", "teacher_check", "learner", "assess"]
    known = ["collect", "teacher_check", "learner", "assess"]
    assert nodes in (["begin", *once, *once], ["begin", *once, *known])
    assert state["iteration"] == 2
    (path,) = (tmp_path / "runs").iterdir()
    folder = RunFolder.open(path)
    assert [row.iteration for row in folder.read_metrics()] == [1, 2]
    with TraceReader(folder.trace) as trace:
        assert {each.situation_id for each in trace.situations()} == set(state["advice"])


def test_the_teacher_acts_in_the_studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = ["evaluation.final_episodes=2", f"cache={tmp_path / 'plans'}"]
    settings = StudioSettings(env="helpers.toy_task:Corridor", iterations=1, settings=tiny)
    nodes, state = asyncio.run(play(teacher_only, settings))
    assert nodes[:2] == ["begin", "perform"]
    assert nodes[-1] == "tally"
    assert state["env_steps"] > 0


def test_a_run_that_fails_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is free again: a lock that stays would refuse whoever comes next."""
    monkeypatch.chdir(tmp_path)
    where = [f"run_dir={tmp_path / 'run'}", f"cache={tmp_path / 'plans'}"]
    settings = StudioSettings(env="helpers.toy_task:Corridor", settings=[*TINY, *where])

    async def leave() -> None:
        async with teacher_student() as graph:
            async for _ in graph.astream({}, context=settings, stream_mode="updates"):
                return

    asyncio.run(leave())
    from tutelage.graphs.records.lock import locked

    with locked(RunFolder.open(tmp_path / "run")):
        pass


def test_the_server_keeps_the_state_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its checkpoints may hold the types that langgraph.json names, and no others."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "graphs" / "langgraph.json").read_text("utf-8")
    serde = json.loads(text)["checkpointer"]["serde"]
    modules = [tuple(name) for name in serde.pop("allowed_msgpack_modules")]
    saver = InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=modules, **serde))
    settings = StudioSettings(
        env="helpers.toy_task:Corridor",
        iterations=2,
        settings=[*TINY, f"cache={tmp_path / 'plans'}"],
    )

    async def play_and_look() -> tuple[Any, Any]:
        thread: Any = {"configurable": {"thread_id": "1"}, "recursion_limit": 500}
        async with teacher_student() as graph:
            graph.checkpointer = saver
            ended = await graph.ainvoke({}, thread, context=settings)
            return ended, (await graph.aget_state(thread)).values

    ended, kept = asyncio.run(play_and_look())
    assert ended["advice"]
    assert kept == ended
    assert not caplog.records
