"""A frame of an episode in the room that there is."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from gymnasium import spaces
from rich.console import Console

from tutelage.graphs.analysis.actions import Actions
from tutelage.graphs.analysis.watching import Frame
from tutelage.graphs.terminal.common.decision_view import colored
from tutelage.graphs.terminal.common.frame_view import cropped, frame_view
from tutelage.rl.tasks.watching import Drawing

MOVES = Actions(spaces.Discrete(3), ("left", "right", "forward"))
PEDALS = Actions(spaces.Box(-1, 1, (9,), np.float32), tuple(f"pedal {i}" for i in range(9)))


def world(side: int, agent: tuple[int, int]) -> Drawing:
    """A square of floor in walls, whose floor is numbered by its row."""
    letters = [["#"] * side for _ in range(side)]
    inks = [["w"] * side for _ in range(side)]
    for y in range(1, side - 1):
        for x in range(1, side - 1):
            letters[y][x], inks[y][x] = chr(ord("a") + y % 26), "g"
    letters[agent[0]][agent[1]], inks[agent[0]][agent[1]] = ">", "a"
    return Drawing(tuple(map("".join, letters)), tuple(map("".join, inks)))


def frame(drawing: Drawing | None, actions: Actions = MOVES, plans: int = 3) -> Frame:
    return Frame(
        episode=0,
        step=7,
        return_=0.25,
        situation="mission: open the door\nseen: " + "red key; " * 20,
        aliases={},
        picture="\n".join(f"line {i}" for i in range(40)),
        memory=drawing,
        truth=drawing,
        images=None,
        actions=actions,
        plans=[{"plan": [["go_to", f"door {i}"]] * 9, "p": 0.2 + 0.1 * i} for i in range(plans)],
        said=None,
        student=(1 / 3,) * 3 if actions is MOVES else (0.0,) * 9 + (1.0,) * 9,
        action=2 if actions is MOVES else (0.0,) * 9,
    )


def lines_of(
    shown: Frame, width: int, rows: int | None = None, color: bool = True, height: int = 24
) -> list[str]:
    console = Console(width=width, height=height, file=StringIO())
    console.print(frame_view(shown, color, rows))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "rows"), [(80, 22), (120, 38), (40, 22), (40, 12), (200, 58)])
@pytest.mark.parametrize("side", [5, 10, 19, 25, 60])
def test_it_fits_into_any_room_with_the_agent_in_it(width: int, rows: int, side: int) -> None:
    for at in ((1, 1), (side // 2, side - 2), (side - 2, side // 2)):
        lines = lines_of(frame(world(side, at)), width, rows)
        assert len(lines) <= rows
        assert max(map(len, lines)) <= width
        assert any("▶" in line for line in lines)
        assert any(line.startswith("0.40  go_to(door 2)") for line in lines), "the likeliest plan"
        assert not any("door 1" in line for line in lines)


@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize("width", [80, 40])
def test_large_maps_are_cropped_and_no_line_of_them_is_broken(width: int, color: bool) -> None:
    """Where there is room below, all rows are shown, as `watch` does."""
    lines = lines_of(frame(world(25, (12, 12))), width, color=color)
    start = next(i for i, line in enumerate(lines) if "what is there" in line) + 1
    for row in range(1, 24):
        letters = set(lines[start + row].replace("▶", "").replace(">", "")) - set(" #")
        assert letters == {chr(ord("a") + row)}
    assert max(map(len, lines)) <= width


def test_what_is_no_map_is_cut_too() -> None:
    for shown in (frame(None), frame(None, PEDALS)):
        lines = lines_of(shown, 80, 22)
        assert len(lines) <= 22
        assert "line 0" in lines[2]
        assert lines[-1].startswith("0.40")


def test_the_agent_is_in_the_middle_where_that_is_possible() -> None:
    part = cropped(world(25, (12, 12)), 7, 5)
    assert (len(part.letters), len(part.letters[0])) == (5, 7)
    assert part.letters[2][3] == ">"
    corner = cropped(world(25, (1, 1)), 7, 5)
    assert corner.letters[0] == "#" * 7
    assert corner.letters[1][1] == ">"
    assert cropped(world(5, (2, 2)), 70, 50) == world(5, (2, 2))


def test_a_map_takes_few_bytes() -> None:
    """It may go over a slow line, many times a second."""
    console = Console(file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(colored(world(25, (12, 12))))
    assert isinstance(console.file, StringIO)
    assert len(console.file.getvalue()) < 5 * 2 * 25 * 25
