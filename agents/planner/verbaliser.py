"""From a situation id to a question: the rendered messages and the tools on offer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from tutelage.agents.planner.lookups import LookupTools
from tutelage.agents.planner.option_tools import OptionTools, option_help
from tutelage.prompts.library import PromptLibrary
from tutelage.rl.tasks.base import notes_of
from tutelage.rl.tasks.lookups import checked_lookups
from tutelage.rl.tasks.options import Option

_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
"""Control characters, the line feed apart."""


class Situations(Protocol):
    """The part of a task (`rl.tasks.base.Task`) that a teacher needs: its situations, and no
    states."""

    name: str

    def describe(self, situation_id: int) -> str:
        """The situation's canonical text; two situation ids never share one."""

    def options(self, situation_id: int) -> tuple[Option, ...]:
        """The options on offer in a situation, in a fixed order."""


@dataclass(frozen=True)
class Question:
    """The question about one situation: messages, options on offer, and look-ups."""

    messages: tuple[BaseMessage, ...]
    options: tuple[Option, ...]
    tools: OptionTools
    lookups: LookupTools = field(default_factory=lambda: LookupTools({}))


class Verbaliser:
    """Renders a task's situations through the prompt templates.

    thinking: whether the model is told to think in words before it answers. lookups: the names of
    what may be looked up. Raises UnknownLookupError where the task lacks one.
    """

    def __init__(
        self,
        task: Situations,
        library: PromptLibrary,
        max_options: int,
        thinking: bool = False,
        lookups: Sequence[str] = (),
    ) -> None:
        self._task = task
        self._library = library
        self._max_options = max_options
        self._thinking = thinking
        self._lookups = checked_lookups(task, lookups)

    def question(self, situation_id: int) -> Question:
        """The messages and tools of a situation. Raises PromptError for a broken template."""
        options = self._task.options(situation_id)
        system = self._library.get("planner_system").render(
            task_name=plain(self._task.name),
            task_notes=plain(notes_of(self._task)),
            option_help=plain(option_help(options)),
            max_options=str(self._max_options),
            thinking=self._library.get("planner_thinking").render() if self._thinking else "",
            examples=self._library.get("planner_examples").render(),
        )
        situation = self._library.get("planner_situation").render(
            situation=plain(self._task.describe(situation_id)),
            options=plain("\n".join(f"- {option}" for option in options)),
        )
        messages = (SystemMessage(system), HumanMessage(situation))
        answers = {
            name: (lookup.help, plain(lookup.answer(situation_id)))
            for name, lookup in self._lookups.items()
        }
        return Question(messages, options, OptionTools(options), LookupTools(answers))


def plain(text: str) -> str:
    """Text from an environment, without control characters and without what would end its fence."""
    return _CONTROL.sub(" ", text).replace("```", "'''")


def canonical(situation: str) -> str:
    """A situation's text as prompts hold it, blanks at the ends of its lines apart."""
    return "\n".join(line.rstrip() for line in plain(situation).strip().splitlines())
