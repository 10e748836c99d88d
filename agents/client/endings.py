"""How an answer ended, and whether its model thought first: each provider has words of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_core.messages import AIMessage

_REASONS: Final = ("finish_reason", "done_reason", "stop_reason")
"""Where OpenAI's protocol and Google, Ollama, and Anthropic say why an answer ended."""
_CUT: Final = frozenset({"length", "max_tokens", "max_output_tokens"})
_FILTERED: Final = frozenset({"content_filter", "safety", "prohibited_content", "blocklist"})
_THOUGHTS: Final = ("reasoning_content", "reasoning")
_THINKING: Final = "<think>"
_QUOTED: Final = 120


def is_cut(message: AIMessage) -> bool:
    """Whether the answer ended at its limit of tokens: what it holds is not all of it."""
    return _ending(message) in _CUT


def is_filtered(message: AIMessage) -> bool:
    """Whether the provider's content filter ended the answer."""
    return _ending(message) in _FILTERED


def thoughts_of(message: AIMessage) -> str:
    """What the model thought before it answered, in words; empty where nothing came of that."""
    kept = message.additional_kwargs
    sent = next((kept[name] for name in _THOUGHTS if isinstance(kept.get(name), str)), "")
    said = str(message.text).lstrip()
    return str(sent) or (said.removeprefix(_THINKING) if said.startswith(_THINKING) else "")


def has_thought(message: AIMessage) -> bool:
    """Whether the model thinks before it answers; some servers only count the tokens of that."""
    usage: Mapping[str, Any] = message.usage_metadata or {}
    details = usage.get("output_token_details")
    counted = details.get("reasoning") if isinstance(details, Mapping) else None
    return bool(thoughts_of(message) or (isinstance(counted, int) and counted > 0))


def cut_in_words(message: AIMessage, limit: int | None) -> str:
    """That an answer was cut, and the end of what it thought by then. limit: in tokens."""
    of_tokens = "the server's limit" if limit is None else f"the limit of {limit:,} tokens"
    thoughts = " ".join(thoughts_of(message).split())
    words = f"cut at {of_tokens} (teacher.max_tokens)"
    if not thoughts:
        return words
    end = "".join(letter for letter in thoughts[-_QUOTED:] if letter.isprintable())
    return f"{words}, while it thought: {'…' if len(thoughts) > _QUOTED else ''}{end}"


def _ending(message: AIMessage) -> str | None:
    told = (message.response_metadata.get(name) for name in _REASONS)
    return next((reason.lower() for reason in told if isinstance(reason, str)), None)
