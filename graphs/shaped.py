"""The teacher's advice as reward: potential-based shaping, which leaves the best policy as it is.

The nodes are those of `teacher_student`, but for an update rule that adds shaping terms to the
rollout's rewards (`rl.teaching.shaping`) in place of a term to the loss. They fall and end with the
teacher's weight.
"""

from __future__ import annotations

from typing import Any

from langgraph.graph.state import CompiledStateGraph

from tutelage.graphs.nodes.learn import shaping
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.state import TeachState
from tutelage.graphs.teacher_student import taught


def build() -> CompiledStateGraph[TeachState, RunContext, Any, Any]:
    """The compiled graph."""
    return taught(shaping)
