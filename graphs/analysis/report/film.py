"""An episode as a moving picture: maps in coloured shapes, as SVG that a style sheet animates.

Nothing runs: each frame is a group that is visible for its share of the film. Most cells never
change, so all frames stand over one ground, and each draws only what differs from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from tutelage.graphs.analysis.report.markup import Html, element, join
from tutelage.rl.tasks.watching import Drawing

FRAMES: Final = 120
"""Frames of the longest film."""
_FRAME_S: Final = 0.3
_END_FRAMES: Final = 6
"""How many frames' time the last one stays."""

_GROUNDS: Final = {"?": "unknown", "#": "wall", "~": "lava", "G": "goal"}
"""What fills a cell, by its letter (`rl.tasks.watching.Drawing`); all else stands on floor."""
_THINGS: Final = {
    **{"k": "key", "o": "ball", "b": "box", "/": "open", "+": "closed", "L": "locked"},
    **{">": "right", "v": "down", "<": "left", "^": "up", ".": None},
}
"""What stands in a cell: the name of a shape of `SHAPES`. Other letters are drawn as letters."""
_INKS: Final = frozenset("arbgpye")

_Cell = tuple[str, str]
"""The letter and the ink of a cell."""


@dataclass(frozen=True)
class Film:
    """A film. maps: by title, a drawing for each frame, all of one size. captions: one a frame."""

    maps: dict[str, Sequence[Drawing]]
    captions: Sequence[str]


def thinned(count: int) -> list[int]:
    """Which of so many frames are shown: at most `FRAMES`, the first and the last among them."""
    if count <= FRAMES:
        return list(range(count))
    return [round(i * (count - 1) / (FRAMES - 1)) for i in range(FRAMES)]


def film_view(film: Film, number: int, label: str) -> Html:
    """The film, with a box to stop it. number: another one for each film of a page.

    label: what is to be seen, in words.
    """
    stop = f"stop-{number}"
    maps = [
        element("figure", element("figcaption", title), _animated(drawings, f"{label}, {title}"))
        for title, drawings in film.maps.items()
    ]
    captions = [
        element("span", caption, class_=_frame_class(i, len(film.captions)))
        for i, caption in enumerate(film.captions)
    ]
    return element(
        "div",
        element("input", id=stop, type="checkbox", class_="stop"),
        element("label", "stop the film", for_=stop),
        element("div", join(maps), class_="maps"),
        element("p", join(captions), class_="captions", aria_hidden="true"),
        class_=f"film m{number}",
    )


def film_styles(lengths: dict[int, int]) -> str:
    """The style sheet's part for films. lengths: of each film by its number, in frames."""
    if not lengths:
        return ""
    rules = []
    for number, frames in lengths.items():
        slots = frames - 1 + _END_FRAMES
        rules.append(
            f".m{number} .f{{animation:{_FRAME_S * slots:.1f}s m{number} infinite step-end}}"
        )
        rules.append(f".m{number} .last{{animation-name:m{number}e}}")
        for name, share in ((f"m{number}", 1 / slots), (f"m{number}e", _END_FRAMES / slots)):
            rules.append(
                f"@keyframes {name}{{0%{{visibility:visible}}{100 * share:.3f}%"
                "{visibility:hidden}to{visibility:hidden}}"
            )
    for i in range(max(lengths.values())):
        # More specific than the rule of a film, which sets all of the animation.
        rules.append(f".film .d{i}.d{i}.d{i}{{animation-delay:{_FRAME_S * i:.1f}s}}")
    return "\n".join(rules)


def _animated(drawings: Sequence[Drawing], label: str) -> Html:
    cells = [_cells(drawing) for drawing in drawings]
    height, width = len(cells[0]), len(cells[0][0])
    ground = [
        [Counter(frame[y][x] for frame in cells).most_common(1)[0][0] for x in range(width)]
        for y in range(height)
    ]
    parts: list[Html] = [element("title", label), _drawn(ground, None)]
    for i, frame in enumerate(cells):
        parts.append(element("g", _drawn(frame, ground), class_=_frame_class(i, len(cells))))
    return element("svg", join(parts), class_="map", role="img", viewBox=f"0 0 {width} {height}")


