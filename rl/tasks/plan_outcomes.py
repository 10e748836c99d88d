"""The record of past plans: what came of the teacher's advice in each situation, in a word.

A look-up that any task can have. Its word stands in the two lowest bits of a situation id, and it
is settled when the student is evaluated: so a situation's key changes at most once between two
evaluations, and the teacher is asked again where something came of its plans.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import Episode, LookupTask, Split, States, Task, VectorEnv, notes_of
from tutelage.rl.tasks.options import Option, OptionActions
from tutelage.rl.tasks.watching import Watchable, World

RECORD: Final = "record"
"""The look-up's name."""

UNCLEAR, FINISHED, FAILED = range(3)
_WORDS: Final = (
    "nothing clear so far: none tried, or tried and neither finished nor failed",
    "tried and mostly finished: most episodes that came through here reached the mission's aim",
    "tried and mostly failed: they could not be carried out, or were followed to no avail",
)
_BITS: Final = 2
LARGEST: Final = (1 << (63 - _BITS)) - 1
"""The largest situation id that a task may have of its own."""

_HELP: Final = "what came of your last plans in this situation (tried, finished or failed)."
_MANY_STEPS: Final = 50
_MANY_EPISODES: Final = 50


@dataclass
class PlanOutcome:
    """What was seen of a situation's plans since the last evaluation.

    steps: states in it while there was advice. carried_out: the sum of m(s) over them. agreed:
    those in which the student's likeliest action was the teacher's. episodes, successes: those
    that came through it and ended.
    """

    steps: int = 0
    carried_out: float = 0.0
    agreed: float = 0.0
    episodes: int = 0
    successes: int = 0

    def add(self, other: PlanOutcome) -> None:
        """Count what the other has counted too."""
        self.steps += other.steps
        self.carried_out += other.carried_out
        self.agreed += other.agreed
        self.episodes += other.episodes
        self.successes += other.successes

    def word(self, before: int) -> int:
        """What came of the plans; what was known before, where too little was seen to tell.

        Episodes fail early on because the student cannot follow yet. So they tell against the
        plans only where it did as they say.
        """
        if self.steps >= _MANY_STEPS and self.carried_out < self.steps / 2:
            return FAILED
        if self.episodes < _MANY_EPISODES:
            return before
        if self.successes >= self.episodes / 2:
            return FINISHED
        followed = self.agreed >= 0.8 * self.steps > 0
        return FAILED if followed and self.successes <= self.episodes / 10 else before


