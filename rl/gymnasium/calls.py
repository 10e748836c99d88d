"""Calling what people wrote: their exceptions and wrong return values become `TaskCodeError`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final, NamedTuple

import numpy as np

from tutelage.rl.errors import TaskCodeError, is_writable, one_line
from tutelage.rl.gymnasium.actions import Actions, forbidden
from tutelage.rl.gymnasium.copies import handed_on
from tutelage.rl.gymnasium.definition import OptionStep, TaskDefinition
from tutelage.rl.gymnasium.errors import failure
from tutelage.rl.tasks.arrays import BoolArray, FloatArray
from tutelage.rl.tasks.base import Episode, Observation
from tutelage.rl.tasks.observations import ObservationEncoder
from tutelage.rl.tasks.options import Option, Plan
from tutelage.rl.tasks.spaces import WrongValueError

MEMORY: Final = "memory"
"""The key of the info under which `remember`'s value is handed on."""


class State(NamedTuple):
    """One state: an observation, what `remember` made of it, and the declared keys of the info."""

    observation: Any
    memory: Any
    info: Mapping[str, Any]

    def handed_on(self) -> tuple[Any, dict[str, Any]]:
        """The observation and the info as methods take them; what they change stays theirs."""
        info = handed_on(self.info) if self.info else {}
        info[MEMORY] = json_copy(self.memory)
        return handed_on(self.observation), info


class TaskCalls:
    """The methods of a user's task. All of these raise TaskCodeError and no other exception.

    definition: the user's. actions, encoder: of its spaces. remembers, masks: whether the task has
    a method for that.
    """

    def __init__(
        self, definition: TaskDefinition, actions: Actions, encoder: ObservationEncoder
    ) -> None:
        self._definition, self._actions, self._encoder = definition, actions, encoder
        self.remembers = definition.overrides("remember")
        self.masks = definition.overrides("action_mask")
        self._encodes = definition.overrides("encode")

    def situation(self, state: State) -> str:
        """The situation's text; `check_situation` is for those that were not seen before."""
        try:
            text = self._definition.situation(*state.handed_on())
            if not isinstance(text, str):
                raise WrongValueError(f"it returned {_short(text)}, which is no text")
            return text
        except Exception as error:
            raise self._failure("situation", error) from error

    def check_situation(self, text: str) -> None:
        """Whether a text can be asked about, shown, and written down."""
        if not is_situation(text):
            error = WrongValueError(f"it returned {_short(text)}, which is no text to be read")
            raise self._failure("situation", error)

    def options(self, situation: str) -> tuple[Option, ...]:
        """The options on offer in a situation."""
        try:
            return _checked_options(self._definition.options(situation))
        except Exception as error:
            raise self._failure("options", error, situation) from error

    def all_options(self) -> tuple[Option, ...]:
        """Every option that may be on offer."""
        try:
            return _checked_options(self._definition.all_options())
        except Exception as error:
            raise self._failure("all_options", error) from error

    def run_option(
        self, option: Option, state: State, mask: BoolArray | None, target: FloatArray
    ) -> tuple[bool, bool]:
        """Whether an option is feasible and whether it is finished.

        mask: bool [D], the actions that can be picked in this state; None where all can. Writes the
        targets of a feasible one into `target`, float32 [D], which is zero before.
        """
        try:
            step = self._definition.run_option(option, *state.handed_on())
            if not isinstance(step, OptionStep):
                raise WrongValueError(f"it returned {_short(step)}, which is no OptionStep")
            if step.action is not None and step.probs is not None:
                raise WrongValueError("it returned both an action and probs")
            feasible = step.action is not None or step.probs is not None
            if feasible:
                self._actions.write(step, target)
                if mask is not None and forbidden(mask, target):
                    raise WrongValueError("its action is one that action_mask forbids here")
            return feasible, bool(step.finished)
        except Exception as error:
            raise self._failure_in(f"run_option({option})", error, state) from error

    def encode(self, state: State, batch: Observation, row: int) -> None:
        """Write what the student sees into a row of a batch; its floats are checked later."""
        try:
            seen = state.observation
            if self._encodes:
                seen = self._definition.encode(*state.handed_on())
            self._encoder.write(seen, batch, row)
        except Exception as error:
            raise self._encoding_failure(error, state) from error

    def not_finite(self, state: State) -> TaskCodeError:
        """The error about a state in which the student would see no finite number."""
        error = WrongValueError("the observation has a number that is not finite")
        return self._encoding_failure(error, state)

    def remember(self, memory: Any, observation: Any, info: Mapping[str, Any]) -> Any:
        """What is kept of an episode after this observation."""
        try:
            kept = self._definition.remember(
                json_copy(memory), handed_on(observation), handed_on(info)
            )
            return json_copy(kept)
        except Exception as error:
            raise self._failure("remember", error) from error

    def mask(self, state: State) -> BoolArray | None:
        """The actions that can be picked, bool [D]; None where the task has no masks."""
        if not self.masks:
            return None
        size = self._actions.size
        try:
            given = self._definition.action_mask(*state.handed_on())
            if given is None:
                return np.ones(size, dtype=np.bool_)
            mask = np.asarray(given)
            if mask.shape != (size,) or mask.dtype.kind not in "iub":
                raise WrongValueError(f"it returned {_short(given)}, not {size} truth values")
            allowed: BoolArray = mask != 0
            if not self._actions.can_act(allowed):
                raise WrongValueError("it returned a mask that leaves no action")
            return allowed
        except Exception as error:
            raise self._failure_in("action_mask", error, state) from error

    def success(self, episode: Episode) -> bool:
        """Whether an episode reached the aim."""
        try:
            reached = self._definition.success(episode)
            if not isinstance(reached, bool | np.bool_):
                raise WrongValueError(f"it returned {_short(reached)}, which is no bool")
            return bool(reached)
        except Exception as error:
            raise self._failure("success", error) from error

    def picture(self, state: State) -> str:
        """The state as text."""
        try:
            text = self._definition.picture(*state.handed_on())
            if not isinstance(text, str) or not is_writable(text):
                raise WrongValueError(f"it returned {_short(text)}, which is no text")
            return text
        except Exception as error:
            raise self._failure_in("picture", error, state) from error

    def script(self, situation: str, offered: Sequence[Option] | None) -> Plan | None:
        """A plan for a teacher without a model. offered: the options there; None where unknown."""
        try:
            plan = self._definition.script(situation)
            if plan is None:
                return None
            if not isinstance(plan, tuple | list) or not all(type(o) is Option for o in plan):
                raise WrongValueError(f"it returned {_short(plan)}, not a tuple of options")
            missing = [] if offered is None else [o for o in plan if o not in offered]
            if missing:
                raise WrongValueError(f"its plan has {missing[0]}, which is not on offer there")
            return tuple(plan)
        except Exception as error:
            raise self._failure("script", error, situation) from error

    def _encoding_failure(self, error: Exception, state: State) -> TaskCodeError:
        """Of the task's `encode`; without one the environment gave what it must not."""
        if self._encodes:
            return self._failure_in("encode", error, state)
        name = type(self._definition).__name__
        return TaskCodeError(f"the environment of {name} broke its observation space: {error}")

    def _failure_in(self, call: str, error: Exception, state: State) -> TaskCodeError:
        try:
            situation = self.situation(state)
        except TaskCodeError:
            situation = None
        return self._failure(call, error, situation)

    def _failure(self, call: str, error: Exception, situation: str | None = None) -> TaskCodeError:
        return failure(type(self._definition), call, error, situation)


