"""Markup by construction: whatever is not markup already is escaped when it is put into some."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final

from tutelage.agents.common.visible import visible

_VOID: Final = frozenset({"input", "meta"})
_LONGEST: Final = 2_000
"""Characters of a text that are shown, unless a caller wants fewer."""


class Html(str):
    """Text that is markup, and is not escaped again."""

    __slots__ = ()


def element(name: str, *children: str | None, **attributes: str | float | None) -> Html:
    """An element. Children that are no `Html` are escaped; None is left out, as an attribute too.

    attributes: `class_` stands for `class`, `aria_label` for `aria-label`.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{join(children)}</{name}>")


def join(parts: Iterable[str | None]) -> Html:
    """Parts one after the other; those that are no `Html` are escaped, None is left out."""
    return Html("".join(p if isinstance(p, Html) else _escaped(p) for p in parts if p is not None))


def short(text: str, longest: int = _LONGEST) -> str:
    """As much of a text as is shown, and how much more there is."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}… ({len(text) - longest:,} more characters)"


def _escaped(text: str) -> str:
    return html.escape(visible(text), quote=True)
