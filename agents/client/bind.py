"""A chat model with its tools bound, for each output mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableBinding

from tutelage.agents.client.request_modes import OutputMode

_LOGPROBS: Final[Mapping[str, Any]] = {"logprobs": True, "top_logprobs": 20, "max_tokens": 8}
"""The arguments of a request for token probabilities; 20 is the most that OpenAI's protocol
allows."""


def bind(
    model: BaseChatModel, tools: Sequence[dict[str, Any]], output_mode: OutputMode
) -> tuple[BaseChatModel, dict[str, Any]]:
    """The model to call and the keyword arguments for it.

    tools: as in `schemas_for`. Raises NotImplementedError where the model takes no tools.
    """
    if output_mode == "logprobs":
        return model, dict(_LOGPROBS)
    if output_mode == "json":
        return model, {"response_format": tools[0]}
    if output_mode == "text":
        return model, {}
    choice = "any" if output_mode == "required" else "auto"
    binding = model.bind_tools(tools, tool_choice=choice)
    if not isinstance(binding, RunnableBinding) or not isinstance(binding.bound, BaseChatModel):
        raise NotImplementedError(f"bind_tools of {type(model).__name__} returns no bound model")
    return binding.bound, dict(binding.kwargs)
