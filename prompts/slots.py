"""The templates the code asks for, declared once: the role of each and the variables it may use.

A slot is a place in the code that needs a prompt; a template is the file that fills it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["system", "user", "part"]
"""Whose message a template makes; a part is put into another template's message."""


@dataclass(frozen=True)
class Slot:
    """What the code demands of one template.

    variables: every variable the code supplies, with a sentence that says what it holds.
    optional: the variables that may be empty; a line that holds nothing else then goes with them.
    fenced: the variable that the template must use, alone in a fenced block of its own name, so
    that a program can read it back out of the rendered text; None where there is none.
    """

    name: str
    role: Role
    variables: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    fenced: str | None = None


_SLOTS = (
    Slot(
        name="planner_system",
        role="system",
        variables={
            "task_name": "The task's name.",
            "task_notes": "What the task tells of its world; empty where it tells nothing.",
            "option_help": "What the option tools do, one line for each or for each target.",
            "max_options": "The largest number of options that a plan may have.",
            "thinking": "planner_thinking where teacher.thinking is on, else empty.",
            "examples": "planner_examples.",
        },
        optional=frozenset({"task_notes", "thinking", "examples"}),
    ),
    Slot(
        name="planner_situation",
        role="user",
        variables={
            "situation": "The situation's canonical text.",
            "options": "The options on offer in the situation, one a line.",
        },
        fenced="situation",
    ),
    Slot(name="planner_examples", role="part", variables={}),
    Slot(name="planner_thinking", role="part", variables={}),
)

SLOTS: Final[Mapping[str, Slot]] = {slot.name: slot for slot in _SLOTS}
"""All slots by name, in the order in which they are listed."""
