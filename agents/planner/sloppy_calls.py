"""What models write around a plain call, and what is meant where only one thing can be.

    go_to<|channel|>commentary, functions.go_to, functions.go_to:0     the name
    {"name": "go_to", "arguments": {"target": "red key"}}              the arguments, in themselves
    {"kwargs": {"target": "red key"}}                                  the same
    {"target": "red key", "explanation": "it is near"}                 more than was asked for
    {"object": "red key"}                                              by another name

What could mean two things is no call: the model is asked again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

_CHANNEL: Final = re.compile(r"<\|.*", re.DOTALL)
_NUMBER: Final = re.compile(r":\d+\Z")
_PREFIX: Final = re.compile(r"\A.*[.:/]", re.DOTALL)
_INNER: Final = ("arguments", "parameters", "args", "kwargs")
_NAMES: Final = ("name", "function", "tool")
_DEEPEST: Final = 4


class AmbiguousArgumentsError(ValueError):
    """Arguments that could mean several things, or nothing."""


def bare_name(name: str) -> str:
    """A tool's name without a model's own tokens, prefix and number; no tool has any of them."""
    bare = _NUMBER.sub("", _CHANNEL.sub("", name).strip())
    return _PREFIX.sub("", bare).strip()


def target_in(args: Any, tool: str, targets: Collection[str], elsewhere: Collection[str]) -> Any:
    """The target that arguments name, whatever its type; None where they name none.

    tool: the bare name that was called. targets: those that it takes. elsewhere: those of other
    tools. Raises AmbiguousArgumentsError.
    """
    plain = _unwrapped(args, tool)
    if "target" in plain:
        return plain["target"]
    known = {folded(target) for target in targets}
    foreign = {folded(target) for target in elsewhere} | known
    said = [value for value in plain.values() if isinstance(value, str)]
    named = {folded(value): value for value in said if folded(value) in foreign}
    if not named:
        return None
    (first, *others) = named
    if others or first not in known:
        raise AmbiguousArgumentsError
    return named[first]


def folded(target: str | None) -> str:
    """A target without what models get wrong: case and outer blanks."""
    return (target or "").strip().casefold()


def _unwrapped(args: Any, tool: str) -> Mapping[str, Any]:
    """The arguments without a call, or a word for them, around them."""
    for _ in range(_DEEPEST):
        if not isinstance(args, Mapping):
            break
        inner = [name for name in _INNER if isinstance(_read(args.get(name)), Mapping)]
        if "target" in args or not inner:
            return args
        named = [args[name] for name in _NAMES if name in args]
        if len(inner) > 1 or any(not _is(name, tool) for name in named):
            break
        args = _read(args[inner[0]])
    raise AmbiguousArgumentsError


def _is(name: Any, tool: str) -> bool:
    return isinstance(name, str) and bare_name(name) == tool


def _read(value: Any) -> Any:
    """A value, read as JSON where it is text that is a table."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
