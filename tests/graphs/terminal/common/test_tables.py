"""Tables in the width that there is: what is spared, in which order, and what stays readable."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from tutelage.graphs.terminal.common.tables import table_of
from tutelage.graphs.terminal.common.text import safe

NAME = "runs/20251128-235959-teacher_student-SimpleDoorKey-"
ROWS = [
    {
        "name": safe(f"{NAME}{i}"),
        "about": safe("some words that may be folded " * 2),
        "first": safe("1,234,567"),
        "second\nfigure": safe("0.123456"),
        "last": safe("9,999\n10,000 total"),
    }
    for i in range(2)
]
WORDS = ("name", "about")
SPARED = ("second\nfigure", "about", "first")


def drawn(width: int, whole: tuple[str, ...] = ()) -> str:
    out = Console(width=width, file=StringIO())
    out.print(table_of(ROWS, WORDS, width, SPARED, whole=whole))
    assert isinstance(out.file, StringIO)
    return out.file.getvalue()


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (200, ["about", "first", "figure", "last"]),
        (84, ["about", "first", "last"]),
        (60, ["first", "last"]),
        (45, ["last"]),
    ],
)
def test_columns_go_in_their_order_and_only_as_far_as_they_must(
    width: int, shown: list[str]
) -> None:
    lines = drawn(width).splitlines()
    assert max(map(len, lines)) <= width
    headings = " ".join(lines[:3]).split()
    assert [word for word in ("about", "first", "figure", "last") if word in headings] == shown
    text = drawn(width)
    assert "10,000 total" in text, "figures are never broken"
    assert text.count("0.123456") == (2 if "figure" in shown else 0)


def test_a_name_that_is_copied_comes_before_what_can_be_spared() -> None:
    assert f" {NAME}1 " in drawn(70, whole=("name",))
    assert "1,234,567" not in drawn(70, whole=("name",))
    assert f" {NAME}1 " not in drawn(60)


def test_where_it_must_be_folded_anyhow_nothing_is_given_up_for_it() -> None:
    """And it is folded to lines that tell rows apart, not to a few letters."""
    assert drawn(60, whole=("name",)) == drawn(60)
    pieces = [line.split()[0] for line in drawn(60).splitlines() if line.startswith(" runs/")]
    assert min(map(len, pieces)) >= 24
