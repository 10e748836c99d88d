"""`watch`: an episode as frames, at a terminal, as lines for machines, and as films."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import ExitStack
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image, ImageDraw
from rich.console import Console
from typer.testing import CliRunner

from helpers.screens import HOSTILE, screen
from helpers.tiny_runs import TinyRun, make_run
from tutelage.graphs.analysis.watching import EpisodeViewer, Frame
from tutelage.graphs.runtime.errors import one_line
from tutelage.graphs.terminal.app import app as command_line
from tutelage.graphs.terminal.common.frame_view import frame_view
from tutelage.graphs.terminal.watch.films import draw_frames
from tutelage.graphs.terminal.watch.screen import WatchScreen
from tutelage.rl.tasks.watching import Drawing


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return make_run(tmp_path_factory.mktemp("watched"), env="MiniGrid-Empty-5x5-v0")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A run of a task of one's own, which says no more of itself than it must."""
    return make_run(tmp_path_factory.mktemp("own"), env="helpers.toy_task:Corridor")


@pytest.fixture(scope="module")
def by_options(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    folder = tmp_path_factory.mktemp("options")
    return make_run(folder, graph="hierarchical", env="MiniGrid-Empty-5x5-v0", steps=128)


@pytest.fixture(scope="module", params=["TaughtCar", "TaughtDials"])
def gym(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Runs with continuous actions, and with several discrete ones at once."""
    folder = tmp_path_factory.mktemp("gym")
    return make_run(folder, env=f"helpers.taught_tasks:{request.param}")


def frames(run: TinyRun, episode: int = 0, **how: Any) -> list[Frame]:
    with ExitStack() as resources:
        return list(EpisodeViewer(run.path, resources, **how).frames(episode))


def type_in(*arguments: Any) -> Any:
    return CliRunner().invoke(command_line, ["watch", *map(str, arguments)])


class TestFrames:
    def test_an_episode_goes_from_start_to_end_the_same_each_time(self, own: TinyRun) -> None:
        seen = frames(own, 2)
        assert seen == frames(own, 2)
        assert [frame.step for frame in seen] == list(range(len(seen)))
        assert all(frame.success is None and frame.action is not None for frame in seen[:-1])
        assert (seen[-1].success is not None, seen[-1].action) == (True, None)
        assert seen[-1].return_ == pytest.approx(-0.01 * (len(seen) - 1), abs=1.01)
        assert frames(own, 3)[0].picture != seen[0].picture or frames(own, 3) != seen

    def test_a_grid_is_shown_whole_beside_what_is_known_of_it(self, run: TinyRun) -> None:
        seen = frames(run, images=True)
        for frame in seen:
            assert frame.truth is not None
            assert frame.memory is not None
            assert len(frame.truth.letters) == len(frame.memory.letters) == 5
            assert frame.images is not None
            assert frame.images[0].shape == frame.images[1].shape == (160, 160, 3)
        assert "?" in "".join(seen[0].memory.letters)
        assert "?" not in "".join(seen[0].truth.letters)

    def test_the_teacher_speaks_from_the_trace_or_is_asked_if_wanted(self, own: TinyRun) -> None:
        with own.trace() as reader:
            plans = {each.text: each.plans for each in reader.situations()}
        for frame in frames(own):
            assert frame.plans == plans[frame.situation]
            assert frame.said is not None
            assert sum(frame.said.targets) == pytest.approx(1.0, abs=1e-5)
            assert sum(frame.student) == pytest.approx(1.0, abs=1e-5)
        assert [frame.plans for frame in frames(own, provider="offline")] == [
            frame.plans for frame in frames(own)
        ]

    def test_argmax_takes_the_likeliest_action(self, own: TinyRun) -> None:
        for frame in frames(own, argmax=True)[:-1]:
            assert frame.action == int(np.argmax(frame.student))

    def test_a_student_that_remembers_is_watched_too(self, tmp_path: Path) -> None:
        run = make_run(tmp_path, student__sees="view")
        seen = frames(run)
        assert len(seen) > 1
        assert len({frame.student for frame in seen}) > 1


class TestSpaces:
    """Any action space, in a task whose situations and options are numbered at first sight."""

    def test_the_recorded_advice_is_found_by_its_text(self, gym: TinyRun) -> None:
        with gym.trace() as reader:
            plans = {each.text: each.plans for each in reader.situations()}
        taught = [frame for frame in frames(gym) if plans.get(frame.situation)]
        assert taught
        for frame in taught:
            assert frame.plans == plans[frame.situation]
            assert frame.said is not None
            assert frame.teacher == frame.said.targets
            assert len(frame.said.targets) == len(frame.student) == len(frame.actions.columns)

    def test_an_episode_is_the_same_each_time(self, gym: TinyRun) -> None:
        assert frames(gym, 1) == frames(gym, 1)
        for frame in frames(gym, argmax=True)[:-1]:
            assert frame.action == pytest.approx(frame.actions.likeliest(frame.student))

    def test_it_is_shown_in_eighty_columns_and_as_json(self, gym: TinyRun) -> None:
        for frame in frames(gym):
            shown = narrow(frame)
            assert max(map(len, shown.splitlines())) <= 80
            assert all(name in shown for name in frame.actions.names)
        done = type_in(gym.path, "--json")
        assert done.exit_code == 0, done.exception
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        names = set(frames(gym)[0].actions.names)
        assert all(set(row["action"]) == names for row in rows[:-1])
        assert rows[-1]["action"] is None
        assert set(rows[0]["student"]) == set(rows[0]["teacher"])

    def test_it_is_filmed(self, gym: TinyRun, tmp_path: Path) -> None:
        done = type_in(gym.path, "--gif", tmp_path / "a.gif")
        assert done.exit_code == 0, done.exception
        with Image.open(tmp_path / "a.gif") as film:
            assert film.n_frames > 1


class TestOptions:
    """A student that picks options: a frame is a choice, and the next shows what it came to."""

    def test_the_true_grid_goes_along(self, by_options: TinyRun) -> None:
        seen = frames(by_options, images=True)
        for frame in seen[:-1]:
            assert agent(frame.truth) == agent(frame.memory)
        steps = [frame.step for frame in seen]
        assert steps == sorted(set(steps))
        assert seen[-1].return_ == pytest.approx(1 - 0.9 * steps[-1] / 100)

    def test_only_options_that_somebody_would_take_are_shown(self, by_options: TinyRun) -> None:
        frame = frames(by_options)[0]
        assert isinstance(frame.action, int)
        assert len(frame.actions.names) > 40
        shown = narrow(frame)
        assert f"▸ {frame.actions.names[frame.action]}" in shown
        assert re.search(r"and \d+ more at 0 %", shown)
        assert len(shown.splitlines()) < 24


def test_it_fits_into_eighty_columns(run: TinyRun) -> None:
    """The maps beside the bars, and no line of either is broken."""
    frame = frames(run)[0]
    shown = narrow(frame).splitlines()
    (first,) = [i for i, line in enumerate(shown) if "what is remembered" in line]
    assert "student" in shown[first]
    for name in frame.actions.names:
        assert len([line for line in shown if f" {name} " in line and line.count("%") == 2]) == 1


def narrow(frame: Frame) -> str:
    """A frame as it is printed on a terminal of 80 columns."""
    console = Console(width=80, file=StringIO())
    console.print(frame_view(frame))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def agent(drawing: Drawing | None) -> tuple[int, int]:
    """Where the agent is drawn."""
    assert drawing is not None
    ((row, column),) = [
        (y, x) for y, line in enumerate(drawing.inks) for x, ink in enumerate(line) if ink == "a"
    ]
    return row, column


class TestLines:
    def test_json_is_a_line_a_frame(self, own: TinyRun) -> None:
        done = type_in(own.path, "--episode", 1, "--json")
        assert done.exit_code == 0
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert rows == json.loads(json.dumps([frame.to_json() for frame in frames(own, 1)]))
        assert set(rows[0]["student"]) == {"left", "right", "pull"}

    def test_without_a_terminal_frames_are_plain(self, run: TinyRun) -> None:
        done = type_in(run.path)
        assert done.exit_code == 0
        assert "\x1b" not in done.stdout
        assert "what is remembered" in done.stdout
        assert "step 0" in done.stdout

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--gif", "film.txt"], "film.txt"),
            (["--mp4", "nowhere/film.mp4"], "nowhere"),
            (["--provider", "nope"], "nope"),
        ],
    )
    def test_mistakes_are_a_line(self, own: TinyRun, arguments: list[str], says: str) -> None:
        done = type_in(own.path, *arguments)
        assert says in (one_line(done.exception) or "")


class TestFilms:
    def test_gif_and_mp4_show_every_frame(self, run: TinyRun, tmp_path: Path) -> None:
        gif, mp4 = tmp_path / "a.gif", tmp_path / "a.mp4"
        done = type_in(run.path, "--gif", gif, "--mp4", mp4, "--fps", 10)
        assert done.exit_code == 0, done.exception
        expected = len(frames(run))
        with Image.open(gif) as film:
            assert 1 < film.n_frames <= expected  # equal frames in a row may be joined
            assert np.asarray(film.convert("RGB")).std() > 10
        count, seconds = imageio_ffmpeg.count_frames_and_secs(str(mp4))
        assert count == expected + 15
        assert seconds == pytest.approx(count / 10, rel=0.1)

    def test_no_text_is_cut(self, own: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever its length: what is drawn is all that was said, and within the page."""
        frame = frames(own)[0]
        names = tuple(f"{name} {'by and by ' * 12}".strip() for name in frame.actions.names)
        frame = replace(frame, actions=replace(frame.actions, names=names))
        long = replace(
            frame,
            situation="\n".join([f"line {i}: {'much is known here ' * 5}" for i in range(9)]),
            picture=f"{'wide ' * 90}\n" * 30 + "x" * 1500,
            plans=[{"plan": [["go_to", f"the {i}th key of the north"] for i in range(20)], "p": 1}],
            said=None,
        )
        drawn: list[tuple[tuple[int, int, int, int], str]] = []
        write = ImageDraw.ImageDraw.text

        def text(draw: Any, place: Any, line: str, color: Any, font: Any) -> None:
            drawn.append((draw.textbbox(place, line, font), line))
            write(draw, place, line, color, font)

        monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
        first, second = draw_frames([frame, long])
        assert first.size == second.size
        assert all(side % 2 == 0 for side in first.size), "as films need it"
        for left, top, right, bottom in (box for box, _ in drawn):
            assert 0 <= left <= right <= first.width - 10
            assert 0 <= top <= bottom <= first.height
        boxes = [box for box, _ in drawn[-len(drawn) // 2 :]]
        said = "".join("".join(line for _, line in drawn).split())
        steps = "  >  ".join(f"go_to(the {i}th key of the north)" for i in range(20))
        for whole in (long.situation.replace("\n", ", "), long.picture, steps, *names):
            assert "".join(whole.split()) in said
        assert len(boxes) == len(set(boxes)), "no line stands on another"

    def test_the_film_is_told_of(self, own: TinyRun, tmp_path: Path) -> None:
        gif = tmp_path / "a.gif"
        assert type_in(own.path, "--gif", gif).stdout == f"wrote {gif}: {len(frames(own))} frames\n"
        piped = type_in(own.path, "--gif", gif, "--force", "--json")
        assert piped.stderr.startswith(f"wrote {gif}")
        assert list(json.loads(piped.stdout)) == ["files"]

    def test_a_task_without_pixels_is_filmed_in_letters(self, own: TinyRun, tmp_path: Path) -> None:
        assert type_in(own.path, "--gif", tmp_path / "a.gif").exit_code == 0
        assert (tmp_path / "a.gif").stat().st_size > 1000


def play(run: TinyRun, fps: float | None, script: Any) -> None:
    async def session() -> None:
        with ExitStack() as resources:
            app = WatchScreen(run.path, EpisodeViewer(run.path, resources).frames(0), fps)
            async with app.run_test(size=(120, 44)) as pilot:
                await pilot.pause()
                await script(app, pilot)

    asyncio.run(session())


class TestScreen:
    def test_it_steps_to_and_fro(self, run: TinyRun) -> None:
        last = len(frames(run)) - 1

        async def script(app: Any, pilot: Any) -> None:
            for keys, step in (
                ([], 0),
                (["space", "n", "l"], 3),
                (["b"], 2),
                (["g", "b"], 0),
                (["G"], last),
                (["space"], last),
            ):
                await pilot.press(*keys)
                await pilot.pause()
                assert f"step {step} " in screen(app)
            assert "succeeded" in screen(app) or "failed" in screen(app)
            await pilot.press("q")
            assert app.return_code == 0

        play(run, None, script)

    def test_it_plays_at_a_speed_until_the_end(self, own: TinyRun) -> None:
        last = len(frames(own)) - 1

        async def script(app: Any, pilot: Any) -> None:
            assert "▶ 1 a second" in screen(app)
            await pilot.press(*["plus"] * 5)
            for _ in range(400):
                await pilot.pause(0.02)
                if f"step {last} " in screen(app) and "step by step" in screen(app):
                    break
            else:
                raise AssertionError("it did not come to the end")
            await pilot.press(*["minus"] * 5, "g", "p")
            await pilot.pause()
            assert "▶ 1 a second" in screen(app)
            await pilot.press("p")
            await pilot.pause()
            assert "step by step" in screen(app)

        play(own, 1.0, script)


def test_hostile_text_is_shown_as_text(own: TinyRun) -> None:
    frame = frames(own)[0]
    plans = [{"plan": [[HOSTILE, HOSTILE]], "p": 1.0}]
    bad = replace(
        frame, situation=HOSTILE, picture=HOSTILE, plans=plans, aliases={HOSTILE: HOSTILE}
    )
    console = Console(record=True, width=200, force_terminal=True, file=StringIO())
    console.print(frame_view(replace(bad, said=None)))
    text = console.export_text()
    assert "[bold red]loud[/]" in text
    assert not set("\x1b\x07\u202e") & set(text)