def _frame_class(i: int, frames: int) -> str:
    return f"f d{i} last" if i == frames - 1 else f"f d{i}"


def _cells(drawing: Drawing) -> list[list[_Cell]]:
    return [
        list(zip(letters, inks, strict=True))
        for letters, inks in zip(drawing.letters, drawing.inks, strict=True)
    ]


def _drawn(cells: list[list[_Cell]], ground: list[list[_Cell]] | None) -> Html:
    """The cells; with `ground` those alone that are not like it."""
    fills: dict[str, list[str]] = {}
    things = []
    for y, line in enumerate(cells):
        shown = [(x, cell) for x, cell in enumerate(line) if ground is None or ground[y][x] != cell]
        for fill, first, length in _runs(shown):
            fills.setdefault(fill, []).append(f"M{first} {y}h{length}v1h-{length}z")
        things += [_thing(x, y, cell) for x, cell in shown if cell[0] not in (*_GROUNDS, ".")]
    paths = [element("path", class_=fill, d="".join(d)) for fill, d in fills.items()]
    return join([*paths, *things])


def _runs(shown: Sequence[tuple[int, _Cell]]) -> Iterator[tuple[str, int, int]]:
    """(what fills them, the first, how many) of cells beside each other."""
    filled = [(x, _GROUNDS.get(letter, "floor")) for x, (letter, _) in shown]
    for (fill, _), cells in groupby(enumerate(filled), lambda e: (e[1][1], e[1][0] - e[0])):
        places = [x for _, (x, _) in cells]
        yield fill, places[0], len(places)


def _thing(x: int, y: int, cell: _Cell) -> Html:
    letter, ink = cell
    colour = f"i-{ink.lower()}" if ink.lower() in _INKS else "i-e"
    shape = _THINGS.get(letter)
    if shape is None:
        return element("text", letter, class_=f"letter {colour}", x=x + 0.5, y=y + 0.75)
    return element("use", href=f"#s-{shape}", x=x, y=y, class_=colour)


def _shape(name: str, markup: str) -> str:
    return f'<g id="s-{name}">{markup}</g>'


_BODY: Final = "M.15 .15L.88 .5L.15 .85z"
SHAPES: Final = Html(
    '<svg class="shapes" aria-hidden="true" width="0" height="0"><defs>'
    + "".join(
        (
            _shape(
                "key",
                '<path fill="none" stroke="currentColor" stroke-width=".12" '
                'd="M.48 .5H.9M.86 .5V.7M.7 .5V.66"/>'
                '<circle cx=".32" cy=".5" r=".17" fill="none" stroke="currentColor" '
                'stroke-width=".12"/>',
            ),
            _shape("ball", '<circle cx=".5" cy=".5" r=".32" fill="currentColor"/>'),
            _shape(
                "box",
                '<path fill="none" stroke="currentColor" stroke-width=".12" '
                'd="M.18 .18H.82V.82H.18zM.18 .5H.82"/>',
            ),
            _shape(
                "open",
                '<path fill="none" stroke="currentColor" stroke-width=".1" '
                'd="M.05 .05H.95V.22H.05z"/>',
            ),
            _shape(
                "closed",
                '<path fill="currentColor" d="M.05 .05H.95V.95H.05z"/>'
                '<circle cx=".74" cy=".5" r=".09" class="hole"/>',
            ),
            _shape(
                "locked",
                '<path fill="currentColor" d="M.05 .05H.95V.95H.05z"/>'
                '<path class="hole" d="M.5 .28a.13 .13 0 0 1 .06 .25L.62 .74H.38L.44 .53A.13 .13 0 '
                '0 1 .5 .28z"/>',
            ),
            *(
                _shape(
                    name,
                    f'<path fill="currentColor" d="{_BODY}" transform="rotate({turn} .5 .5)"/>',
                )
                for name, turn in (("right", 0), ("down", 90), ("left", 180), ("up", 270))
            ),
        )
    )
    + "</defs></svg>"
)
"""The shapes that films draw with; once on a page."""
