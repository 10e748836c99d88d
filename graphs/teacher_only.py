"""The teacher acts alone: a plan is drawn when the situation changes, and held until then.

    perform -> cache -> planner -> fallback -> perform ... tally -> perform ... END

It needs its answers at once, so every one of them is waited for. The episodes are those in which a
student is tested, so that the two can be compared.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from tutelage.graphs.nodes import routes
from tutelage.graphs.nodes.advise import cache, fallback, planner
from tutelage.graphs.nodes.perform import perform, tally
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.state import TeachState


def build() -> CompiledStateGraph[TeachState, RunContext, Any, Any]:
    """The compiled graph."""
    graph = StateGraph(TeachState, context_schema=RunContext)
    for node in (perform, cache, planner, fallback, tally):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "perform")
    graph.add_conditional_edges("perform", routes.after_perform)
    graph.add_edge("cache", "planner")
    graph.add_conditional_edges("planner", routes.after_planner)
    then: dict[Hashable, str] = {"teacher_check": "perform", "__end__": "__end__"}
    graph.add_conditional_edges("fallback", routes.after_fallback, then)
    graph.add_conditional_edges("tally", routes.after_tally)
    return graph.compile()
