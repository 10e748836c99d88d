"""The main graph: an LLM teaches a PPO student and is withdrawn as the student gets better.

    collect -> cache -> planner -> fallback -> trial -> learner -> assess -> collect ... END

Once the teacher is removed, it is `practice -> assess -> practice ... END`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from graphs.context import RunContext
from graphs.learners import after_trial, learner, practice, trial
from graphs.nodes import (
    after_assess,
    after_collect,
    after_fallback,
    after_planner,
    assess,
    begin,
    cache,
    collect,
    fallback,
    planner,
)
from graphs.state import TeachState, Update


def build(
    saver: BaseCheckpointSaver[str] | None = None,
) -> CompiledStateGraph[TeachState, RunContext, Any, Any]:
    """The compiled graph. saver: where LangGraph keeps its checkpoints, if anywhere."""
    return taught(learner, saver)


def taught(
    learn: Callable[..., Update], saver: BaseCheckpointSaver[str] | None
) -> CompiledStateGraph[TeachState, RunContext, Any, Any]:
    """The graph with any learner: what it makes of the advice is its own affair."""
    graph = StateGraph(TeachState, context_schema=RunContext)
    for node in (collect, cache, planner, fallback, trial, practice, assess):
        graph.add_node(node.__name__, node)
    graph.add_node("learner", learn)
    graph.add_conditional_edges(START, begin)
    graph.add_conditional_edges("collect", after_collect)
    graph.add_edge("cache", "planner")
    graph.add_conditional_edges("planner", after_planner)
    graph.add_conditional_edges("fallback", after_fallback)
    graph.add_conditional_edges("trial", after_trial)
    graph.add_edge("learner", "assess")
    graph.add_edge("practice", "assess")
    graph.add_conditional_edges("assess", after_assess)
    return graph.compile(checkpointer=saver)
