"""What is played for a report: an episode of the student's, and its teacher's advice alone.

Nobody is asked: the advice is what the run's trace holds. The task may be anybody's code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from tutelage.graphs.analysis.browsing import in_short
from tutelage.graphs.analysis.report.film import Film, thinned
from tutelage.graphs.analysis.watching import EpisodeViewer, Frame
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.names import plan_line
from tutelage.graphs.runtime.errors import one_line
from tutelage.rl.rollouts.results import TeacherResult

_EPISODES: Final = 100
"""Of the teacher's advice alone."""
_LONGEST: Final = 2_000
"""Frames of an episode after which it is watched no further."""


@dataclass(frozen=True)
class Step:
    """A step of an episode, in words. agree: whether the student is for what the teacher is for;
    None where the teacher says nothing. action: None after the last one.
    """

    number: int
    situation: str
    plan: str
    teacher: str
    action: str | None
    agree: bool | None


@dataclass(frozen=True)
class PlayedEpisode:
    """An episode. film: None where the task cannot be drawn. success: None without an end.

    aliases: what the teacher is told of things by other names, as in `Frame`.
    """

    steps: Sequence[Step]
    film: Film | None
    aliases: Mapping[str, str]
    return_: float
    success: bool | None


@dataclass(frozen=True)
class Played:
    """What could be played. problems: why something could not, a line each.

    advice: the teacher's advice alone; unadvised: the share of its steps it says nothing about, in
    which it acts at random.
    """

    episode: PlayedEpisode | None = None
    advice: TeacherResult | None = None
    unadvised: float = 0.0
    problems: tuple[str, ...] = ()


def play(path: Path, with_advice: bool) -> Played:
    """Play the first held-out episode of a run's student. with_advice: and its teacher's advice."""
    if not RunFolder(path).student.is_file():
        return Played(problems=("no episode could be played: the run has left no student",))
    problems: list[str] = []
    episode = advice = None
    unadvised = 0.0
    with ExitStack() as resources:
        try:
            viewer = EpisodeViewer(path, resources)
            episode = _episode(viewer.frames(0))
        except Exception as error:  # the task is somebody's own code: it may fail in any way
            problems.append(f"no episode could be played: {_reason(error)}")
        else:
            try:
                if with_advice:
                    advice, unadvised = viewer.advice_alone(_EPISODES)
            except Exception as error:
                problems.append(f"the teacher's advice could not be played: {_reason(error)}")
    return Played(episode, advice, unadvised, tuple(problems))


def _reason(error: Exception) -> str:
    return one_line(error) or f"{type(error).__name__}: {error}"


def _episode(frames: Iterator[Frame]) -> PlayedEpisode:
    shown = list(islice(frames, _LONGEST))
    aliases = {own: called for frame in shown for own, called in frame.aliases.items()}
    last = shown[-1]
    steps = [_step(frame) for frame in shown]
    return PlayedEpisode(steps, _film(shown), aliases, last.return_, last.success)


def _step(frame: Frame) -> Step:
    plan = teacher = ""
    agree = None
    if frame.plans:
        plan = plan_line(max(frame.plans, key=lambda each: each["p"])["plan"])
    if frame.teacher is not None:
        teacher = frame.actions.words(frame.actions.likeliest(frame.teacher))
        agree = frame.actions.agree(frame.teacher, frame.student)
    action = None if frame.action is None else frame.actions.words(frame.action)
    return Step(frame.step, in_short(frame.situation), plan, teacher, action, agree)


def _film(frames: Sequence[Frame]) -> Film | None:
    chosen = [frames[i] for i in thinned(len(frames))]
    truths = [frame.truth for frame in chosen if frame.truth is not None]
    memories = [frame.memory for frame in chosen if frame.memory is not None]
    sizes = {tuple(map(len, drawing.letters)) for drawing in (*truths, *memories)}
    # A stranger's task may draw now and then, or in any size.
    if not len(truths) == len(memories) == len(chosen) or len(sizes) != 1 or sizes == {()}:
        return None
    return Film(
        {"what is there": truths, "what is remembered": memories},
        [_caption(frame) for frame in chosen],
    )


def _caption(frame: Frame) -> str:
    if frame.success is not None:
        end = "succeeded" if frame.success else "failed"
        return f"step {frame.step}: {end}, return {frame.return_:.3f}"
    done = "" if frame.action is None else frame.actions.words(frame.action)
    return f"step {frame.step}: {done}"
