"""The main graph: an LLM teaches a PPO student and is withdrawn as the student gets better.

    collect -> cache -> planner -> fallback -> teacher_check -> learner -> assess -> collect ... END

Where the teacher has said all that is needed, and once it is removed, it is
`training_loop -> assess -> training_loop ... END`: many rollouts and updates for each pass.
"""

from __future__ import annotations

from typing import Any

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from tutelage.graphs.nodes import routes
from tutelage.graphs.nodes.advise import cache, fallback, planner
from tutelage.graphs.nodes.assess import assess
from tutelage.graphs.nodes.collect import collect
from tutelage.graphs.nodes.learn import UpdateRule, imitation, learner_of, training_loop_of
from tutelage.graphs.nodes.teacher_check import teacher_check
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.state import TeachState


def build() -> CompiledStateGraph[TeachState, RunContext, Any, Any]:
    """The compiled graph."""
    return taught(imitation)


def taught(update_rule: UpdateRule) -> CompiledStateGraph[TeachState, RunContext, Any, Any]:
    """The compiled graph with any update rule: what advice is to learning is the rule's affair."""
    graph = StateGraph(TeachState, context_schema=RunContext)
    for node in (collect, cache, planner, fallback, teacher_check, assess):
        graph.add_node(node.__name__, node)
    for made in (learner_of(update_rule), training_loop_of(update_rule)):
        graph.add_node(made.__name__, made)
    graph.add_conditional_edges(START, routes.begin)
    graph.add_conditional_edges("collect", routes.after_collect)
    graph.add_edge("cache", "planner")
    graph.add_conditional_edges("planner", routes.after_planner)
    graph.add_conditional_edges("fallback", routes.after_fallback)
    graph.add_conditional_edges("teacher_check", routes.after_teacher_check)
    graph.add_edge("learner", "assess")
    graph.add_conditional_edges("training_loop", routes.after_training_loop)
    graph.add_conditional_edges("assess", routes.after_assess)
    return graph.compile()
