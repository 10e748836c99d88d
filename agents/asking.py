"""The ways of asking for a plan, from the one models are best at down to plain text.

Servers differ in what they can do: some do not enforce `tool_choice`, some know no tools, some
take no `n` or no `seed`. So there is a ladder of manners; the planner goes down it as far as a
server makes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableBinding

from agents.option_tools import OptionTools, UnusableAnswer
from agents.verbaliser import Question
from rl.task import Plan

Way = Literal["required", "auto", "json", "text"]
"""required: tools, one of which must be called. auto: tools, and a check that one was called.
json: an answer held to a JSON schema. text: the same JSON, only asked for."""

WAYS: Final[tuple[Way, ...]] = get_args(Way)

_FORMAT: Final = """\
There are no tools to call. Answer with JSON alone, no other words:
{"plan": [{"option": "...", "target": "..."}, ...]}
The steps stand in order. "target" is "" for an option that takes none. Allowed:
"""
_FENCED: Final = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL)


@dataclass(frozen=True)
class Manner:
    """How a request is put. with_n: all samples in one request. with_seed: a seed with it."""

    way: Way
    with_n: bool
    with_seed: bool

    def simpler(self) -> Manner | None:
        """The next manner down the ladder, None at its foot."""
        if self.with_n:
            return replace(self, with_n=False)
        if self.with_seed:
            return replace(self, with_seed=False)
        rung = WAYS.index(self.way) + 1
        return replace(self, way=WAYS[rung]) if rung < len(WAYS) else None

    def without_tools(self) -> Manner:
        """The manner for a model that was given tools and only talked."""
        return replace(self, way="json") if self.way in ("required", "auto") else self


def messages_for(question: Question, way: Way) -> list[BaseMessage]:
    """The question's messages; without tools they end with how to answer."""
    if way in ("required", "auto"):
        return list(question.messages)
    *before, last = question.messages
    allowed = "\n".join(
        f"{function['name']}: {', '.join(_targets(function)) or 'no target'}"
        for function in _functions(question.tools)
    )
    return [*before, HumanMessage(f"{last.text}\n\n{_FORMAT}{allowed}")]


def schemas_for(question: Question, way: Way) -> list[dict[str, Any]]:
    """What the model is given besides the messages: tools, or the schema of its answer."""
    if way in ("required", "auto"):
        return question.tools.schemas
    return [_answer_schema(question.tools)] if way == "json" else []


def bind(
    model: BaseChatModel, question: Question, way: Way
) -> tuple[BaseChatModel, dict[str, Any]]:
    """The model to call and the keyword arguments for it.

    Called directly, and not through `invoke`, a model gives all `n` answers instead of the first.
    Raises NotImplementedError where the model takes no tools.
    """
    if way == "json":
        return model, {"response_format": _answer_schema(question.tools)}
    if way == "text":
        return model, {}
    choice = "any" if way == "required" else "auto"
    binding = model.bind_tools(question.tools.schemas, tool_choice=choice)
    if not isinstance(binding, RunnableBinding) or not isinstance(binding.bound, BaseChatModel):
        raise NotImplementedError(f"bind_tools of {type(model).__name__} returns no bound model")
    return binding.bound, dict(binding.kwargs)


def plan_of(question: Question, way: Way, message: AIMessage, max_options: int) -> Plan:
    """The plan that an answer holds. Raises UnusableAnswer where it holds none."""
    if way in ("required", "auto"):
        return question.tools.plan_of(message, max_options)
    return question.tools.plan_of_calls(_calls_in(str(message.text)), max_options)


def _calls_in(text: str) -> list[tuple[str, Any]]:
    """The (tool, arguments) pairs of a JSON answer, with or without a fence around it."""
    bare = text.strip()
    fenced = _FENCED.match(bare)
    try:
        answer = json.loads(fenced[1] if fenced else bare)
    except (ValueError, RecursionError) as error:
        raise UnusableAnswer("the answer is not JSON") from error
    steps = answer.get("plan") if isinstance(answer, Mapping) else None
    if not isinstance(steps, list):
        raise UnusableAnswer('the answer has no list "plan"')
    return [_call_in(step) for step in steps]


def _call_in(step: Any) -> tuple[str, Any]:
    if not isinstance(step, Mapping) or not set(step) <= {"option", "target"}:
        raise UnusableAnswer("a step of the plan is not an option and a target")
    name = step.get("option")
    if not isinstance(name, str):
        raise UnusableAnswer("a step of the plan names no option")
    return name, {"target": step.get("target")}


def _answer_schema(tools: OptionTools) -> dict[str, Any]:
    """The JSON schema of an answer, in the form of OpenAI's `response_format`."""
    functions = _functions(tools)
    targets = dict.fromkeys(target for function in functions for target in _targets(function))
    step = {
        "type": "object",
        "properties": {
            "option": {"type": "string", "enum": [function["name"] for function in functions]},
            "target": {"type": "string", "enum": ["", *targets]},
        },
        "required": ["option", "target"],
        "additionalProperties": False,
    }
    schema = {
        "type": "object",
        "properties": {"plan": {"type": "array", "items": step}},
        "required": ["plan"],
        "additionalProperties": False,
    }
    return {
        "type": "json_schema",
        "json_schema": {"name": "plan", "strict": True, "schema": schema},
    }


def _functions(tools: OptionTools) -> list[dict[str, Any]]:
    return [schema["function"] for schema in tools.schemas]


def _targets(function: Mapping[str, Any]) -> list[str]:
    return list(function["parameters"]["properties"].get("target", {}).get("enum", []))
