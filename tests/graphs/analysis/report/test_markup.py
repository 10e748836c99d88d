"""Markup by construction: nothing that comes from outside becomes any."""

from __future__ import annotations

import pytest

from helpers.html_pages import Page
from helpers.reported_runs import HOSTILE
from tutelage.graphs.analysis.report.markup import Html, element, join, short


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_stay_texts(text: str) -> None:
    page = Page(element("p", text, title=text))
    (paragraph,) = page.elements
    assert set(paragraph.attributes) == {"title"}
    for shown in ("".join(paragraph.text), paragraph.attributes["title"]):
        assert len(shown) == len(text)
        for kept in (c for c in text if c.isprintable()):
            assert kept in shown
        assert not set("\x00\x1b\u202e\u2066\ud800") & set(shown)


def test_markup_is_not_escaped_again() -> None:
    assert element("p", element("b", "a < b"), " & c") == "<p><b>a &lt; b</b> &amp; c</p>"
    assert join([Html("<i>"), None, "<"]) == "<i>&lt;"


def test_attributes_that_are_none_are_left_out() -> None:
    made = element("input", id="stop", class_="x", aria_label="a", checked=None)
    assert made == '<input id="stop" class="x" aria-label="a">'


def test_long_texts_say_how_much_more_there_is() -> None:
    assert short("a" * 10, 10) == "a" * 10
    assert short("a" * 1_000_000, 10) == "a" * 10 + "… (999,990 more characters)"