class PlanOutcomeTask:
    """A task with the record of past plans in its ids.

    situation id = the task's own situation id * 4 + word. All else is the task's own. plain: that
    task.
    """

    def __init__(self, task: Task) -> None:
        self.plain = task
        own = task if isinstance(task, LookupTask) else None
        self._own = own
        self.offered_lookups: Mapping[str, str] = {
            **(own.offered_lookups if own else {}),
            RECORD: _HELP,
        }
        self.lookups: Sequence[str] = (*(own.lookups if own else ()), RECORD)
        self.name, self.action_names, self.notes = task.name, task.action_names, notes_of(task)
        self.observation_spec = task.observation_spec
        self.max_episode_steps, self.default_steps = task.max_episode_steps, task.default_steps
        self._outcomes: defaultdict[int, PlanOutcome] = defaultdict(PlanOutcome)
        self._words: dict[int, int] = {}
        self._known = np.empty(0, dtype=np.int64)
        self._known_words = np.empty(0, dtype=np.int64)

    # --- the record -------------------------------------------------------------------------------

    def note(self, situation_id: int, outcome: PlanOutcome) -> None:
        """Count what was seen of a situation's plans; its key stays as it is until `settle`."""
        self._outcomes[situation_id >> _BITS].add(outcome)

    def settle(self) -> None:
        """Put what was counted into words, which changes keys, and begin to count anew."""
        for own, outcome in self._outcomes.items():
            self._words[own] = outcome.word(self._words.get(own, UNCLEAR))
        self._outcomes.clear()
        self._index()

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            "words": {str(own): word for own, word in self._words.items()},
            "tallies": {str(own): vars(outcome) for own, outcome in self._outcomes.items()},
        }

    def restore(self, record: Mapping[str, Any]) -> None:
        """The inverse. Raises AttributeError, KeyError, TypeError or ValueError for another."""
        words = {int(own): int(word) for own, word in record["words"].items()}
        if not set(words.values()) <= {UNCLEAR, FINISHED, FAILED}:
            raise ValueError("a record of plans has an unknown word")
        outcomes = {int(own): PlanOutcome(**outcome) for own, outcome in record["tallies"].items()}
        self._words = words
        self._outcomes.clear()
        self._outcomes.update(outcomes)
        self._index()

    # --- look-ups ---------------------------------------------------------------------------------

    def with_lookups(self, names: Sequence[str]) -> Task:
        """Raises TypeError: the task inside is the one to ask, before it is recorded."""
        raise TypeError(f"look-ups {names} are switched on before a task is recorded")

    def look_up(self, name: str, situation_id: int) -> str:
        if name == RECORD:
            return f"plans here: {_WORDS[situation_id & (1 << _BITS) - 1]}"
        if self._own is None:
            raise KeyError(name)
        return self._own.look_up(name, situation_id >> _BITS)

    # --- the task ---------------------------------------------------------------------------------

    def make_envs(self, num_envs: int, split: Split, seed: int) -> VectorEnv:
        return self.plain.make_envs(num_envs, split, seed)

    def situation_ids(self, states: States) -> IntArray:
        """Raises ValueError where the task's own situation ids leave no room."""
        own = self.plain.situation_ids(states)
        if own.size and int(own.max()) > LARGEST:
            raise ValueError(f"the look-up {RECORD!r} needs situation ids of at most {LARGEST}")
        situation_ids: IntArray = own << _BITS
        if len(self._known):
            place = np.searchsorted(self._known, own).clip(max=len(self._known) - 1)
            situation_ids |= np.where(self._known[place] == own, self._known_words[place], UNCLEAR)
        return situation_ids

    def describe(self, situation_id: int) -> str:
        return self.plain.describe(situation_id >> _BITS)

    def options(self, situation_id: int) -> tuple[Option, ...]:
        return self.plain.options(situation_id >> _BITS)

    def encode(self, option: Option) -> int:
        return self.plain.encode(option)

    def act(self, options: IntArray, states: States) -> OptionActions:
        return self.plain.act(options, states)

    def success(self, episode: Episode) -> bool:
        return self.plain.success(episode)

    def picture(self, states: States, row: int) -> str:
        return self.plain.picture(states, row)

    def _index(self) -> None:
        """The words as sorted arrays, for a batch of situation ids."""
        self._known = np.array(sorted(self._words), dtype=np.int64)
        words = [self._words[own] for own in sorted(self._words)]
        self._known_words = np.array(words, dtype=np.int64)


class WatchablePlanOutcomeTask(PlanOutcomeTask):
    """A recorded task that offers what people look at, as the task inside does."""

    def __init__(self, task: Task, watchable: Watchable) -> None:
        super().__init__(task)
        self._watchable = watchable

    def inks(self, states: States, row: int) -> str:
        return self._watchable.inks(states, row)

    def aliases(self, states: States, row: int) -> Mapping[str, str]:
        return self._watchable.aliases(states, row)

    def world(self, split: Split, seed: int, env: int, episode: int) -> World:
        return self._watchable.world(split, seed, env, episode)


def recorded(task: Task) -> PlanOutcomeTask:
    """The task with a record of past plans."""
    if isinstance(task, Watchable):
        return WatchablePlanOutcomeTask(task, task)
    return PlanOutcomeTask(task)
