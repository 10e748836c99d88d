"""Who acts in a vector of environments: the student, or its teacher in its place.

Both do a step at a time and are told which episodes have ended, so an evaluation, a graph in which
the teacher acts and a teacher check play with either in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tutelage.rl.advice.advice import Advice
from tutelage.rl.advice.labels import PlanActions, carry_out
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.arrays import ActionArray, BoolArray, FloatArray, IntArray
from tutelage.rl.tasks.base import Task, VectorEnv
from tutelage.rl.tasks.seeding import pick

if TYPE_CHECKING:
    from tutelage.rl.policy.policy import Policy  # comes with torch, which scouts do not wait for

AdviceLookup = Callable[[Sequence[int]], Mapping[int, Advice]]
"""The advice on situations, by situation id; those that nothing is known of are left out."""
_NONE = -1
"""No plan is held."""


class Actor(Protocol):
    """Picks the actions of N environments."""

    def act(self, envs: VectorEnv, playing: BoolArray) -> ActionArray:
        """Actions [N, ...] in the current states; only those where `playing`, bool [N], count."""

    def ended(self, rows: IntArray) -> None:
        """The episodes of these environments ended with the last step; others have begun."""


class PolicyActor:
    """The student alone. rng: draws its actions; None for its likeliest ones."""

    def __init__(self, student: Policy, num_envs: int, rng: np.random.Generator | None) -> None:
        self._student, self._rng = student, rng
        self._memory = student.initial_state(num_envs)

    def act(self, envs: VectorEnv, playing: BoolArray) -> ActionArray:  # noqa: ARG002
        return self._student.act(envs.observe(), self._rng, self._memory, envs.action_mask())

    def did(self, actions: ActionArray) -> None:
        """The actions that were done, [N, ...], where they are not those that it picked."""
        self._student.did(self._memory, actions)

    def ended(self, rows: IntArray) -> None:
        ended = np.zeros(len(self._memory.hidden), dtype=np.bool_)
        ended[rows] = True
        self._memory.forget(ended)


class TeacherActor:
    """The teacher alone, through its options.

    A plan is drawn when the situation changes, and held until it changes again: drawing at every
    step dithers between plans. A plan that can no longer be carried out makes room for another
    draw among those that can. Where there is none, the action is drawn from all of them alike:
    standing still would never end.

    advise: asked, before anything is drawn, about the situations without advice so far; where it
    raises, nothing has happened, and the step can be made again. It may be replaced between steps.
    rng: draws plans and actions.
    situations: int64 [N], those of the last step. silent: bool [N], where the teacher had no plan
    that could be carried out then; unadvised: how many such steps there were so far.
    """

    def __init__(
        self, task: Task, num_envs: int, advise: AdviceLookup, rng: np.random.Generator
    ) -> None:
        self.advise = advise
        self._task, self._rng = task, rng
        self._targets = action_targets(task.action_space)
        self._known: dict[int, Advice] = {}
        self.situations = np.zeros(num_envs, dtype=np.int64)
        self.silent = np.zeros(num_envs, dtype=np.bool_)
        self._held = np.full(num_envs, _NONE, dtype=np.int64)
        self.unadvised = 0

    def act(self, envs: VectorEnv, playing: BoolArray) -> ActionArray:
        states = envs.states()
        situations = self._task.situation_ids(states)
        self._learn(situations[playing])
        done = carry_out(self._task, states, situations, self._known)
        held = self._hold(situations, done)
        self.situations = situations
        chosen = np.take_along_axis(done.targets, np.maximum(held, 0)[:, None, None], 1)[:, 0]
        self.silent = held == _NONE
        if self.silent.any():
            anything = self._targets.uniform(envs.action_mask(), len(chosen))
            chosen[self.silent] = anything[self.silent]
        self.unadvised += int((self.silent & playing).sum())
        return self._targets.draw(chosen, self._rng)

    def ended(self, rows: IntArray) -> None:
        self._held[rows] = _NONE

    def snapshot(self) -> dict[str, Any]:
        """The plans that it holds, as JSON has them; its advice is looked up again."""
        return {
            "situations": self.situations.tolist(),
            "held": self._held.tolist(),
            "unadvised": self.unadvised,
        }

    def restore(self, record: dict[str, Any]) -> None:
        """The inverse of `snapshot`. Raises KeyError, TypeError or ValueError for anything else."""
        situations, held = (np.array(record[k], dtype=np.int64) for k in ("situations", "held"))
        if situations.shape != self._held.shape or held.shape != self._held.shape:
            raise ValueError("they are the plans of another number of environments")
        self.situations, self._held = situations, np.maximum(held, _NONE)
        self.unadvised = int(record["unadvised"])

    def _learn(self, situations: IntArray) -> None:
        """Look up what is not known yet."""
        unknown = [s for s in np.unique(situations).tolist() if s not in self._known]
        if unknown:
            self._known.update(self.advise(unknown))

    def _hold(self, situations: IntArray, done: PlanActions) -> IntArray:
        """The number of each environment's plan, int64 [N]; `_NONE` where none can be done."""
        held = np.minimum(self._held, done.shares.shape[1] - 1)
        still = np.take_along_axis(done.shares, np.maximum(held, 0)[:, None], 1)[:, 0] > 0
        kept = (situations == self.situations) & (held != _NONE) & still
        possible = done.shares.any(axis=1)
        drawn = np.where(possible, _draw(done.shares, self._rng), _NONE)
        self._held[:] = np.where(kept, held, drawn)
        return self._held.copy()


def _draw(weights: FloatArray, rng: np.random.Generator) -> IntArray:
    """A column for each row of non-negative weights [B, K], drawn in proportion, int64 [B]."""
    return pick(weights, rng.random(len(weights)))
