"""A chat model with its tools bound, for each way of asking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableBinding

from tutelage.agents.client.request_modes import Way
from tutelage.agents.planner import logprobs as letters


def bind(
    model: BaseChatModel, tools: Sequence[dict[str, Any]], way: Way
) -> tuple[BaseChatModel, dict[str, Any]]:
    """The model to call and the keyword arguments for it.

    tools: as in `schemas_for`. Raises NotImplementedError where the model takes no tools.
    """
    if way == "logprobs":
        return model, dict(letters.ARGUMENTS)
    if way == "json":
        return model, {"response_format": tools[0]}
    if way == "text":
        return model, {}
    choice = "any" if way == "required" else "auto"
    binding = model.bind_tools(tools, tool_choice=choice)
    if not isinstance(binding, RunnableBinding) or not isinstance(binding.bound, BaseChatModel):
        raise NotImplementedError(f"bind_tools of {type(model).__name__} returns no bound model")
    return binding.bound, dict(binding.kwargs)
