"""No request is led to another server: its key would go along.

The providers' packages follow redirects, and not all of them leave the key behind. They send
through clients of httpx, or of its successor httpx2, which tell a hook of every response before
they follow it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urljoin

from langchain_core.language_models import BaseChatModel

from tutelage.agents.client.errors import RedirectedError
from tutelage.agents.common.addresses import origin, public_url

_DEPTH: Final = 4
"""How many objects deep a package keeps its HTTP client, at most."""


def refuse_redirects(model: BaseChatModel) -> None:
    """Let no HTTP client of a model follow a redirect to another scheme, host or port."""
    getattr(model, "_client", None)  # Anthropic's package makes its client when it is first used
    for client in _clients(model, _DEPTH, set()):
        hooks = client.event_hooks.setdefault("response", [])
        if _check not in hooks:  # packages share clients between models
            hooks.append(_check)


def _check(response: Any) -> None:
    """Raises RedirectedError for a response that leads to another origin."""
    location = response.headers.get("location")
    if not (300 <= response.status_code < 400 and location):
        return
    asked = str(response.request.url)
    try:
        target = urljoin(asked, location)
        if origin(target) == origin(asked):
            return
        shown = public_url(target)
    except ValueError:
        shown = "one without an address"
    raise RedirectedError(
        f"{public_url(asked)} redirects to another server, {shown}, and no key is sent there; if "
        "that is the right one, name it (--base-url)"
    )


def _clients(thing: Any, depth: int, seen: set[int]) -> Iterator[Any]:
    """The clients that send at once, of whichever package, in an object or in what it holds."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(getattr(thing, "event_hooks", None), dict):
        if not inspect.iscoroutinefunction(thing.send):
            yield thing
    elif depth > 0:
        held = {**vars(thing), **(getattr(thing, "__pydantic_private__", None) or {})}
        for inner in held.values():
            if hasattr(inner, "__dict__") and not isinstance(inner, type):
                yield from _clients(inner, depth - 1, seen)
