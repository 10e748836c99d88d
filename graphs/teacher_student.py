"""The main graph: an LLM teaches a PPO student and is withdrawn as the student gets better.

    collect -> cache -> planner -> fallback -> teacher_check -> learner -> assess -> collect ... END

Where the teacher has said all that is needed, and once it is removed, it is
`practice -> assess -> practice ... END`: many rollouts and lessons for each pass.
"""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from tutelage.graphs.nodes.advise import after_fallback, after_planner, cache, fallback, planner
from tutelage.graphs.nodes.assess import after_assess, after_collect, assess, begin
from tutelage.graphs.nodes.collect import collect
from tutelage.graphs.nodes.learn import (
    UpdateRule,
    after_training_loop,
    imitation,
    learner_of,
    training_loop_of,
)
from tutelage.graphs.nodes.teacher_check import after_teacher_check, teacher_check
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.state import TeachState


def build(
    saver: BaseCheckpointSaver[str] | None = None,
) -> CompiledStateGraph[TeachState, RunContext, Any, Any]:
    """The compiled graph. saver: where LangGraph keeps its checkpoints, if anywhere."""
    return taught(imitation, saver)


def taught(
    update_rule: UpdateRule, saver: BaseCheckpointSaver[str] | None
) -> CompiledStateGraph[TeachState, RunContext, Any, Any]:
    """The graph with any lesson: what it makes of the advice is its own affair."""
    graph = StateGraph(TeachState, context_schema=RunContext)
    nodes = (
        collect,
        cache,
        planner,
        fallback,
        teacher_check,
        learner_of(update_rule),
        training_loop_of(update_rule),
    )
    for node in (*nodes, assess):
        graph.add_node(node.__name__, node)
    graph.add_conditional_edges(START, begin)
    graph.add_conditional_edges("collect", after_collect)
    graph.add_edge("cache", "planner")
    graph.add_conditional_edges("planner", after_planner)
    graph.add_conditional_edges("fallback", after_fallback)
    graph.add_conditional_edges("teacher_check", after_teacher_check)
    graph.add_edge("learner", "assess")
    graph.add_conditional_edges("training_loop", after_training_loop)
    graph.add_conditional_edges("assess", after_assess)
    return graph.compile(checkpointer=saver)
