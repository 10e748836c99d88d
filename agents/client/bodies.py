"""Whether the body of an answer of status 200 is an answer in OpenAI's protocol at all.

Gateways put the errors of those behind them into such bodies, proxies and sign-in pages answer in
HTML, and some servers send an event stream that nobody asked for. None of that is the model's
fault, so none of it may look like an answer that is no plan.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from tutelage.agents.client.errors import BodyError, NotCompatibleError, status_meant

_CODES: Final = ("code", "status", "status_code")
"""Under which names an error has its code."""

_WORDS: Final = ("message", "msg", "detail")
"""Under which names an error has its words."""

_UNSEEN: Final = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.I | re.S)
"""What of a web page nobody sees."""

_LONGEST: Final = 4000
"""Characters that are looked at; the line about an error is cut after its secrets are out."""


def check_body(body: object) -> None:
    """See that a body, parsed where it is JSON, has choices and no error.

    Raises BodyError for an error, NotCompatibleError for anything else without choices.
    """
    if not isinstance(body, Mapping):
        raise NotCompatibleError(_described(body))
    error = _error_in(body)
    if error is not None:
        said = _said(error)
        raise BodyError(_code(error) or status_meant(json.dumps(error, default=str)), said, error)
    if "choices" not in body:
        raise NotCompatibleError(_described(body))


def check_text(text: str) -> None:
    """The same for a body as text; JSON that breaks off is left to those who read it."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        if text.lstrip().startswith(("{", "[")):
            return
        body = text
    check_body(body)


def _error_in(body: Mapping[str, Any]) -> Any:
    """The error in a body; None where it holds none."""
    if body.get("error"):
        return body["error"]
    choices = body.get("choices")
    if isinstance(choices, list) and choices:
        errors = [choice.get("error") for choice in choices if isinstance(choice, Mapping)]
        return errors[0] if len(errors) == len(choices) and all(errors) else None
    is_error = "choices" not in body and any(isinstance(body.get(name), str) for name in _WORDS)
    return body if is_error else None


def _code(error: Any) -> int | None:
    """The HTTP status that an error itself names; None where it names none."""
    for name in _CODES if isinstance(error, Mapping) else ():
        found = str(error.get(name)).strip()
        if re.fullmatch(r"[45]\d\d", found):
            return int(found)
    return None


def _said(error: Any) -> str:
    """The words of an error, with those of whom a gateway passes it on from."""
    if not isinstance(error, Mapping):
        return str(error)[:_LONGEST]
    words = next((error[name] for name in _WORDS if isinstance(error.get(name), str)), None)
    metadata = error.get("metadata")
    passed_on = metadata.get("raw") if isinstance(metadata, Mapping) else None
    parts = [part for part in (words, passed_on) if part and isinstance(part, str)]
    return ": ".join(parts)[:_LONGEST] or json.dumps(error, default=str)[:_LONGEST]


def _described(body: object) -> str:
    """What came in the place of an answer, with its first words."""
    text = body if isinstance(body, str) else json.dumps(body, default=str)
    text = text.strip()[:_LONGEST]
    if not isinstance(body, str):
        kind = "JSON of another form"
    elif text.startswith("<"):
        kind, text = "a web page", _UNSEEN.sub(" ", text)
    elif re.match(r"(data|event|id|retry)?:", text):
        kind = "an event stream"
    else:
        kind = "text" if text else "nothing"
    words = " ".join(text.split())
    return f"not an OpenAI-compatible answer, but {kind}" + (f": {words}" if words else "")
