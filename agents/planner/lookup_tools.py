"""Look-ups as tools: what a model may ask about a situation before it decides.

A look-up answers about the situation and not about one state, so its answer is known before the
model asks (`rl.tasks.lookups`). Where a model has no tools, it is told all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

PREFIX: Final = "look_up_"
"""How the names of look-up tools begin; those of options do not."""

_ADVICE: Final = (
    "Looks something up before you decide, and changes nothing in the world. Call all the look-ups"
    " that you want in one answer, without options. It tells: "
)


@dataclass(frozen=True)
class LookedUp:
    """help: what the look-up tells, in a sentence. answer: what it tells in this situation."""

    help: str
    answer: str


class LookupTools:
    """The look-ups of one situation, by name; most often there are none.

    answers: what each tells, by its tool's name. schemas: the tools in OpenAI's form.
    """

    def __init__(self, lookups: Mapping[str, LookedUp]) -> None:
        self.answers = {PREFIX + name: found.answer for name, found in lookups.items()}
        self.schemas = [_schema(PREFIX + name, found.help) for name, found in lookups.items()]

    def __bool__(self) -> bool:
        return bool(self.answers)

    def answer(self, tool: str) -> str:
        """The answer to a call of the tool, or why there is none."""
        if tool in self.answers:
            return self.answers[tool]
        if tool.startswith(PREFIX):
            return f"There is no such look-up; there are: {', '.join(self.answers)}."
        return "Not done: decide after you have looked things up."

    def told(self) -> str:
        """All answers as text, for a model without tools."""
        return "\n\n".join(self.answers.values())


def is_lookup(tool: str) -> bool:
    """Whether a tool's name is a look-up's."""
    return tool.startswith(PREFIX)


def _schema(tool: str, help_: str) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }
    return {
        "type": "function",
        "function": {"name": tool, "description": _ADVICE + help_, "parameters": parameters},
    }
