"""The base of the embedded teachers: they read a situation and answer with tool calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from tutelage.agents.planner.lookups import is_lookup
from tutelage.rl.tasks.options import Option, Plan

_BLOCK: Final = re.compile(r"^```situation[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


class EmbeddedModel(BaseChatModel):
    """A chat model that is no LLM, and is asked like one: with options as tools."""

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools that it may call. It calls some whatever `tool_choice` says."""
        schemas = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=schemas, tool_choice=tool_choice, **kwargs)


def options_of(tools: Sequence[dict[str, Any]]) -> list[Option]:
    """The options that the tools stand for, in order, their help included."""
    options = []
    for tool in tools:
        function = tool["function"]
        if is_lookup(function["name"]):
            continue
        name, told = function["name"], function.get("description", "")
        parameters = function.get("parameters", {})
        targets = parameters.get("properties", {}).get("target", {}).get("enum", [])
        if not targets or "target" not in parameters.get("required", []):
            options.append(Option(name, help=told))
        options += [Option(name, target, told) for target in targets]
    return options


def situation_text(messages: Sequence[BaseMessage]) -> str:
    """The situation block of the last human message, empty where there is none."""
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            blocks = _BLOCK.findall(str(message.text))
            return str(blocks[-1]) if blocks else ""
    return ""


def answer_with(plan: Plan, usage: UsageMetadata, model_name: str, otherwise: str) -> AIMessage:
    """A message that calls the plan's tools in order; where it is empty, one that says so."""
    calls = [
        {
            "name": step.name,
            "args": {} if step.target is None else {"target": step.target},
            "id": f"call_{position}",
            "type": "tool_call",
        }
        for position, step in enumerate(plan)
    ]
    return AIMessage(
        content="" if calls else otherwise,
        tool_calls=calls,
        usage_metadata=usage,
        response_metadata={"model_name": model_name},
    )
