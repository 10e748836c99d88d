"""A chat model and its names: all that a client needs of a provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tutelage.agents.client.prices import Price

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


@dataclass(frozen=True)
class ChatProvider:
    """A chat model and its names.

    identity: everything about the provider that its answers depend on; part of the cache's key.
    wait_always: it is waited for, without a limit: its answers come at once and are reproducible,
    or they come from a person. price: None where it is not known. kept: whether the plan cache
    keeps its answers. limit_field: the model's field for the most tokens of an answer; None where
    it has none that is known.
    """

    model: BaseChatModel
    name: str
    model_name: str
    identity: dict[str, Any]
    wait_always: bool
    price: Price | None = None
    kept: bool = True
    limit_field: str | None = None
