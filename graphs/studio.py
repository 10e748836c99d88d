"""The graphs for LangGraph's own development server (`langgraph dev`, `langgraph.json`).

The server draws a graph, asks for its settings and runs it itself. So what `graphs.runtime.run`
does around a graph is a node here, `begin`: it opens a run folder and hands on the first state. All
other nodes and all routes are those of the graph, in one thread of their own: networks and SQLite
stay there, and the server's event loop is never held up.

Whoever reaches the server's port can start a run. So what can be set from there is a short list,
with nothing in it that names a file, an address or code. All else is up to whoever starts the
server, in a file of fields that `TUTELAGE_STUDIO_CONFIG` names.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Event as StopSignal
from time import monotonic
from typing import Any, Final

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel, ConfigDict, Field, field_validator
from typing_extensions import TypedDict

from tutelage.agents.providers.make import keep_tracing_private
from tutelage.graphs.config.config import RunConfig, make_config
from tutelage.graphs.config.events import Event
from tutelage.graphs.records.lock import locked
from tutelage.graphs.registry import build_graph
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.runtime.driving import opening_state
from tutelage.graphs.runtime.run import new_folder
from tutelage.graphs.runtime.run_spec import RunSpec, open_teacher
from tutelage.graphs.runtime.setup import open_context
from tutelage.graphs.state import TeachState
from tutelage.rl.errors import did_you_mean
from tutelage.rl.tasks.shipped import find_shipped, shipped_tasks

StudioGraph = CompiledStateGraph[Any, Any, Any, Any]
Factory = Callable[[], AbstractAsyncContextManager[StudioGraph]]

_BEGIN: Final = "begin"
_VARIABLE: Final = "TUTELAGE_STUDIO_CONFIG"


class StudioSettings(BaseModel):
    """What can be set in the Studio; a run there is for looking, not for training to the end.

    None leaves it to the server's own file of fields, and that to the defaults.
    """

    model_config = ConfigDict(extra="forbid")

    env: str | None = Field(None, description="A shipped task; see `envs list`.")
    seed: int | None = Field(None, ge=0, lt=2**31, description="Seed of everything random.")
    steps: int | None = Field(None, ge=1, le=10**9, description="Environment steps of the run.")
    iterations: int = Field(
        3,
        ge=1,
        le=10**6,
        description="Iterations to run: each takes as many steps as the graph has nodes.",
    )

    @field_validator("env")
    @classmethod
    def _is_shipped(cls, env: str | None) -> str | None:
        """Nobody from outside names code. Raises ValueError."""
        if env is not None and find_shipped(env) is None:
            names = [task.name for task in shipped_tasks()]
            raise ValueError(f"no shipped task{did_you_mean(env, names)}")
        return env

    def config(self, graph: str) -> RunConfig:
        """The configuration of a run of that graph. Raises ConfigError."""
        given = os.environ.get(_VARIABLE)
        named = {"graph": graph, "env": self.env, "seed": self.seed, "steps": self.steps}
        return make_config(Path(given) if given else None, [], named)


class StudioInput(TypedDict, total=False):
    """Nothing has to be said: `begin` makes the first state."""


class _Session:
    """One run of a graph by the server, in a thread of its own."""

    def __init__(self, graph: str) -> None:
        self._graph = graph
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tutelage")
        self._resources = ExitStack()
        self._stop = StopSignal()
        self._context: RunContext | None = None

    async def begin(
        self,
        state: StudioInput,  # noqa: ARG002 - LangGraph hands a node the state first
        runtime: Runtime[StudioSettings],
    ) -> dict[str, Any]:
        """Open the run's folder, its networks and its teacher; the first state."""
        first: dict[str, Any] = await self._call(self._open, runtime.context or StudioSettings())
        return first

    def within(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A node or a route of the graph, given this session's context in its own thread."""

        async def inside(state: TeachState, runtime: Runtime[StudioSettings]) -> Any:
            held: Any = self._context  # in place of the settings it was made from
            return await self._call(function, state, runtime.override(context=held))

        return inside

    async def close(self) -> None:
        """End what is going on, and close what was opened."""
        self._stop.set()
        await self._call(self._resources.close)
        self._thread.shutdown(wait=False)

    def _open(self, settings: StudioSettings) -> dict[str, Any]:
        keep_tracing_private()
        spec = RunSpec(settings.config(self._graph))
        folder = new_folder(spec)
        self._resources.enter_context(locked(folder))
        teacher = open_teacher(spec, _ignore, self._resources, spending=folder.spending)
        self._context = open_context(
            spec, folder, teacher, monotonic(), self._stop, _ignore, self._resources
        )
        return {**opening_state(self._context), "until_iteration": settings.iterations}

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        inside = partial(contextvars.copy_context().run, function, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self._thread, inside)


def _ignore(_event: Event) -> None:
    """The server shows the state; nobody reads lines."""


def _for_server(name: str, session: _Session) -> StudioGraph:
    """The graph of that name behind `begin`, its nodes and routes within the session."""
    plain: Any = build_graph(name).builder  # LangGraph's types do not tell of its functions
    graph = StateGraph(TeachState, StudioSettings, input_schema=StudioInput)
    graph.add_node(_BEGIN, session.begin)
    graph.add_edge(START, _BEGIN)
    for node, spec in plain.nodes.items():
        graph.add_node(node, session.within(spec.runnable.func))
    for source, target in plain.edges:
        graph.add_edge(_BEGIN if source == START else source, target)
    for node, branches in plain.branches.items():
        for branch in branches.values():
            route = branch.path.func
            takes_context = "runtime" in branch.path.func_accepts
            graph.add_conditional_edges(
                _BEGIN if node == START else node,
                session.within(route) if takes_context else route,
                branch.ends,
            )
    return graph.compile(name=name)


def _factory(name: str) -> Factory:
    """What `langgraph.json` names: the server calls it for each look at the graph and each run."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[StudioGraph]:
        session = _Session(name)
        try:
            yield _for_server(name, session)
        finally:
            await session.close()

    return opened


teacher_student = _factory("teacher_student")
teacher_only = _factory("teacher_only")
student_only = _factory("student_only")
hierarchical = _factory("hierarchical")
shaped = _factory("shaped")
