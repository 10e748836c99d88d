"""What teacher and student are for, drawn in letters: for every kind of action space."""

from __future__ import annotations

from io import StringIO

import numpy as np
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from tutelage.graphs.analysis.actions import Actions
from tutelage.graphs.terminal.common.decision_view import actions_view

DIALS = Actions(spaces.MultiDiscrete([3, 2]), ("gear", "horn"))
PEDAL = Actions(spaces.Box(-1, 1, (1,), np.float32), ("throttle",))
FREE = Actions(spaces.Box(-np.inf, np.inf, (2,), np.float32), ("push", "turn"))


def drawn(view: RenderableType, width: int = 80) -> list[str]:
    console = Console(width=width, file=StringIO())
    console.print(view)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


class TestBox:
    def test_mean_and_spread_lie_between_the_bounds(self) -> None:
        lines = drawn(actions_view(PEDAL, (0.5, 0.0625), (-1.0, 1.0), (0.0,)))
        teacher, student, done = lines
        assert "throttle" in teacher
        assert "0.5 ± 0.25" in teacher
        assert "-1 to 1" in student
        assert "-1 ± 1" in student
        start = teacher.index("·")
        line, other = teacher[start : start + 24], student[start : start + 24]
        assert line.index("●") == round(0.75 * 23)
        assert (line.index("─"), line.rindex("─")) == (round(0.625 * 23), round(0.875 * 23))
        assert other == "●" + "─" * 12 + "·" * 11, "what lies below the box is its edge"
        assert done.index("▲") - start in (11, 12)

    def test_who_says_nothing_has_a_dash(self) -> None:
        teacher, student = drawn(actions_view(PEDAL, None, (0.0, 1.0), student_title="student now"))
        assert "–" in teacher  # noqa: RUF001 - the dash
        assert "●" not in teacher
        assert "student now" in student

    def test_without_bounds_all_that_is_said_fits(self) -> None:
        lines = drawn(actions_view(FREE, (0, 10, 1, 4), (4, 10, 1, 4), (9.0, 10.0)))
        assert lines[1].startswith("-2 to 9")
        assert lines[2].rstrip().endswith("9")
        assert lines[0].index("●") < lines[1].index("●") < lines[2].index("▲")

    @given(
        st.lists(st.floats(-1e30, 1e30, allow_subnormal=False), min_size=4, max_size=4),
        st.lists(st.floats(allow_subnormal=False), min_size=4, max_size=4),
        st.integers(30, 90),
    )
    def test_any_numbers_can_be_drawn(
        self, teacher: list[float], student: list[float], width: int
    ) -> None:
        for line in drawn(actions_view(FREE, teacher, student, (teacher[0], teacher[1])), width):
            assert len(line) <= width


def test_each_part_has_its_bars() -> None:
    lines = drawn(actions_view(DIALS, (0.1, 0.9, 0.0, 0.5, 0.5), None, (2, 0)))
    assert [line.split()[0] for line in lines] == ["gear", "0", "1", "▸", "horn", "▸", "1"]
    assert "90 %" in lines[2]
    assert lines[3].split()[1] == "2"
    assert all("50 %" in line for line in lines[5:])
    assert {line.index("teacher") for line in (lines[0], lines[4])} == {lines[0].index("teacher")}


def test_both_have_their_colours() -> None:
    """They can be read on both grounds, and are not all that tells the two apart.

    Styles, not escapes: Rich keeps a style's escapes as its first console wrote them.
    """
    console = Console(width=80, file=StringIO())
    colours = {
        segment.text.strip(): segment.style.color.name
        for segment in console.render(actions_view(PEDAL, (0.5, 0.0625), (-1.0, 1.0)))
        if segment.style is not None and segment.style.color is not None
    }
    assert colours["teacher"] == "#0087d7"
    assert colours["student"] == "#d75f00"
