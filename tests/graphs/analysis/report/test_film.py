"""Films: each frame over the common ground gives its drawing back, and is shown in its time."""

from __future__ import annotations

import re

import pytest

from helpers.html_pages import Element, Page
from tutelage.graphs.analysis.report.film import FRAMES, Film, film_styles, film_view, thinned
from tutelage.rl.tasks.watching import Drawing

GROUNDS = {"floor": ".", "wall": "#", "lava": "~", "goal": "G", "unknown": "?"}
THINGS = {"key": "k", "locked": "L", "right": ">", "down": "v", "left": "<", "up": "^"}

FRAMES_DRAWN = [
    Drawing(("#####", "#>.k#", "#~GL#", "??Z##"), ("wwwww", "wafyw", "wloYw", "uurww")),
    Drawing(("#####", "#.>k#", "#~GL#", "???##"), ("wwwww", "wfayw", "wloYw", "uuuww")),
    Drawing(("#####", "#.v.#", "#~GL#", "?.?##"), ("wwwww", "wfafw", "wloYw", "ufuww")),
]


def painted(parts: list[Element]) -> dict[tuple[int, int], str]:
    """The letter of each cell that is drawn, by its place."""
    cells = {}
    for part in parts:
        if part.name == "path" and part.attributes["class"] in GROUNDS:
            for x, y, n in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", part.attributes["d"]):
                letter = GROUNDS[part.attributes["class"]]
                cells |= {(int(x) + i, int(y)): letter for i in range(int(n))}
        elif part.name == "use":
            place = (int(part.attributes["x"]), int(part.attributes["y"]))
            cells[place] = THINGS[part.attributes["href"].removeprefix("#s-")]
        elif part.name == "text":
            cells[int(float(part.attributes["x"])), int(float(part.attributes["y"]))] = part.words
    return cells


def test_every_frame_gives_its_drawing_back() -> None:
    film = Film({"what is there": FRAMES_DRAWN}, ["a", "b", "c"])
    page = Page(film_view(film, 1, "an episode"))
    (svg,) = page.all("svg")
    inside = page.elements[page.elements.index(svg) + 1 :]
    inside = inside[: next(i for i, e in enumerate(inside) if e.name == "p")]
    starts = [i for i, element in enumerate(inside) if element.name == "g"]
    ground = painted(inside[: starts[0]])
    assert len(starts) == 3
    for drawing, start, end in zip(FRAMES_DRAWN, starts, [*starts[1:], len(inside)], strict=True):
        shown = ground | painted(inside[start:end])
        for y, line in enumerate(drawing.letters):
            assert "".join(shown[x, y] for x in range(5)) == line
        assert len(painted(inside[start:end])) < 6  # what does not change is drawn once


def test_frames_follow_each_other_without_a_gap() -> None:
    css = film_styles({1: 3})
    total = float(re.findall(r"\.m1 \.f\{animation:([\d.]+)s", css)[0])
    share = float(re.findall(r"@keyframes m1\{0%\{visibility:visible\}([\d.]+)%", css)[0])
    last = float(re.findall(r"@keyframes m1e\{0%\{visibility:visible\}([\d.]+)%", css)[0])
    delays = [float(d) for d in re.findall(r"animation-delay:([\d.]+)s", css)]
    each = total * share / 100
    assert delays == pytest.approx([0, each, 2 * each], abs=1e-3)
    assert delays[-1] + total * last / 100 == pytest.approx(total, abs=1e-3)
    assert last > 4 * share  # the end can be looked at


def test_without_films_there_are_no_styles_for_them() -> None:
    assert film_styles({}) == ""


def test_a_film_can_be_stopped_and_is_named() -> None:
    page = Page(film_view(Film({"there": FRAMES_DRAWN}, ["a", "b", "c"]), 2, "an episode"))
    assert page.one("input").attributes["id"] == page.one("label").attributes["for"] == "stop-2"
    assert page.one("title").words == "an episode, there"


def test_hostile_letters_and_captions_stay_letters() -> None:
    drawing = Drawing(("<&",), ('"<',))
    page = Page(film_view(Film({"<b>": [drawing]}, ["<script>"]), 1, '"><img>'))
    assert {e.name for e in page.elements} <= {
        *("div", "input", "label", "figure", "figcaption", "svg", "title", "g", "text"),
        *("path", "use", "p", "span"),
    }
    assert page.one("text").words == "&"  # `<` is the agent that looks left


@pytest.mark.parametrize("count", [1, 2, FRAMES, FRAMES + 1, 2_000])
def test_long_episodes_keep_their_ends(count: int) -> None:
    shown = thinned(count)
    assert shown[0] == 0
    assert shown[-1] == count - 1
    assert len(shown) == min(count, FRAMES)
    assert shown == sorted(set(shown))
