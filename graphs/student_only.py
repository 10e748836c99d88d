"""PPO without a teacher: no LLM node is in the graph, and none is ever asked.

training_loop -> assess -> training_loop ... END
"""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from tutelage.graphs.nodes.assess import assess
from tutelage.graphs.nodes.learn import imitation, training_loop_of
from tutelage.graphs.nodes.routes import after_assess
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.state import TeachState


def build() -> CompiledStateGraph[TeachState, RunContext, Any, Any]:
    """The compiled graph."""
    graph = StateGraph(TeachState, context_schema=RunContext)
    for node in (training_loop_of(imitation), assess):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "training_loop")
    graph.add_edge("training_loop", "assess")
    graph.add_conditional_edges("assess", after_assess, ["training_loop", END])
    return graph.compile()
