"""What of a request a server refuses, so that it is left out of those that follow.

`n`, `seed` and the form of the answer belong to the request mode (`agents.client.request_modes`).
What is here changes nothing about how an answer is asked for or read.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, get_args

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

Parameter = Literal["temperature", "system", "tool_choice", "response_format"]
"""temperature: the sampling temperature. system: the role of that name; its text goes into the
user's first message. tool_choice: that tools are offered and none is required, which they
are without it, too. response_format: the JSON schema of an answer that is asked for in words, too.
"""

_PARAMETERS: Final[tuple[Parameter, ...]] = get_args(Parameter)

_BLAMED: Final[Mapping[Parameter, re.Pattern[str]]] = {
    "system": re.compile(
        r"system[ _](role|message|prompt|instruction)s?\b[^.]{0,40}\bnot? "
        r"|support '?\"?system\b|\broles?\b.{0,40}\b(alternate|system)\b"
        r"|only user and assistant roles|developer instruction is not",
        re.IGNORECASE,
    ),
    "temperature": re.compile(r"\btemperature\b", re.IGNORECASE),
    "tool_choice": re.compile(r"\btool_choice\b"),
    "response_format": re.compile(r"\bresponse_format\b|\bjson_schema\b|\bgrammar\b"),
}
"""How the words of an error name it: those of vLLM, llama.cpp, OpenAI, Google and others."""


def blamed(said: str, named: Sequence[str]) -> Iterator[Parameter]:
    """What of a request an error blames.

    said: its words. named: the parameters that it names in a field for them; where there are any,
    the words count for the roles of messages alone.
    """
    for parameter in _PARAMETERS:
        words_count = not named or (parameter == "system" and "messages" in named)
        if parameter in named or (words_count and _BLAMED[parameter].search(said)):
            yield parameter


def named_in(body: Any) -> list[str]:
    """The parameters that an error's body names: in OpenAI's form, or in FastAPI's."""
    if not isinstance(body, Mapping):
        return []
    inner = body.get("error")
    fields = [body.get("param"), inner.get("param") if isinstance(inner, Mapping) else None]
    details = body.get("detail")
    for detail in details if isinstance(details, list) else ():
        place = detail.get("loc") if isinstance(detail, Mapping) else None
        fields += [part for part in place if part != "body"][:1] if isinstance(place, list) else []
    return [re.split(r"[.\[]", field)[0] for field in fields if isinstance(field, str) and field]


LEAVING_OUT: Final[Mapping[Parameter, str]] = {
    "temperature": "it is asked without a temperature, which it refuses",
    "system": "the system's text goes into the user's first message, as it refuses that role",
    "tool_choice": "it is asked without tool_choice, which it refuses",
    "response_format": "it is asked for JSON in words alone, as it refuses response_format",
}
"""What is done about each of them, as people are told."""


class LeftOut:
    """What a server is not sent any more; may be used by many threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parameters: dict[Parameter, str] = {}

    @property
    def parameters(self) -> Mapping[Parameter, str]:
        """All of it, with the words that refused it, in the order in which it was refused."""
        with self._lock:
            return dict(self._parameters)

    def add(self, parameter: Parameter, complaint: str) -> None:
        """Leave it out from now on. complaint: the words of the first refusal stay."""
        with self._lock:
            self._parameters.setdefault(parameter, complaint)


def without_system(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages with the text of the system's at the beginning of the first of the user's."""
    system = [message.text for message in messages if isinstance(message, SystemMessage)]
    others = [message for message in messages if not isinstance(message, SystemMessage)]
    first = next((n for n, message in enumerate(others) if isinstance(message, HumanMessage)), None)
    if not system:
        return others
    if first is None:
        return [HumanMessage("\n\n".join(system)), *others]
    others[first] = HumanMessage("\n\n".join([*system, others[first].text]))
    return others