def json_copy(value: Any) -> Any:
    """A value that JSON has, of its own; numpy's scalars become Python's.

    Raises WrongValueError for anything else.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, np.generic):
        return json_copy(value.item())
    if isinstance(value, float) and isfinite(value):
        return value
    if isinstance(value, list | tuple):
        return [json_copy(each) for each in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: json_copy(each) for key, each in value.items()}
    raise WrongValueError(f"it returned {_short(value)}, which JSON does not have")


def _checked_options(given: Any) -> tuple[Option, ...]:
    """Raises WrongValueError for what are no options."""
    if not isinstance(given, list | tuple):
        raise WrongValueError(f"it returned {_short(given)}, not a sequence of options")
    if not given:
        raise WrongValueError("it returned no option; at least one must be on offer")
    for option in given:
        if type(option) is not Option or not is_option(option.name, option.target):
            raise WrongValueError(
                f"it returned {_short(option)}, which is no Option with a name and a target (or "
                "none) of one line each"
            )
    if len(set(given)) < len(given):
        raise WrongValueError("it returned an option twice")
    return tuple(given)


def is_situation(text: Any) -> bool:
    """Whether a situation can have this text: it is Unicode and not blank."""
    return isinstance(text, str) and bool(text.strip()) and is_writable(text)


def is_option(name: Any, target: Any) -> bool:
    """Whether an option can have this name and this target: one line each, and not empty."""
    return all(
        isinstance(part, str) and bool(part.strip()) and part.isprintable() and is_writable(part)
        for part in (name, *([] if target is None else [target]))
    )


def _short(value: Any) -> str:
    shown = one_line(repr(value))
    return shown if len(shown) <= 80 else f"{shown[:80]}..."
