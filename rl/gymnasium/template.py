"""The file that `envs new` writes: a task of a Gymnasium environment, to be filled in.

It works as it stands: its situations are cut from the observation by rule, and its options are the
environment's own actions. What makes a task worth teaching is left to the person who knows it.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces

from tutelage.rl.errors import UserError
from tutelage.rl.gymnasium.actions import actions_of
from tutelage.rl.gymnasium.environments import facts_of
from tutelage.rl.tasks.observations import ObservationEncoder
from tutelage.rl.tasks.spaces import SpaceError

_ENTRIES: Final = 3
"""Entries of a vector that a first situation speaks of: more make too many situations."""

_FAR: Final = 1e12
"""A bound of an action that is as far is none, as the largest number of its type is."""

_STEPS: Final = 1000

_FILE: Final = '''\
"""{env_id} as a task. It runs as it stands; fill in what the lines with TODO ask for.

    {check}
    {run}

The student observes {observation}
and acts in {action}.
"""

from tutelage import GymTask, Option, OptionStep

{options}


class {name}(GymTask):
    # TODO: say what this world is like, what is to be reached, and what is to be kept from.
    notes = "This is the environment {env_id}."{limit}

    def __init__(self):
        super().__init__("{env_id}")

    def situation(self, obs, info):
        # TODO: what a teacher must know of a state to decide, in words. States with one text are
        # one question to it, so tens of texts are good, thousands are too many.
        return "\\n".join([
{lines}
        ])

    def options(self, situation):
        # TODO: options that take many steps, such as `go_to(red)`, and those on offer here only.
        return OPTIONS

    def run_option(self, option, obs, info):
        # TODO: what the option does in this state: an action; none where it cannot be carried out;
        # finished=True where nothing is left to do.
{run_option}

    def success(self, episode):
        # TODO: whether the aim was reached; `episode.info` is the last info of those in info_keys.
        return episode.terminated and episode.return_ > 0

    def script(self, situation):
        # TODO: what a good teacher would say here, for `--provider offline`. Without this method
        # the teacher is a model, a recording or a person.
        return (OPTIONS[0],)
'''


class NoTemplateError(UserError):
    """An environment that no task can be written for; the message is one line."""


def task_file(env_id: str, module: str, command: str) -> tuple[str, str]:
    """The text of a task's file, and the name of the class in it.

    env_id: Gymnasium's id. module: what the file will be imported as. command: how Tutelage is
    started. Raises UserError where there is no such environment, its package is missing, or its
    spaces are of a kind that no student can see or act in.
    """
    limit = _limit_of(env_id)
    facts = facts_of(env_id, limit)
    observation, action = facts.observation_space, facts.action_space
    try:
        ObservationEncoder(observation)
        actions_of(action)
    except SpaceError as error:
        raise NoTemplateError(f"no task can be written for {env_id}: {error}") from error
    name = class_name(env_id)
    options, run_option = _options(action)
    lines = [f"            {line}," for line in _lines(observation, "obs", "")]
    text = _FILE.format(
        env_id=env_id,
        check=f"{command} envs check {module}:{name}",
        run=f"{command} run --env {module}:{name} --steps 2000",
        observation=_in_docstring(_short(observation)),
        action=_in_docstring(_short(action)),
        name=name,
        limit="" if limit is None else f"\n    max_episode_steps = {limit}  # TODO: it has none",
        options=options,
        lines="\n".join(lines),
        run_option=run_option,
    )
    return text, name


def _limit_of(env_id: str) -> int | None:
    """The limit of steps that a task must set, None where the environment has one."""
    try:
        return None if gymnasium.spec(env_id).max_episode_steps else _STEPS
    except gymnasium.error.Error:  # said where it is made
        return None


def class_name(env_id: str) -> str:
    """A class's name from an id: `Taxi` for `Taxi-v4`, `Pong` for `ALE/Pong-v5`."""
    bare = re.sub(r"-v\d+$", "", env_id.rpartition("/")[2].rpartition(":")[2])
    words = [word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", bare) if word]
    name = "".join(words) or "Task"
    return f"Task{name}" if name[0].isdigit() or keyword.iskeyword(name) else name


def _options(action: gymnasium.Space[Any]) -> tuple[str, str]:
    """The line that makes OPTIONS, and the body of `run_option`, for actions of `actions_of`."""
    if isinstance(action, spaces.Discrete):
        numbers = f"range({_first_to_last(action)})"
        return (
            "# TODO: a name and a sentence for each, for the teacher.\n"
            'OPTIONS = tuple(Option("do", str(action), help="Do the action of this number.")\n'
            f"                for action in {numbers})",
            "        return OptionStep(action=int(option.target))",
        )
    levels = (
        "# TODO: a name and a sentence for each, for the teacher.\n"
        'LEVELS = {"least": 0.0, "middle": 0.5, "most": 1.0}\n'
        'OPTIONS = tuple(Option("set", level, help="Every part of the action as low or high as '
        'this.")\n                for level in LEVELS)'
    )
    if isinstance(action, spaces.MultiDiscrete):
        first = np.asarray(action.start)
        low, high = first.tolist(), (first + action.nvec - 1).tolist()
        part = "round(low + level * (high - low))"
    else:
        assert isinstance(action, spaces.Box)
        low, high = _bounds(action)
        part = "low + level * (high - low)"
    return (
        f"{levels}\nLOW, HIGH = {low}, {high}",
        "        level = LEVELS[option.target]\n"
        f"        action = [{part} for low, high in zip(LOW, HIGH)]\n"
        "        return OptionStep(action=action)",
    )


def _bounds(action: spaces.Box) -> tuple[list[float], list[float]]:
    """What an action is set between in each dimension: two apart where there is no bound."""
    low, high = action.low.astype(np.float64), action.high.astype(np.float64)
    kind: Any = action.low.dtype
    far = min(_FAR, float(np.finfo(kind).max))
    is_low, is_high = np.abs(low) < far, np.abs(high) < far
    least = np.where(is_low, low, np.where(is_high, high - 2, -1.0))
    most = np.where(is_high, high, np.where(is_low, low + 2, 1.0))
    return [float(f"{b:.6g}") for b in least], [float(f"{b:.6g}") for b in most]


def _first_to_last(action: spaces.Discrete) -> str:
    start = int(action.start)
    return f"{start}, {start + int(action.n)}" if start else str(int(action.n))


def _lines(space: gymnasium.Space[Any], value: str, name: str) -> Iterator[str]:
    """Source of texts `field: value` for a first situation. value: that of the observation."""
    label = name or "state"
    if isinstance(space, spaces.Dict):
        for key, inner in space.spaces.items():
            yield from _lines(inner, f"{value}[{key!r}]", f"{name} {key}".strip())
    elif isinstance(space, spaces.Tuple):
        for place, inner in enumerate(space.spaces):
            yield from _lines(inner, f"{value}[{place}]", f"{name} part {place}".strip())
    elif isinstance(space, spaces.Box) and space.dtype == np.uint8:
        yield _line(label, f'"dark" if {value}.mean() < 128 else "bright"')
    elif isinstance(space, spaces.Box):
        entry = f"{value}.ravel()" if len(space.shape) != 1 else value
        for place in range(min(int(np.prod(space.shape)), _ENTRIES)):
            words = _words(space, f"{entry}[{place}]", place)
            yield _line(f"{name} entry {place}".strip(), words)
    elif isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        parts = min(int(np.prod(space.shape)), _ENTRIES)
        yield _line(label, f"str({value}.ravel()[:{parts}].tolist())")
    elif isinstance(space, spaces.Text):
        yield _line(label, f'" ".join({value}.split()) or "nothing"')
    else:
        yield _line(label, f"str({value})")


def _line(label: str, words: str) -> str:
    """Source of `label: words`. A label may have any letters, which f-strings do not take."""
    return f"{' '.join(label.split()) + ': '!r} + ({words})"


def _words(space: spaces.Box, value: str, place: int) -> str:
    """A number in a word: by thirds of its range, or by its sign where it has no bounds."""
    low, high = float(space.low.ravel()[place]), float(space.high.ravel()[place])
    if np.isfinite([low, high]).all() and high - low < 1e6:
        first, second = (float(f"{low + share * (high - low):.6g}") for share in (1 / 3, 2 / 3))
        return f'"low" if {value} < {first} else "high" if {value} > {second} else "middle"'
    return f'"negative" if {value} < 0 else "positive"'


def _short(space: gymnasium.Space[Any]) -> str:
    """A space in one line, without the bounds of a large Box."""
    if isinstance(space, spaces.Dict):
        return ", ".join(f"{key}: {_short(inner)}" for key, inner in space.spaces.items())
    if isinstance(space, spaces.Box):
        return f"Box {list(space.shape)} of {space.dtype}"
    return " ".join(str(space).split())


def _in_docstring(text: str) -> str:
    """A text that ends no docstring and escapes nothing; what cannot be seen is left out."""
    seen = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(seen.replace("\\", "/").replace('"', "'").split())
