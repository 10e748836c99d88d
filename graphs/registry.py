"""The graphs by name. A new graph is a file beside this one and a line here."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tutelage.rl.errors import UserError, one_of

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph


class UnknownGraphError(UserError):
    """No graph of that name; the message lists what is allowed."""


@dataclass(frozen=True)
class GraphInfo:
    """A graph: its name, what it is for, and the module whose `build()` compiles it.

    unused: the fields and sections of the configuration that mean nothing in it
    (`graphs.config.compatibility`). by_options: whether its student picks options in place of
    primitive actions. steps: the most nodes that an iteration passes through, some of them twice.
    """

    name: str
    summary: str
    module: str
    unused: tuple[str, ...] = ()
    by_options: bool = False
    steps: int = 11

    @property
    def taught(self) -> bool:
        """Whether a teacher is part of it."""
        return "teacher" not in self.unused

    @property
    def learns(self) -> bool:
        """Whether a student is part of it; else the teacher acts."""
        return "student" not in self.unused


_ABOUT_THE_TEACHER: Final = ("provider", "base_url", "prompts", "teacher", "weaning")

_ABOUT_LEARNING: Final = ("student", "ppo", "weaning", "steps", "num_envs", "device")

ROUND: Final = 25
"""Steps of each environment in an iteration of a graph in which the teacher acts."""

_GRAPHS: Final = (
    GraphInfo(
        "teacher_student",
        "An LLM teaches a PPO student and is withdrawn as the student gets better.",
        "tutelage.graphs.teacher_student",
        unused=("hierarchical", "shaping"),
    ),
    GraphInfo(
        "teacher_only",
        "The LLM itself acts, a plan at a time, so that its success and its cost are known.",
        "tutelage.graphs.teacher_only",
        unused=(*_ABOUT_LEARNING, "hierarchical", "shaping"),
        steps=4 * ROUND + 2,
    ),
    GraphInfo(
        "student_only",
        "A PPO student learns from reward alone; no LLM is in it.",
        "tutelage.graphs.student_only",
        unused=(*_ABOUT_THE_TEACHER, "hierarchical", "shaping"),
    ),
    GraphInfo(
        "hierarchical",
        "The PPO student picks options, not primitive actions; an LLM may teach it which.",
        "tutelage.graphs.hierarchical",
        unused=("shaping",),
        by_options=True,
    ),
    GraphInfo(
        "shaped",
        "An LLM's advice shapes the PPO student's reward and leaves the best policy as it is.",
        "tutelage.graphs.shaped",
        unused=("hierarchical",),
    ),
)


def list_graphs() -> tuple[GraphInfo, ...]:
    """All graphs."""
    return _GRAPHS


def find_graph(name: str) -> GraphInfo:
    """The graph of that name. Raises UnknownGraphError."""
    for info in _GRAPHS:
        if info.name == name:
            return info
    names = [info.name for info in _GRAPHS]
    raise UnknownGraphError(f"unknown graph {name!r}{one_of(name, names)}")


def build_graph(name: str) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Compile the graph of that name. Raises UnknownGraphError."""
    build: Callable[[], CompiledStateGraph[Any, Any, Any, Any]]
    build = importlib.import_module(find_graph(name).module).build
    return build()
