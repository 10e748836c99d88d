"""Look-ups as tools: what a model may ask about a situation before it decides.

A look-up answers about the situation and not about one state, so its answer is known before the
model asks (`rl.tasks.lookups`). Where a model has no tools, it is told all of them at once. As long
as two situations have the same messages, the model would look up the same in both: it is asked
once, and each situation gets its own answers.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Final

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ToolCall,
    ToolMessage,
    convert_to_openai_messages,
)

from tutelage.agents.client.request_modes import OutputMode
from tutelage.agents.planner.option_tools import tool_schema

PREFIX: Final = "look_up_"
"""How the names of look-up tools begin; those of options do not."""

_ADVICE: Final = (
    "Looks something up before you decide, and changes nothing in the world. Call all the look-ups"
    " that you want in one answer, without options. It tells: "
)


class LookupTools:
    """The look-ups of one situation, by name; most often there are none.

    lookups: a sentence on what each look-up tells, and its answer in this situation. answers: by
    the tool's name. schemas: the tools in OpenAI's form.
    """

    def __init__(self, lookups: Mapping[str, tuple[str, str]]) -> None:
        self.answers = {PREFIX + name: answer for name, (_, answer) in lookups.items()}
        self.schemas = [
            tool_schema(PREFIX + name, _ADVICE + help_) for name, (help_, _) in lookups.items()
        ]

    def __bool__(self) -> bool:
        return bool(self.answers)

    def answer(self, tool: str) -> str:
        """The answer to a call of a look-up tool, or that there is no such look-up."""
        unknown = f"There is no such look-up; there are: {', '.join(self.answers)}."
        return self.answers.get(tool, unknown)

    def as_text(self) -> str:
        """All answers as text, for a model without tools."""
        return "\n\n".join(self.answers.values())


def is_lookup(tool: str) -> bool:
    """Whether a tool's name is a look-up's."""
    return tool.startswith(PREFIX)


class SharedLookups:
    """Answers to requests for look-ups, by the messages. May be used by many threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[str, Future[AIMessage | None]] = {}

    def answer(
        self,
        messages: Sequence[BaseMessage],
        output_mode: OutputMode,
        ask: Callable[[], AIMessage | None],
    ) -> AIMessage | None:
        """The answer to these messages: another thread's, waited for if need be, or one's own.

        ask: gets it. None, where that fails, is not shared.
        """
        key = json.dumps([output_mode, convert_to_openai_messages(messages)], sort_keys=True)
        mine: Future[AIMessage | None] = Future()
        while True:
            with self._lock:
                found = self._answers.setdefault(key, mine)
            if found is mine:
                break
            answer = found.result()
            if answer is not None:
                return answer
        answer = None
        try:
            answer = ask()
        finally:
            if answer is None:
                with self._lock:
                    del self._answers[key]
            mine.set_result(answer)
        return answer


def looked_up(
    lookups: LookupTools, calls: Sequence[tuple[str, object]], first: int
) -> list[BaseMessage]:
    """A round of the conversation: the model's calls, and what each of them gets.

    calls: (tool, arguments). first: the number of the first call.
    """
    ids = [f"call_{first + place}" for place in range(len(calls))]
    made = [
        ToolCall(name=name, args={}, id=id_, type="tool_call")
        for id_, (name, _) in zip(ids, calls, strict=True)
        if is_lookup(name)
    ]
    answers = [ToolMessage(lookups.answer(c["name"]), tool_call_id=str(c["id"])) for c in made]
    return [AIMessage("", tool_calls=made), *answers]
