"""The record of past plans: how the teacher's plans did in each situation, in a word.

A look-up that any task can have. Its word is in the two lowest bits of a situation id and is
updated when the student is evaluated: so a situation's id changes at most once between two
evaluations, and the teacher is asked again where its plans have finished or failed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter

from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import LookupTask, Remembers, States, Task
from tutelage.rl.tasks.options import Option
from tutelage.rl.tasks.wrappers import TaskWrapper, find_ability

RECORD: Final = "record"
"""The look-up's name."""

UNCLEAR, FINISHED, FAILED = range(3)
_WORDS: Final = (
    "nothing clear so far: none tried, or tried and neither finished nor failed",
    "tried and mostly finished: most episodes that came through here reached the mission's aim",
    "tried and mostly failed: they could not be carried out, or were followed to no avail",
)
_LINES: Final = tuple(f"plans here: {word}" for word in _WORDS)
_BITS: Final = 2
LARGEST: Final = (1 << (63 - _BITS)) - 1
"""The largest situation id that a task may have of its own."""

_HELP: Final = "how your last plans did in this situation (tried, finished or failed)."
_MANY_STEPS: Final = 50
_MANY_EPISODES: Final = 50


@dataclass
class PlanOutcome:
    """How a situation's plans have done since the last evaluation.

    steps: states in it while there was advice. carried_out: the sum of the coverage m(s) over them.
    agreed: those in which the student's likeliest action was the teacher's. episodes, successes:
    episodes that ended after visiting it, and those among them that succeeded.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    steps: int = 0
    carried_out: float = 0.0
    agreed: float = 0.0
    episodes: int = 0
    successes: int = 0

    def add(self, other: PlanOutcome) -> None:
        """Add another's counts."""
        self.steps += other.steps
        self.carried_out += other.carried_out
        self.agreed += other.agreed
        self.episodes += other.episodes
        self.successes += other.successes

    def word(self, before: int) -> int:
        """The plans' word: UNCLEAR, FINISHED or FAILED; `before` where too little was seen.

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


_Id = Annotated[int, Field(ge=0, le=LARGEST)]
_WORD_BY_ID: Final = TypeAdapter(dict[_Id, Annotated[int, Field(ge=UNCLEAR, le=FAILED)]])
_OUTCOME_BY_ID: Final = TypeAdapter(dict[_Id, PlanOutcome])


class PlanOutcomeTask(TaskWrapper):
    """A task with the record of past plans in its ids.

    situation id = the task's own situation id * 4 + word. All else is the task's own.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._own = own = find_ability(task, LookupTask)
        self._remembers = find_ability(task, Remembers)
        self.offered_lookups = {**(own.offered_lookups if own else {}), RECORD: _HELP}
        self.lookups = (*(own.lookups if own else ()), RECORD)
        self._outcomes: defaultdict[int, PlanOutcome] = defaultdict(PlanOutcome)
        self._words: dict[int, int] = {}
        self._known = np.empty(0, dtype=np.int64)
        self._known_words = np.empty(0, dtype=np.int64)

    def note(self, situation_id: int, outcome: PlanOutcome) -> None:
        """Count an outcome of a situation's plans; its id stays as it is until `settle`."""
        self._outcomes[situation_id >> _BITS].add(outcome)

    def settle(self) -> None:
        """Turn the counts into words, which changes situation ids, and begin to count anew."""
        for own, outcome in self._outcomes.items():
            self._words[own] = outcome.word(self._words.get(own, UNCLEAR))
        self._outcomes.clear()
        self._index()

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON has it, the inner task's own among it where that has any."""
        return {
            "task": None if self._remembers is None else self._remembers.snapshot(),
            "words": {str(own): word for own, word in self._words.items()},
            "tallies": {str(own): vars(outcome) for own, outcome in self._outcomes.items()},
        }

    def restore(self, record: Mapping[str, Any]) -> None:
        """The inverse. Raises KeyError, TypeError or ValueError, having changed nothing."""
        words = _WORD_BY_ID.validate_python(record["words"])
        outcomes = _OUTCOME_BY_ID.validate_python(record["tallies"])
        if self._remembers is not None:
            self._remembers.restore(record["task"])
        self._words = words
        self._outcomes.clear()
        self._outcomes.update(outcomes)
        self._index()

    def with_lookups(self, names: Sequence[str]) -> Task:
        """Raises TypeError: they are switched on in the task inside, before its plans are noted."""
        raise TypeError(f"look-ups {names} are switched on before the record of plans is")

    def look_up(self, name: str, situation_id: int) -> str:
        if name == RECORD:
            return _LINES[situation_id & (1 << _BITS) - 1]
        if self._own is None:
            raise KeyError(name)
        return self._own.look_up(name, situation_id >> _BITS)

    def situation_ids(self, states: States) -> IntArray:
        """Raises ValueError where the task's own situation ids leave no room."""
        own = super().situation_ids(states)
        if own.size and int(own.max()) > LARGEST:
            raise ValueError(f"the look-up {RECORD!r} needs situation ids of at most {LARGEST}")
        situation_ids: IntArray = own << _BITS
        if len(self._known):
            place = np.searchsorted(self._known, own).clip(max=len(self._known) - 1)
            situation_ids |= np.where(self._known[place] == own, self._known_words[place], UNCLEAR)
        return situation_ids

    def describe(self, situation_id: int) -> str:
        return super().describe(situation_id >> _BITS)

    def read(self, text: str) -> int:
        """With what the text tells of past plans, in its last line; else with what is known now."""
        before, _, last = text.rpartition("\n")
        if last in _LINES:
            return super().read(before) << _BITS | _LINES.index(last)
        own = super().read(text)
        return own << _BITS | self._words.get(own, UNCLEAR)

    def options(self, situation_id: int) -> tuple[Option, ...]:
        return super().options(situation_id >> _BITS)

    def _index(self) -> None:
        """The words as sorted arrays, for a batch of situation ids."""
        self._known = np.array(sorted(self._words), dtype=np.int64)
        words = [self._words[own] for own in sorted(self._words)]
        self._known_words = np.array(words, dtype=np.int64)
