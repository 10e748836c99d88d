"""An HTML page taken apart, as strictly as a browser would be lenient."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import NamedTuple

VOID = {"input", "meta"}
INLINE = {"a", "b", "code", "mark", "strong"}
NAMES_PLACES = {"src", "href", "srcset", "action", "formaction", "data", "poster", "xlink:href"}
"""Attributes by which a page could ask for something."""


class Element(NamedTuple):
    """An element, and the text in it with all that is in its children."""

    name: str
    attributes: dict[str, str]
    text: list[str]

    @property
    def words(self) -> str:
        """The text with single spaces."""
        return " ".join("".join(self.text).split())


class Page(HTMLParser):
    """A page. Raises AssertionError where elements do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert not self._open, f"not closed: {[each.name for each in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        element = Element(tag, {name: value or "" for name, value in attrs}, [])
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop().name == tag, f"</{tag}> closes something else"
        if tag not in INLINE:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text.append(data)

    def all(self, name: str, **attributes: str) -> list[Element]:
        """The elements of a name with these attributes; class_ is one of its classes."""
        return [e for e in self.elements if e.name == name and _has(e, attributes)]

    def one(self, name: str, **attributes: str) -> Element:
        """The only such element."""
        (found,) = self.all(name, **attributes)
        return found

    @property
    def words(self) -> str:
        """All text of the body."""
        return self.one("body").words


def _has(element: Element, wanted: dict[str, str]) -> bool:
    for key, value in wanted.items():
        given = element.attributes.get(key.rstrip("_"), "")
        if value != given and not (key == "class_" and value in given.split()):
            return False
    return True


def checked(text: str) -> Page:
    """The page, which asks for nothing, runs nothing, and whose links all lead to it itself."""
    page = Page(text)
    names = {element.name for element in page.elements}
    assert not names & {"script", "link", "iframe", "object", "embed", "img", "form", "base"}
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids)), "an id twice"
    for element in page.elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on"), f"{element.name} has {name}"
            assert name != "style", "the policy forbids styles of one element"
            if name in NAMES_PLACES:
                assert value[:1] == "#", value
                assert value[1:] in ids, f"{value} leads nowhere"
        for name in ("aria-labelledby", "for"):
            assert element.attributes.get(name, ids[0]) in ids
    style = "".join(page.one("style").text)
    assert not re.search(r"url\(|@import|expression", style)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = page.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return page
