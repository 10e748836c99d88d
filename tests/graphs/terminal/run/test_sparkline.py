"""A share over time as a line of small bars."""

from __future__ import annotations

import pytest

from tutelage.graphs.terminal.run.sparkline import BLOCKS, LETTERS, Curve


def curve(*noted: tuple[float, float | None], cells: int = 10) -> Curve:
    made = Curve(cells)
    for progress, share in noted:
        made.add(progress, share)
    return made


def test_a_rising_share_rises_from_left_to_right() -> None:
    rising = curve(*((i / 8, i / 7) for i in range(8)), cells=8)
    assert rising.line(8, "utf-8") == BLOCKS
    assert rising.line(8, "ascii") == LETTERS
    assert len(set(LETTERS)) == len(BLOCKS)


def test_where_nothing_is_known_it_is_blank() -> None:
    assert curve().line(10, "utf-8") == ""
    assert curve((0.5, None)).line(10, "utf-8") == ""
    assert curve((0.3, 1.0)).line(10, "utf-8") == "   █"


def test_the_share_before_stands_in_between_and_the_latest_counts() -> None:
    assert curve((0.0, 0.0), (0.4, 0.0), (0.45, 1.0)).line(10, "utf-8") == "▁▁▁▁█"


@pytest.mark.parametrize("width", [1, 7, 10, 23])
def test_it_is_as_wide_as_it_is_asked_to_be(width: int) -> None:
    full = curve(*((i / 10, 0.5) for i in range(10)), (1.0, 1.0), (7.0, 2.0), (-1.0, -2.0))
    assert len(full.line(width, "utf-8")) == width
    assert full.line(width, "utf-8")[-1] == "█"


def test_an_encoding_that_nobody_knows_gets_letters() -> None:
    assert curve((0.0, 1.0)).line(10, "nonsense") == LETTERS[-1]
