"""OpenAI's chat model, which keeps what a server's model thought before it answered.

Servers such as vLLM and llama.cpp send it beside the answer. LangChain's package drops what OpenAI
itself does not send; its packages for other providers keep it where it is put here.
"""

from __future__ import annotations

from typing import Any, Final

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatResult
from langchain_openai import ChatOpenAI

_SENT: Final = ("reasoning_content", "reasoning")
"""The names under which servers send it."""


class ReasoningChatOpenAI(ChatOpenAI):
    """The chat model, with `additional_kwargs["reasoning_content"]` where the server sends any."""

    def _create_chat_result(
        self, response: Any, generation_info: dict[str, Any] | None = None
    ) -> ChatResult:
        result = super()._create_chat_result(response, generation_info)
        sent = response if isinstance(response, dict) else response.model_dump(warnings=False)
        for generation, choice in zip(result.generations, sent["choices"], strict=True):
            said, message = choice["message"], generation.message
            words = next((said[name] for name in _SENT if isinstance(said.get(name), str)), None)
            if words and isinstance(message, AIMessage):
                message.additional_kwargs["reasoning_content"] = words
        return result
