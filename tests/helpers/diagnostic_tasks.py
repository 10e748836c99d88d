"""Tiny tasks that need one ability of the learner each; a learner with that fault fails there.

An episode is a few steps. Nothing is to be learned but what the task is named for, so each is
solved in a second or two, and what fails points at its cause.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from numpy.typing import NDArray

from tutelage.rl.tasks.arrays import ActionArray, BoolArray, IntArray
from tutelage.rl.tasks.base import (
    Batch,
    Episode,
    Observation,
    Split,
    States,
    StepResult,
    select_rows,
)
from tutelage.rl.tasks.options import Option, OptionActions
from tutelage.rl.tasks.seeding import episode_seed
from tutelage.rl.tasks.spaces import ActionSpace, CategoryGrid

Hidden = NDArray[np.float64]
"""What an episode is about, a row for each environment: [N, ...], as each task has it."""
Outcome = tuple[NDArray[np.float64], BoolArray, BoolArray]
"""Rewards [N], terminated [N], truncated [N]."""


@dataclass(frozen=True)
class DiagnosticStates(Batch):
    """steps: int64 [B]. They are not told apart: nobody teaches here."""

    steps: IntArray


class DiagnosticEnvs:
    """N copies of one of the tasks below, stepped together."""

    def __init__(self, task: Diagnostic, num_envs: int, split: Split, seed: int) -> None:
        self.num_envs, self._task, self._split, self._seed = num_envs, task, split, seed
        self._episodes = np.full(num_envs, -1, dtype=np.int64)
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._hidden = np.stack([task.begin(np.random.default_rng(0))] * num_envs)

    def reset(self, episodes: IntArray | None = None) -> None:
        if episodes is not None:
            self._episodes[:] = episodes - 1
        self._begin(np.arange(self.num_envs))

    def observe(self) -> Observation:
        return self._task.see(self._hidden, self._steps)

    def states(self) -> DiagnosticStates:
        return DiagnosticStates(self._steps)

    def action_mask(self) -> None:
        """All can be picked, always."""

    def step(self, actions: ActionArray, active: BoolArray | None = None) -> StepResult:
        moved = np.ones(self.num_envs, dtype=np.bool_) if active is None else active
        rewards, terminated, truncated = self._task.outcome(self._hidden, self._steps, actions)
        terminated, truncated = moved & terminated, moved & truncated & ~terminated
        self._steps += moved
        final = select_rows(self.observe(), truncated) if truncated.any() else None
        self._begin(np.flatnonzero(terminated | truncated))
        return StepResult((moved * rewards).astype(np.float32), terminated, truncated, final)

    def close(self) -> None:
        """There is nothing to release."""

    def _begin(self, rows: IntArray) -> None:
        self._episodes[rows] += 1
        self._steps[rows] = 0
        for i in rows:
            seed = episode_seed(self._seed, self._split, int(i), int(self._episodes[i]))
            self._hidden[i] = self._task.begin(np.random.default_rng(seed))


class Diagnostic(ABC):
    """A task without situations. Subclasses say what is hidden, seen, and what actions lead to."""

    action_names: tuple[str, ...] = ("zero", "one")
    observation_space: Mapping[str, Space[Any]]
    masks_actions = normalise = scored = False
    max_episode_steps = 16
    default_steps = 10_000

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def action_space(self) -> ActionSpace:
        return Discrete(len(self.action_names))

    @abstractmethod
    def begin(self, rng: np.random.Generator) -> Hidden:
        """What is hidden in an episode, one row."""

    @abstractmethod
    def see(self, hidden: Hidden, steps: IntArray) -> Observation:
        """What the student sees. steps: int64 [N], those made in the episode so far."""

    @abstractmethod
    def outcome(self, hidden: Hidden, steps: IntArray, actions: IntArray) -> Outcome:
        """What the actions bring; `hidden` may be changed in place."""

    @abstractmethod
    def success(self, episode: Episode) -> bool: ...

    def make_envs(self, num_envs: int, split: Split, seed: int) -> DiagnosticEnvs:
        return DiagnosticEnvs(self, num_envs, split, seed)

    def situation_ids(self, states: States) -> IntArray:
        return np.zeros(len(states), dtype=np.int64)

    def describe(self, situation_id: int) -> str:  # noqa: ARG002 - the protocol's situation id
        return "mission: none"

    def read(self, text: str) -> int:
        return [self.describe(0)].index(text)

    def options(self, situation_id: int) -> tuple[Option, ...]:  # noqa: ARG002 - likewise
        return ()

    def encode(self, option: Option) -> int:
        raise ValueError(f"there are no options, {option} neither")

    def act(self, options: IntArray, states: States) -> OptionActions:
        raise NotImplementedError("there are no options")

    def picture(self, states: States, row: int) -> str:  # noqa: ARG002 - likewise
        return ""


def features(*columns: NDArray[np.generic]) -> Observation:
    """An observation without a picture, from columns [N]."""
    seen = np.stack(columns, axis=1).astype(np.float32)
    return {"features": seen}


def never(steps: IntArray) -> BoolArray:
    return np.zeros(len(steps), dtype=np.bool_)


class Echo(Diagnostic):
    """Seeing: do what the picture shows, a new one at every step, ten times."""

    LENGTH: ClassVar[int] = 10
    action_names = ("zero", "one", "two")
    observation_space: Mapping[str, Space[Any]] = {"grid": CategoryGrid(1, 1, 3)}

    def begin(self, rng: np.random.Generator) -> Hidden:
        return rng.integers(3, size=self.LENGTH + 1).astype(np.float64)

    def see(self, hidden: Hidden, steps: IntArray) -> Observation:
        shown = hidden[np.arange(len(steps)), steps].astype(np.uint8)
        return {"grid": shown[:, None, None]}

    def outcome(self, hidden: Hidden, steps: IntArray, actions: IntArray) -> Outcome:
        right = actions == hidden[np.arange(len(steps)), steps]
        return right.astype(np.float64), steps == self.LENGTH - 1, never(steps)

    def success(self, episode: Episode) -> bool:
        return episode.return_ > self.LENGTH - 1.5


class Delay(Diagnostic):
    """Credit: what was done first pays at the end, and nothing seen in between tells."""

    LENGTH: ClassVar[int] = 4
    observation_space: Mapping[str, Space[Any]] = {"features": Box(0, 1, (3,), np.float32)}

    def begin(self, rng: np.random.Generator) -> Hidden:
        """What is asked for, and what was done."""
        return np.array([rng.integers(2), 0.0])

    def see(self, hidden: Hidden, steps: IntArray) -> Observation:
        first = steps == 0
        return features(first * hidden[:, 0], first * (1 - hidden[:, 0]), steps / self.LENGTH)

    def outcome(self, hidden: Hidden, steps: IntArray, actions: IntArray) -> Outcome:
        hidden[:, 1] = np.where(steps == 0, actions, hidden[:, 1])
        over = steps == self.LENGTH - 1
        return over * (hidden[:, 0] == hidden[:, 1]), over, never(steps)

    def success(self, episode: Episode) -> bool:
        return episode.return_ > 0


class Patience(Diagnostic):
    """Ends: 1 at once, or 1.3 after three more steps; what later episodes bring is no reason."""

    observation_space: Mapping[str, Space[Any]] = {"features": Box(0, 1, (2,), np.float32)}

    def begin(self, rng: np.random.Generator) -> Hidden:  # noqa: ARG002 - all are the same
        return np.zeros(1)

    def see(self, hidden: Hidden, steps: IntArray) -> Observation:  # noqa: ARG002 - likewise
        return features(steps == 0, steps / 3)

    def outcome(self, hidden: Hidden, steps: IntArray, actions: IntArray) -> Outcome:  # noqa: ARG002
        took, waited = (steps == 0) & (actions == 0), steps == 3
        return took * 1.0 + waited * 1.3, took | waited, never(steps)

    def success(self, episode: Episode) -> bool:
        return episode.return_ > 1.1


class Pasture(Diagnostic):
    """Time-outs: 1 and the end, or a place that pays 0.25 a step for as long as one is let.

    Episodes there are cut short after three steps, which is no reason to think less of it.
    """

    observation_space: Mapping[str, Space[Any]] = {"features": Box(0, 1, (2,), np.float32)}

    def begin(self, rng: np.random.Generator) -> Hidden:  # noqa: ARG002 - all are the same
        return np.zeros(1)

    def see(self, hidden: Hidden, steps: IntArray) -> Observation:  # noqa: ARG002 - likewise
        return features(steps == 0, steps > 0)

    def outcome(self, hidden: Hidden, steps: IntArray, actions: IntArray) -> Outcome:  # noqa: ARG002
        took = (steps == 0) & (actions == 0)
        return took * 1.0 + (steps > 0) * 0.25, took, steps == 3

    def success(self, episode: Episode) -> bool:
        return episode.truncated


class Whisper(Diagnostic):
    """Scale: which of two actions is right depends on what is seen, and pays a thousandth."""

    CONTEXTS: Final = 4
    PAY: ClassVar[float] = 1e-3
    observation_space: Mapping[str, Space[Any]] = {"grid": CategoryGrid(1, 1, 4)}

    def begin(self, rng: np.random.Generator) -> Hidden:
        return np.array([rng.integers(self.CONTEXTS)], dtype=np.float64)

    def see(self, hidden: Hidden, steps: IntArray) -> Observation:  # noqa: ARG002 - likewise
        return {"grid": hidden[:, :1, None].astype(np.uint8)}

    def outcome(self, hidden: Hidden, steps: IntArray, actions: IntArray) -> Outcome:
        right = actions == hidden[:, 0] % 2
        return right * self.PAY, ~never(steps), never(steps)

    def success(self, episode: Episode) -> bool:
        return episode.return_ > 0


class Din(Whisper):
    """Noise: the first step pays 1 or -1, and the last, which nothing decides, 30 or -30."""

    LENGTH: ClassVar[int] = 6
    observation_space: Mapping[str, Space[Any]] = {
        "grid": CategoryGrid(1, 1, 5),
        "features": Box(0, 1, (1,), np.float32),
    }

    def begin(self, rng: np.random.Generator) -> Hidden:
        return np.array([rng.integers(self.CONTEXTS), rng.choice((-30.0, 30.0))])

    def see(self, hidden: Hidden, steps: IntArray) -> Observation:
        shown = np.where(steps == 0, hidden[:, 0], self.CONTEXTS).astype(np.uint8)
        return {"grid": shown[:, None, None], **features(steps / self.LENGTH)}

    def outcome(self, hidden: Hidden, steps: IntArray, actions: IntArray) -> Outcome:
        right = actions == hidden[:, 0] % 2
        over = steps == self.LENGTH - 1
        return (steps == 0) * (2.0 * right - 1) + over * hidden[:, 1], over, never(steps)

    def success(self, episode: Episode) -> bool:
        return round(episode.return_) % 10 == 1


class Password(Diagnostic):
    """Exploration: the whole of it pays 1, and to give up at once a little."""

    WORD: Final = (1, 0, 0, 1, 1, 0, 1, 0)
    observation_space: Mapping[str, Space[Any]] = {"features": Box(0, 1, (len(WORD),), np.float32)}

    def begin(self, rng: np.random.Generator) -> Hidden:  # noqa: ARG002 - all are the same
        return np.zeros(1)

    def see(self, hidden: Hidden, steps: IntArray) -> Observation:  # noqa: ARG002 - likewise
        return features(*(steps == i for i in range(len(self.WORD))))

    def outcome(self, hidden: Hidden, steps: IntArray, actions: IntArray) -> Outcome:  # noqa: ARG002
        wrong = actions != np.array(self.WORD)[steps]
        whole = ~wrong & (steps == len(self.WORD) - 1)
        return whole * 1.0 + (wrong & (steps == 0)) * 0.2, wrong | whole, never(steps)

    def success(self, episode: Episode) -> bool:
        return episode.return_ > 0.5


class Recall(Diagnostic):
    """Memory: what is asked for is shown first, and done last."""

    LENGTH: ClassVar[int] = 5
    observation_space: Mapping[str, Space[Any]] = {"features": Box(0, 1, (3,), np.float32)}

    def begin(self, rng: np.random.Generator) -> Hidden:
        return np.array([rng.integers(2)], dtype=np.float64)

    def see(self, hidden: Hidden, steps: IntArray) -> Observation:
        first = steps == 0
        asked = hidden[:, 0]
        return features(first * asked, first * (1 - asked), steps == self.LENGTH - 1)

    def outcome(self, hidden: Hidden, steps: IntArray, actions: IntArray) -> Outcome:
        over = steps == self.LENGTH - 1
        return over * (actions == hidden[:, 0]), over, never(steps)

    def success(self, episode: Episode) -> bool:
        return episode.return_ > 0


class Beginning(Diagnostic):
    """Forgetting: `one` in an episode's first step, else `zero`, and all that is seen is the same.

    Episodes end after two to eight steps: only who begins anew knows when they begin.
    """

    observation_space: Mapping[str, Space[Any]] = {"features": Box(0, 1, (1,), np.float32)}

    def begin(self, rng: np.random.Generator) -> Hidden:
        """How long it is."""
        return np.array([rng.integers(2, 9)], dtype=np.float64)

    def see(self, hidden: Hidden, steps: IntArray) -> Observation:  # noqa: ARG002 - nothing is told
        return features(np.ones(len(steps)))

    def outcome(self, hidden: Hidden, steps: IntArray, actions: IntArray) -> Outcome:
        right = actions == (steps == 0)
        return right - 1.0, steps == hidden[:, 0] - 1, never(steps)

    def success(self, episode: Episode) -> bool:
        return episode.return_ == 0
