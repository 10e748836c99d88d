"""An episode as a GIF or MP4: what is there beside what is remembered, and what both are for."""

from __future__ import annotations

import importlib.util
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np

from tutelage.graphs.analysis.actions import Targets
from tutelage.graphs.analysis.watching import Frame
from tutelage.graphs.config.config import ConfigError
from tutelage.graphs.records.outputs import check_output
from tutelage.graphs.terminal.common.decision_view import (
    actions_to_show,
    cell_of,
    limits_of,
    moments_of,
)

_BACK: Final = (20, 22, 27)
_TEXT: Final = (216, 219, 226)
_DIM: Final = (122, 128, 142)
_TEACHER: Final = (95, 215, 255)
_STUDENT: Final = (255, 175, 95)
_TRACK: Final = (34, 37, 46)
_MAP: Final = 320
"""Pixels of the longer side of each map."""
_GAP: Final = 20
_LINE: Final = 20
_LEAST: Final = 2 * _MAP + 3 * _GAP
_MOST: Final = 1280
"""The least and the greatest width of a page. Text that is wider goes on in the next line."""
_BAR: Final = 250
_NAMES: Final = _MOST - 2 * _BAR - 4 * _GAP
"""The most room for names beside the bars."""
_LETTERS: Final = 14
"""Size of the letters."""
_NEEDED: Final = {".gif": "PIL", ".mp4": "imageio_ffmpeg"}
_SHEET: Final = 8
_LINES: Final = 100
"""The most lines of a picture in letters; a page has a size that can be made and shown."""
_DONE: Final = "  <"
"""Marks the action that is done."""
_END_S: Final = 1.5
"""How long the last frame stays."""


def check_films(files: Sequence[Path], force: bool) -> None:
    """See that films of these names can be made. force: overwrite what is there.

    Raises ConfigError or OutputError.
    """
    for file in files:
        if file.suffix not in _NEEDED:
            raise ConfigError(f"{file} is no film: --gif takes .gif, --mp4 takes .mp4")
        if any(importlib.util.find_spec(name) is None for name in ("PIL", _NEEDED[file.suffix])):
            raise ConfigError(f'{file}: films need the extra: pip install "tutelage[video]"')
        if not file.parent.is_dir():
            raise ConfigError(f"{file}: there is no folder {file.parent}")
        check_output(file, force)


def write_films(
    files: Sequence[Path], frames: Iterator[Frame], fps: float
) -> Iterator[tuple[Path, str]]:
    """Write the same episode into each file; gives each when it is there, and what is in it."""
    pages = draw_frames(list(frames))
    for file in files:
        if file.suffix == ".gif":
            _write_gif(file, pages, fps)
        else:
            _write_mp4(file, pages, fps)
        yield file, f"{len(pages)} frames"


def _shown_in(frames: Sequence[Frame]) -> list[int]:
    """What the film has a bar for, the same in every frame: columns, or dimensions of a Box."""
    actions = frames[0].actions
    if actions.kind == "box":
        return list(range(len(actions.names)))
    taught = [frame.teacher for frame in frames if frame.teacher is not None]
    done = {column for frame in frames for column in actions.chosen(frame.action)}
    given = [*taught, *(frame.student for frame in frames)]
    return actions_to_show(len(actions.columns), given, done)


@dataclass(frozen=True)
class _Layout:
    """Where everything stands on the pages of an episode, which are of one size.

    shown: the columns of targets that have a bar, or the dimensions of a Box that have a line;
    names: what each is called, in lines. left: where the teacher's bars begin, and the student's.
    maps: height of the maps; told: lines of what the teacher is told, and advised: of its plan.
    """

    shown: tuple[int, ...]
    names: tuple[list[str], ...]
    left: tuple[int, int]
    width: int
    maps: int
    told: int
    advised: int

    @property
    def captions(self) -> int:
        """Where the captions begin."""
        return 3 * _LINE + self.maps + _GAP // 2

    @property
    def bars(self) -> int:
        """Where the bars begin, below their headings."""
        return self.captions + (self.told + self.advised + 2) * _LINE

    @property
    def height(self) -> int:
        """Of the page; even, as films need it."""
        height = self.bars + sum(map(len, self.names)) * _LINE + _GAP
        return height + height % 2


def draw_frames(frames: Sequence[Frame]) -> list[Any]:
    """An episode's frames as Pillow images. Their size is such that no text is cut."""
    from PIL import ImageFont

    font = ImageFont.load_default(_LETTERS)
    layout = _layout_of(frames, font)
    return [_drawn(frame, layout, font) for frame in frames]


