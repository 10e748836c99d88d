"""The known habits of local servers, as behaviours of the loopback server.

Each knows the right plan and says it in its own way; see `openai_server` for what a behaviour is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from helpers.openai_server import Behaviour, Body, Reply, completion, plans, status, tool_message

CALLS: Final[list[tuple[str, Any]]] = [
    ("pick_up", {"target": "red key"}),
    ("open", {"target": "red door"}),
]
"""The plan that all of them know."""

LINE: Final = "plan: pick_up(red key); open(red door)"
IN_JSON: Final = json.dumps({"plan": [{"option": n, "target": a["target"]} for n, a in CALLS]})
AS_OBJECTS: Final = [{"name": name, "arguments": args} for name, args in CALLS]

HERMES: Final = "I take the key first.\n" + "\n".join(
    f"<tool_call>\n{json.dumps(call)}\n</tool_call>" for call in AS_OBJECTS
)
THOUGHTFUL: Final = '<think>Maybe {"name": "explore", "arguments": {}}? No.</think>\n' + json.dumps(
    AS_OBJECTS
)
FENCED: Final = f"```json\n{json.dumps(AS_OBJECTS, indent=1)}\n```"
MISTRAL: Final = f"[TOOL_CALLS]{json.dumps(AS_OBJECTS)}"
LLAMA: Final = "<|python_tag|>" + "; ".join(
    json.dumps({"type": "function", "name": name, "parameters": args}) for name, args in CALLS
)
ARGUMENTS_AS_TEXT: Final = "\n".join(
    json.dumps({"name": name, "arguments": json.dumps(args)}) for name, args in CALLS
)
OPENAI_LIKE: Final = json.dumps({"tool_calls": [{"function": call} for call in AS_OBJECTS]})
IN_CONTENT: Final = {
    "hermes": HERMES,
    "after a thought": THOUGHTFUL,
    "fenced": FENCED,
    "mistral": MISTRAL,
    "llama": LLAMA,
    "arguments as text": ARGUMENTS_AS_TEXT,
    "openai-like": OPENAI_LIKE,
}
"""Tool calls inside the content, where the server has no parser for its model."""


def choices(count: Callable[[Body], int], message: Callable[[Body], Body]) -> Behaviour:
    """So many choices, each with what the message says."""
    return lambda body: completion([message(body)] * count(body), body)


def asked_for(body: Body) -> int:
    """A server that knows `n`."""
    return int(body.get("n") or 1)


def one(body: Body) -> int:  # noqa: ARG001  # a behaviour's
    """A server that ignores `n`."""
    return 1


def says(text: str) -> Callable[[Body], Body]:
    """A message without tool calls."""
    return lambda _: {"role": "assistant", "content": text}


def ends(reason: str, message: Body | None = None) -> Behaviour:
    """Answers that end for a reason such as `length`; empty ones where no message is given."""

    def answer(body: Body) -> Reply:
        said = message or {"role": "assistant", "content": None}
        reply = choices(asked_for, lambda _: dict(said))(body)
        assert isinstance(reply.body, dict)
        for choice in reply.body["choices"]:
            choice["finish_reason"] = reason
        return reply

    return answer


def thinks(needed: int, then: Behaviour) -> Behaviour:
    """A model that thinks for so many tokens before it answers."""
    thoughts = {
        "role": "assistant",
        "content": None,
        "reasoning_content": "Hm. plan: explore() would do. " * 9 + "But the key\nis",
    }

    def answer(body: Body) -> Reply:
        return (ends("length", thoughts) if body["max_tokens"] < needed else then)(body)

    return answer


def was_sent_back(body: Body) -> bool:
    """Whether the request holds an answer that could not be used."""
    return "It cannot be used" in body["messages"][-1]["content"]


def without_usage(behaviour: Behaviour) -> Behaviour:
    """A server that counts no tokens."""

    def answer(body: Body) -> Reply:
        reply = behaviour(body)
        assert isinstance(reply.body, dict)
        reply.body.pop("usage", None)
        return reply

    return answer


def ollama_talks_first(body: Body) -> Reply:
    """Knows tools, does not enforce `tool_choice`, ignores `n`: calls them when told off."""
    if "tools" in body and was_sent_back(body):
        return plans(CALLS)(body)
    return choices(one, says("I would pick up the red key, and then open the door."))(body)


def ollama_only_talks(body: Body) -> Reply:
    """A model without tools behind a server that passes over them; `format` works."""
    text = IN_JSON if "response_format" in body else "First the key, then the door."
    return choices(one, says(text))(body)


def ollama_without_tools(body: Body) -> Reply:
    """A model whose template has no place for tools."""
    if "tools" in body:
        message = "registry.ollama.ai/library/gemma:2b does not support tools"
        return status(400, message)(body)
    return ollama_only_talks(body)


def vllm_without_auto(body: Body) -> Reply:
    """vLLM without --enable-auto-tool-choice: no tools, but `n` and guided JSON."""
    if "tools" in body:
        flags = "--enable-auto-tool-choice and --tool-call-parser to be set"
        return status(400, f'"{body["tool_choice"]}" tool choice requires {flags}')(body)
    return choices(asked_for, says(IN_JSON if "response_format" in body else LINE))(body)


def llama_without_jinja(body: Body) -> Reply:
    """llama.cpp without --jinja: 500 for tools, one choice, JSON by grammar."""
    if "tools" in body:
        return status(500, "tools param requires --jinja flag")(body)
    return choices(one, says(IN_JSON if "response_format" in body else LINE))(body)


def only_text(body: Body) -> Reply:
    """A server of somebody's own that knows nothing but messages."""
    for parameter in ("n", "seed", "tools", "response_format"):
        if body.get(parameter) not in (None, 1):
            return status(400, f"Unrecognized request argument supplied: {parameter}")(body)
    return choices(one, says(f"<think>plan: explore()</think>\nThe key first.\n{LINE}"))(body)


def arguments_as(form: Callable[[Any], Any]) -> Behaviour:
    """Tool calls whose arguments have another form than the protocol's; JSON works."""

    def answer(body: Body) -> Reply:
        if "tools" not in body:
            return choices(asked_for, says(IN_JSON))(body)
        message = tool_message(*CALLS)
        for (_, args), call in zip(CALLS, message["tool_calls"], strict=True):
            call["function"]["arguments"] = form(args)
        return completion([message] * asked_for(body), body)

    return answer
