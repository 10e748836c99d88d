"""The most tokens of an answer, and how each provider is told of it."""

from __future__ import annotations

from typing import Any, Final

from langchain_core.language_models import BaseChatModel

from tutelage.agents.client.chat_model import ChatProvider
from tutelage.agents.client.request_modes import RequestMode
from tutelage.agents.common.settings import TeacherSettings

_FIELDS: Final = ("num_predict", "max_output_tokens", "max_tokens")
"""Where LangChain's chat models keep it: Ollama's, Google's, and all others that have one."""


def limit_field(model: BaseChatModel) -> str | None:
    """The field of a chat model that holds the most tokens of an answer; None for none."""
    return next((name for name in _FIELDS if name in type(model).model_fields), None)


def limit_of(provider: ChatProvider, mode: RequestMode, settings: TeacherSettings) -> int | None:
    """The most tokens of an answer in this mode; None where the provider is not told of any.

    A question for token probabilities has a limit of its own.
    """
    if provider.limit_field is None or mode.limit == "none" or mode.output_mode == "logprobs":
        return None
    return settings.token_limit(mode.thinks)


def limited(provider: ChatProvider, mode: RequestMode, settings: TeacherSettings) -> BaseChatModel:
    """The provider's model, its answers limited as the mode says; its clients are the same."""
    model = provider.model
    if provider.limit_field is None:
        return model
    changed: dict[str, Any] = {provider.limit_field: limit_of(provider, mode, settings)}
    renames = getattr(model, "renames_limit", None)  # of our own model for OpenAI's protocol
    if mode.limit == "renamed" and renames is not None:
        changed["renames_limit"] = not renames
    return model.model_copy(update=changed)