def _layout_of(frames: Sequence[Frame], font: Any) -> _Layout:
    shown, actions = _shown_in(frames), frames[0].actions
    called = actions.names if actions.kind == "box" else actions.columns
    # Any of them may be marked as the one that is done.
    room = _NAMES - ceil(font.getlength(_DONE))
    names = tuple(_wrapped(called[i], font, room) for i in shown)
    widest = max((_length(lines, font) for lines in names), default=0) + ceil(font.getlength(_DONE))
    pictures = [_picture(frame.picture, font) for frame in frames if frame.images is None]
    widths = [_length(lines, font) + 2 * _GAP for lines in pictures]
    first = 2 * _GAP + widest
    second = first + _BAR + 2 * _GAP
    width = max(_LEAST, second + _BAR + _GAP, *widths)
    width += width % 2
    captions = [_captions(frame) for frame in frames]
    return _Layout(
        shown=tuple(shown),
        names=names,
        left=(first, second),
        width=width,
        maps=max([_MAP, *(len(lines) * _LINE for lines in pictures)]),
        told=max(len(_wrapped(told, font, width - 2 * _GAP)) for told, _ in captions),
        advised=max(len(_wrapped(advised, font, width - 2 * _GAP)) for _, advised in captions),
    )


def _drawn(frame: Frame, layout: _Layout, font: Any) -> Any:
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (layout.width, layout.height), _BACK)
    draw = ImageDraw.Draw(page)
    end = "" if frame.success is None else ("   succeeded" if frame.success else "   failed")
    head = f"episode {frame.episode}   step {frame.step}   return {frame.return_:.3f}{end}"
    draw.text((_GAP, _LINE // 2), head, _TEXT, font)
    _draw_maps(page, draw, font, frame)
    told, advised = _captions(frame)
    room, top = layout.width - 2 * _GAP, layout.captions
    _draw_lines(draw, font, _wrapped(told, font, room), (_GAP, top), _DIM)
    top += layout.told * _LINE
    _draw_lines(draw, font, _wrapped(advised, font, room), (_GAP, top), _TEXT)
    _draw_bars(draw, font, frame, layout)
    return page


def _draw_maps(page: Any, draw: Any, font: Any, frame: Frame) -> None:
    from PIL import Image

    top = 3 * _LINE
    if frame.images is None:
        _draw_lines(draw, font, _picture(frame.picture, font), (_GAP, top), _TEXT)
        return
    for i, (title, pixels) in enumerate(
        zip(("what is there", "what is remembered"), frame.images, strict=True)
    ):
        left = _GAP + i * (_MAP + _GAP)
        draw.text((left, top - _LINE), title, _DIM, font)
        image = Image.fromarray(pixels)
        image.thumbnail((_MAP, _MAP))
        page.paste(image, (left, top))


def _captions(frame: Frame) -> tuple[str, str]:
    """What the teacher is told, and its likeliest plan."""
    names = [f"{own} is called {called}" for own, called in frame.aliases.items()]
    told = ", ".join([*frame.situation.splitlines(), *names])
    if not frame.plans:
        return told, "no advice on this situation"
    best = max(range(len(frame.plans)), key=lambda i: frame.plans[i]["p"])
    steps = [f"{name}({target or ''})" for name, target in frame.plans[best]["plan"]]
    now = None if frame.said is None else frame.said.steps[best]
    marked = [f"[ {step} ]" if i == now else step for i, step in enumerate(steps)]
    return told, f"{frame.plans[best]['p']:.2f}  " + "  >  ".join(marked)


def _draw_lines(
    draw: Any, font: Any, lines: Sequence[str], place: tuple[int, int], color: Any
) -> None:
    for row, line in enumerate(lines):
        draw.text((place[0], place[1] + row * _LINE), line, color, font)


def _draw_bars(draw: Any, font: Any, frame: Frame, layout: _Layout) -> None:
    boxed, chosen = frame.actions.kind == "box", frame.actions.chosen(frame.action)
    y = layout.bars
    titles = (("teacher", _TEACHER), ("student", _STUDENT))
    for left, (title, color) in zip(layout.left, titles, strict=True):
        draw.text((left, y - _LINE), title, color, font)
    for i, lines in zip(layout.shown, layout.names, strict=True):
        done = i in chosen
        marked = [*lines[:-1], lines[-1] + (_DONE if done else "")]
        _draw_lines(draw, font, marked, (_GAP, y), _TEXT if done else _DIM)
        for left, targets, color in (
            (layout.left[0], frame.teacher, _TEACHER),
            (layout.left[1], frame.student, _STUDENT),
        ):
            draw.rectangle((left, y + 3, left + _BAR, y + 15), _TRACK)
            if targets is None:
                continue
            if boxed:
                _draw_moments(draw, frame, i, targets, (left, y), color)
            elif targets[i] > 0.002:
                draw.rectangle((left, y + 3, left + round(_BAR * targets[i]), y + 15), color)
        y += len(lines) * _LINE


def _draw_moments(
    draw: Any, frame: Frame, i: int, targets: Targets, place: tuple[int, int], color: Any
) -> None:
    """A dimension of a Box: a thin line of one standard deviation to either side of a mark."""
    left, y = place
    low, high = limits_of(frame.actions, i, (frame.teacher, frame.student), frame.action)
    mean, std = moments_of(targets, i, len(frame.actions.names))
    first, at, last = (cell_of(mean + k * std, low, high, _BAR + 1) for k in (-1, 0, 1))
    if first is None or at is None or last is None:
        return
    draw.rectangle((left + first, y + 8, left + last, y + 10), color)
    draw.rectangle((left + max(at - 2, 0), y + 3, left + min(at + 2, _BAR), y + 15), color)
    if isinstance(frame.action, tuple):
        done = cell_of(frame.action[i], low, high, _BAR + 1) or 0
        draw.line((left + done, y + 3, left + done, y + 15), _TEXT)


def _picture(text: str, font: Any) -> list[str]:
    """The lines of a picture in letters; of one that is no picture any more, the first of them."""
    lines = _wrapped(text, font, _MOST - 2 * _GAP)
    return lines if len(lines) <= _LINES else [*lines[:_LINES], f"and {len(lines) - _LINES} lines"]


def _length(lines: Sequence[str], font: Any) -> int:
    """Pixels of the longest line."""
    return max((ceil(font.getlength(line)) for line in lines), default=0)


def _wrapped(text: str, font: Any, room: int) -> list[str]:
    """A text in lines of at most so many pixels, broken between words where it has any."""
    lines: list[str] = []
    for line in _plain(text).splitlines() or [""]:
        while font.getlength(line) > room:
            # The longest beginning that fits; there is always room for a letter.
            end = bisect_right(range(1, len(line)), room, key=lambda n: font.getlength(line[:n]))
            fits = line[: max(end, 1)]
            between = fits.rfind(" ")
            cut = between if fits[: max(between, 0)].strip() else len(fits)
            lines.append(line[:cut])
            line = line[cut:].lstrip(" ")
        lines.append(line)
    return lines


def _plain(text: str) -> str:
    """What the font can show; the rest is a dot."""
    return "".join(c if (c.isprintable() and ord(c) < 256) or c == "\n" else "." for c in text)


def _write_gif(file: Path, pages: Sequence[Any], fps: float) -> None:
    from PIL import Image

    durations = [round(1000 / fps)] * (len(pages) - 1) + [round(1000 * _END_S)]
    palette = _palette_of(pages)
    first, *rest = (page.quantize(palette=palette, dither=Image.Dither.NONE) for page in pages)
    first.save(file, save_all=True, append_images=rest, duration=durations, loop=0)


def _palette_of(pages: Sequence[Any]) -> Any:
    """The same colours for all pages, of some pages on a sheet: finding them takes most of the time
    that a GIF takes.
    """
    from PIL import Image

    some = pages[:: -(-len(pages) // _SHEET)]
    width, height = pages[0].size
    sheet = Image.new("RGB", (width, height * len(some)))
    for i, page in enumerate(some):
        sheet.paste(page, (0, i * height))
    return sheet.quantize()


def _write_mp4(file: Path, pages: Sequence[Any], fps: float) -> None:
    import imageio_ffmpeg  # type: ignore[import-untyped]  # it has no stubs

    writer = imageio_ffmpeg.write_frames(
        str(file), pages[0].size, fps=fps, macro_block_size=2, ffmpeg_log_level="error"
    )
    writer.send(None)
    for page in [*pages, *[pages[-1]] * round(fps * _END_S)]:
        writer.send(np.ascontiguousarray(page))
    writer.close()
