"""Rounds of look-ups that many situations share.

As long as two situations have the same messages, the model would look up the same in both. It is
asked once, and each situation gets its own answers to the look-ups.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ToolCall,
    ToolMessage,
    convert_to_openai_messages,
)

from tutelage.agents.client.request_modes import OutputMode
from tutelage.agents.planner.lookup_tools import LookupTools, is_lookup


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
