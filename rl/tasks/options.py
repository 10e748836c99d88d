"""Options: named sub-policies, plans made of them, and what they do in a batch of states."""

from __future__ import annotations

from dataclasses import dataclass, field

from tutelage.rl.tasks.arrays import BoolArray, FloatArray

PADDING = -1
"""Marks an unused place in a row of option codes."""


@dataclass(frozen=True, order=True)
class Option:
    """A named sub-policy with an end, and what it is aimed at, e.g. `pick_up(red key)`.

    help: what it does and when it is finished, in a sentence for the teacher. It is no part of the
    option's equality, hash or order.
    """

    name: str
    target: str | None = None
    help: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.name}({self.target or ''})"

    def bare(self) -> Option:
        """The same option without its help, as it is stored."""
        return Option(self.name, self.target)


Plan = tuple[Option, ...]
"""An ordered list of options; its current step is the first feasible one that is not finished."""


@dataclass(frozen=True)
class OptionActions:
    """What options do in states: B states, K options for each.

    targets: float32 [B, K, D], the option's action distribution (`rl.tasks.action_targets`); all
    zero where it has none.
    feasible: bool [B, K], whether the option can be carried out from here.
    finished: bool [B, K], whether the option has nothing left to do here.
    """

    targets: FloatArray
    feasible: BoolArray
    finished: BoolArray
