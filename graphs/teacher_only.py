"""The teacher acts alone: a plan is drawn when the situation changes, and held until then.

    perform -> cache -> planner -> fallback -> perform ... tally -> perform ... END

It needs its answers at once, so every one of them is waited for. The episodes are those in which a
student is tested, so that the two can be compared.
"""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from tutelage.graphs.nodes.advise import after_fallback, after_planner, cache, fallback, planner
from tutelage.graphs.nodes.perform import after_perform, after_tally, perform, tally
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.state import TeachState


def build(
    saver: BaseCheckpointSaver[str] | None = None,
) -> CompiledStateGraph[TeachState, RunContext, Any, Any]:
    """The compiled graph. saver: where LangGraph keeps its checkpoints, if anywhere."""
    graph = StateGraph(TeachState, context_schema=RunContext)
    for node in (perform, cache, planner, fallback, tally):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "perform")
    graph.add_conditional_edges("perform", after_perform)
    graph.add_edge("cache", "planner")
    graph.add_conditional_edges("planner", after_planner)
    graph.add_conditional_edges(
        "fallback", after_fallback, {"teacher_check": "perform", "__end__": "__end__"}
    )
    graph.add_conditional_edges("tally", after_tally)
    return graph.compile(checkpointer=saver)
