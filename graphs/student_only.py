"""PPO without a teacher: no LLM node is in the graph, and none is ever asked.

collect -> learner -> assess -> collect ... END
"""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from graphs.context import RunContext
from graphs.learners import learner
from graphs.nodes import after_assess, assess, collect
from graphs.state import TeachState


def build(
    saver: BaseCheckpointSaver[str] | None = None,
) -> CompiledStateGraph[TeachState, RunContext, Any, Any]:
    """The compiled graph. saver: where LangGraph keeps its checkpoints, if anywhere."""
    graph = StateGraph(TeachState, context_schema=RunContext)
    for node in (collect, learner, assess):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "collect")
    graph.add_edge("collect", "learner")
    graph.add_edge("learner", "assess")
    graph.add_conditional_edges("assess", after_assess)
    return graph.compile(checkpointer=saver)
