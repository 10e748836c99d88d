"""Charts: where values come to lie, and what they say to those who do not see them."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.html_pages import Page
from tutelage.graphs.analysis.curves import Curve, Panel
from tutelage.graphs.analysis.report.charts import Share, curves_chart, shares_chart


def curve(x: list[float], mean: list[float], number: int = 0, band: float | None = None) -> Curve:
    values = np.array(mean)
    spread = np.full(len(x), np.nan if band is None else band)
    return Curve(
        number, f"curve {number}", 3, np.array(x), values, values - spread, values + spread
    )


def drawn(*curves: Curve, share: bool = True, removed: dict[int, list[int]] | None = None) -> Page:
    panel = Panel("success", "environment steps", share, curves)
    furthest = max(float(each.x[-1]) for each in curves) or 1.0
    return Page(curves_chart(panel, removed or {}, furthest))


def places(page: Page) -> list[tuple[float, float]]:
    """The points of the only line."""
    (line,) = page.all("polyline")
    pairs = (pair.split(",") for pair in line.attributes["points"].split())
    return [(float(x), float(y)) for x, y in pairs]


def test_values_lie_between_the_axes() -> None:
    (x0, y0), (x1, y1), (x2, y2) = places(drawn(curve([0, 500, 1000], [0.0, 0.5, 1.0])))
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert y1 == pytest.approx((y0 + y2) / 2, abs=0.1)
    assert x0 < x2
    assert y0 > y2  # up is less


@pytest.mark.parametrize("values", [[-200.0, 3.0], [0.0, 0.0], [1e-9, 2e-9], [5e6, 9e6], [-1, -1]])
def test_any_values_stay_inside(values: list[float]) -> None:
    page = drawn(curve([100, 200], values), share=False)
    _, _, width, height = map(float, page.one("svg").attributes["viewbox"].split())
    assert all(0 < x < width and 0 < y < height for x, y in places(page))
    for text in page.all("text"):
        assert 0 <= float(text.attributes["x"]) <= width
        assert "nan" not in text.words


@pytest.mark.parametrize("share", [True, False])
def test_values_that_are_no_numbers_leave_the_axes(share: bool) -> None:
    page = drawn(curve([1, 2], [np.nan, np.inf]), share=share)
    assert any(text.words == "0.5" for text in page.all("text"))


def test_a_single_point_is_a_dot() -> None:
    page = drawn(curve([0], [0.5]))
    assert len(page.all("circle")) == 1
    assert not page.all("polyline")


def test_only_known_intervals_are_bands() -> None:
    assert not drawn(curve([0, 1, 2], [0, 1, 1])).all("polygon")
    assert len(drawn(curve([0, 1, 2], [0, 1, 1], band=0.1)).all("polygon", class_="band")) == 1


def test_the_removal_of_one_teacher_is_named() -> None:
    page = drawn(curve([0, 1000], [0, 1]), removed={0: [500]})
    x = float(page.one("line", class_="removed").attributes["x1"])
    (first, _), (last, _) = places(page)
    assert x == pytest.approx((first + last) / 2, abs=0.1)
    assert "teacher removed" in page.one("svg").words


def test_what_came_after_the_curves_is_not_on_the_chart() -> None:
    assert "teacher removed" not in drawn(curve([0, 9], [0, 1]), removed={0: [10]}).one("svg").words


def test_the_removals_of_several_are_marks_in_their_colours() -> None:
    page = drawn(
        curve([0, 9], [0, 1]), curve([0, 9], [0, 1], number=1), removed={0: [4, 5], 1: [6], 7: [8]}
    )
    marks = [mark.attributes["class"] for mark in page.all("polygon", class_="mark")]
    assert marks == ["mark c0", "mark c0", "mark c1"]


def test_many_conditions_look_different() -> None:
    page = drawn(*(curve([0, 1], [0, 1], number=n) for n in range(18)))
    looks = {
        (line.attributes["class"], line.attributes.get("stroke-dasharray"))
        for line in page.all("polyline")
    }
    assert len(looks) == 18


def test_a_chart_is_told_in_words() -> None:
    page = drawn(curve([0, 1000], [0.25, 1.0]))
    assert page.one("svg").attributes["role"] == "img"
    assert page.one("title").words == "success"
    assert "from 25.0 % at 0 to 100.0 % at 1,000 environment steps" in page.one("desc").words


def test_shares_show_their_intervals() -> None:
    page = Page(
        shares_chart("success", [Share("student", 0.5, 0.25, 0.75), Share("likeliest", 1.0)])
    )
    span = page.one("line", class_="span").attributes
    dots = [float(dot.attributes["cx"]) for dot in page.all("circle")]
    assert dots[0] == pytest.approx((float(span["x1"]) + float(span["x2"])) / 2)
    assert dots[1] > float(span["x2"])
    assert page.one("desc").words == "student: 50.0 %; likeliest: 100.0 %"
