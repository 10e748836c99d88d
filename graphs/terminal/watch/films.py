"""An episode as a GIF or MP4: what is there beside what is remembered, and what both are for."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from tutelage.graphs.analysis.actions import Targets
from tutelage.graphs.analysis.watching import Frame
from tutelage.graphs.config.config import ConfigError
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
_WIDTH: Final = 2 * _MAP + 3 * _GAP
_LEFT: Final = (130, 420)
"""Where the teacher's bars begin, and the student's."""
_BAR: Final = 250
_LONGEST: Final = 14
"""Letters of a name beside them."""
_LINES: Final = 18
_LETTERS: Final = 90
"""Lines, and letters of each, of a picture in letters."""
_NEEDED: Final = {".gif": "PIL", ".mp4": "imageio_ffmpeg"}
_SHEET: Final = 8
_END_S: Final = 1.5
"""How long the last frame stays."""


def check_films(files: Sequence[Path]) -> None:
    """See that films of these names can be made. Raises ConfigError."""
    for file in files:
        if file.suffix not in _NEEDED:
            raise ConfigError(f"{file} is no film: --gif takes .gif, --mp4 takes .mp4")
        if any(importlib.util.find_spec(name) is None for name in ("PIL", _NEEDED[file.suffix])):
            raise ConfigError(f'{file}: films need the extra: pip install "tutelage[video]"')
        if not file.parent.is_dir():
            raise ConfigError(f"{file}: there is no folder {file.parent}")


def write_films(files: Sequence[Path], frames: Iterator[Frame], fps: float) -> Iterator[str]:
    """Write the same episode into each file; a line for each when it is there."""
    shots = list(frames)
    shown = _shown_in(shots)
    pages = [draw_frame(shot, shown) for shot in shots]
    for file in files:
        if file.suffix == ".gif":
            _write_gif(file, pages, fps)
        else:
            _write_mp4(file, pages, fps)
        yield f"{file}: {len(pages)} frames"


def _shown_in(frames: Sequence[Frame]) -> list[int]:
    """What the film has a bar for, the same in every frame: columns, or dimensions of a Box."""
    actions = frames[0].actions
    if actions.kind == "box":
        return list(range(len(actions.names)))
    taught = [frame.teacher for frame in frames if frame.teacher is not None]
    done = {column for frame in frames for column in actions.chosen(frame.action)}
    given = [*taught, *(frame.student for frame in frames)]
    return actions_to_show(len(actions.columns), given, done)


def draw_frame(frame: Frame, shown: Sequence[int]) -> Any:
    """One frame as a Pillow image, of the same size for every frame of an episode.

    shown: the columns of targets that have a bar, or the dimensions of a Box that have a line.
    """
    from PIL import Image, ImageDraw, ImageFont

    bars = _LINE * len(shown)
    height = _LINE * 6 + _MAP + bars + 2 * _GAP
    page = Image.new("RGB", (_WIDTH, height + height % 2), _BACK)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    end = "" if frame.success is None else ("   succeeded" if frame.success else "   failed")
    head = f"episode {frame.episode}   step {frame.step}   return {frame.return_:.3f}{end}"
    draw.text((_GAP, _LINE // 2), head, _TEXT, font)
    _draw_maps(page, draw, font, frame)
    top = _LINE * 3 + _MAP
    for i, line in enumerate(_captions(frame)):
        draw.text((_GAP, top + i * _LINE), line, _TEXT if i else _DIM, font)
    _draw_bars(draw, font, frame, shown, top + 3 * _LINE)
    return page


def _draw_maps(page: Any, draw: Any, font: Any, frame: Frame) -> None:
    from PIL import Image

    top = 3 * _LINE
    if frame.images is None:
        draw.multiline_text((_GAP, top), _fitting(frame.picture), _TEXT, font)
        return
    for i, (title, pixels) in enumerate(
        zip(("what is there", "what is remembered"), frame.images, strict=True)
    ):
        left = _GAP + i * (_MAP + _GAP)
        draw.text((left, top - _LINE), title, _DIM, font)
        image = Image.fromarray(pixels)
        image.thumbnail((_MAP, _MAP))
        page.paste(image, (left, top))


def _captions(frame: Frame) -> list[str]:
    """What the teacher is told, and its likeliest plan."""
    names = [f"{own} is called {called}" for own, called in frame.aliases.items()]
    told = _plain(", ".join([*frame.situation.splitlines(), *names]))
    if not frame.plans:
        return [told[:100], "no advice on this situation"]
    best = max(range(len(frame.plans)), key=lambda i: frame.plans[i]["p"])
    steps = [f"{name}({target or ''})" for name, target in frame.plans[best]["plan"]]
    now = None if frame.said is None else frame.said.steps[best]
    marked = [f"[ {step} ]" if i == now else step for i, step in enumerate(steps)]
    return [told[:100], _plain(f"{frame.plans[best]['p']:.2f}  " + "  >  ".join(marked))[:100]]


def _draw_bars(draw: Any, font: Any, frame: Frame, shown: Sequence[int], top: int) -> None:
    actions = frame.actions
    boxed = actions.kind == "box"
    names = actions.names if boxed else actions.columns
    chosen = actions.chosen(frame.action)
    for left, title, color in ((_LEFT[0], "teacher", _TEACHER), (_LEFT[1], "student", _STUDENT)):
        draw.text((left, top - _LINE), title, color, font)
    for row, i in enumerate(shown):
        y, done = top + row * _LINE, i in chosen
        said = _plain(f"{names[i][:_LONGEST]}{'  <' if done else ''}")
        draw.text((_GAP, y), said, _TEXT if done else _DIM, font)
        for left, targets, color in (
            (_LEFT[0], frame.teacher, _TEACHER),
            (_LEFT[1], frame.student, _STUDENT),
        ):
            draw.rectangle((left, y + 3, left + _BAR, y + 15), _TRACK)
            if targets is None:
                continue
            if boxed:
                _draw_moments(draw, frame, i, targets, (left, y), color)
            elif targets[i] > 0.002:
                draw.rectangle((left, y + 3, left + round(_BAR * targets[i]), y + 15), color)


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


def _fitting(picture: str) -> str:
    """As much of a picture in letters as there is room for."""
    lines = _plain(picture).splitlines()
    return "\n".join(line[:_LETTERS] for line in lines[:_LINES])


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
