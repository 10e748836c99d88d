"""Tool calls that a model wrote into its words, because its server did not take them out.

A server without a parser for its model's own form hands the calls on as text. These forms are read:

    <tool_call>{"name": ..., "arguments": {...}}</tool_call>      any number, words around them
    [TOOL_CALLS] [{"name": ..., "arguments": {...}}]              to the end of the text
    <|python_tag|>{"name": ..., "parameters": {...}}; {...}       to the end of the text
    {"name": ..., "arguments": {...}} {...}                       nothing else but a fence around it

The content of a `<think>` block is no answer. All of it is data: read as JSON, looked up in what is
on offer, never evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tutelage.agents.client.errors import UnusableAnswer

Call = tuple[str, Any]
"""A tool's name and its arguments."""

LONGEST_TEXT: Final = 1 << 18
"""Characters that are looked through for an answer."""

_THOUGHT: Final = re.compile(r"\A\s*(?:<think>)?(?:(?!<think>).)*?</think>", re.DOTALL)
_TAGGED: Final = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_TO_THE_END: Final = re.compile(r"(?:\[TOOL_CALLS\]|<\|python_tag\|>)(.*)\Z", re.DOTALL)
_FENCED: Final = re.compile(r"\A```(?:\w+)?[ \t]*\n(.*?)\n?[ \t]*```\Z", re.DOTALL)
_BETWEEN: Final = re.compile(r"[\s,;]*")
_DECODER: Final = json.JSONDecoder()


def without_thoughts(text: str) -> str:
    """The answer without the thoughts before it, and without the fence around it.

    Empty where the thoughts have no end: then there is no answer. Raises UnusableAnswer for more
    than any model thinks: to look through it would hold up the student.
    """
    if len(text) > LONGEST_TEXT:
        raise UnusableAnswer(f"{len(text):,} characters; allowed: at most {LONGEST_TEXT:,}")
    bare = _THOUGHT.sub("", text, count=1).strip()
    if bare.startswith("<think>"):
        return ""
    fenced = _FENCED.match(bare)
    return fenced[1].strip() if fenced else bare


def calls_in(text: str) -> list[Call]:
    """The calls that a text holds, none where it is only words. Raises UnusableAnswer."""
    answer = without_thoughts(text)
    tagged = _TAGGED.findall(answer)
    if tagged:
        return [call for part in tagged for call in _calls(part)]
    to_the_end = _TO_THE_END.search(answer)
    if to_the_end:
        return _calls(to_the_end[1])
    return _calls(answer) if answer.startswith(("{", "[")) else []


def _calls(text: str) -> list[Call]:
    """The calls of a text that is all JSON."""
    return [call for value in _values(without_thoughts(text)) for call in _in_value(value)]


def _values(text: str) -> Iterator[Any]:
    """JSON values one after the other, with blanks, commas or semicolons between them."""
    place = _end_of_gap(text, 0)
    while place < len(text):
        try:
            value, place = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            raise UnusableAnswer("a call in the text is no JSON", shapeless=True) from None
        yield value
        place = _end_of_gap(text, place)


def _end_of_gap(text: str, place: int) -> int:
    gap = _BETWEEN.match(text, place)
    return gap.end() if gap else place


def _in_value(value: Any) -> list[Call]:
    """The calls of one JSON value: a call, or a list of them."""
    if isinstance(value, Mapping) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    return [_call(part) for part in (value if isinstance(value, list) else [value])]


def _call(value: Any) -> Call:
    """One call, its arguments under whatever name, as a table or as text."""
    call = value
    if isinstance(call, Mapping) and isinstance(call.get("function"), Mapping):
        call = call["function"]
    name = call.get("name", call.get("function")) if isinstance(call, Mapping) else None
    if not isinstance(name, str):
        raise UnusableAnswer("a call in the text has no name", shapeless=True)
    given = [call[key] for key in ("arguments", "parameters", "args") if key in call]
    return name, _arguments(given[0] if given else {})


def _arguments(given: Any) -> Any:
    if given is None or given == "":
        return {}
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except (ValueError, RecursionError):
        raise UnusableAnswer("the arguments of a call are no JSON", shapeless=True) from None
