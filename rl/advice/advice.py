"""The teacher's advice: a distribution over plans in a situation (`labels.py`: over actions)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tutelage.rl.tasks.options import Option, Plan


@dataclass(frozen=True)
class Advice:
    """A distribution over plans in one situation.

    plans: at least one; a situation without advice has no `Advice`. probs: P(plan | situation),
    positive, summing to at most 1 (less where samples were unusable). Raises ValueError for others.
    """

    plans: tuple[Plan, ...]
    probs: tuple[float, ...]

    def __post_init__(self) -> None:
        # Tuples, also where a format that knows only lists has brought them.
        object.__setattr__(self, "plans", tuple(map(tuple, self.plans)))
        object.__setattr__(self, "probs", tuple(self.probs))
        if not self.plans:
            raise ValueError("advice needs at least one plan")
        if len(self.plans) != len(self.probs):
            raise ValueError(f"{len(self.plans)} plans but {len(self.probs)} probabilities")
        if any(not math.isfinite(p) or p <= 0.0 for p in self.probs) or sum(self.probs) > 1.0001:
            raise ValueError(f"plan probabilities {self.probs} are not positive, summing to <= 1")
        if any(len(plan) == 0 for plan in self.plans):
            raise ValueError("a plan needs at least one option")

    def hardened(self) -> Advice:
        """All of the probability on the likeliest plan; ties go to the first."""
        best = max(range(len(self.plans)), key=self.probs.__getitem__)
        return Advice((self.plans[best],), (1.0,))

    def to_json(self) -> list[dict[str, Any]]:
        """Plain lists and strings, for the graph's state, the cache and the trace."""
        return [
            {"plan": [[option.name, option.target] for option in plan], "p": p}
            for plan, p in zip(self.plans, self.probs, strict=True)
        ]

    @classmethod
    def from_json(cls, rows: list[dict[str, Any]]) -> Advice:
        """The inverse of `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
        plans = tuple(tuple(_option_of(step) for step in row["plan"]) for row in rows)
        return cls(plans, tuple(float(row["p"]) for row in rows))


def _option_of(step: Any) -> Option:
    """An option from its JSON form, a list of its name and its target."""
    if not isinstance(step, list):
        raise TypeError(f"an option is a list of name and target, not {step!r}")
    name, target = step
    if not isinstance(name, str) or not (target is None or isinstance(target, str)):
        raise TypeError(f"an option's name and target are texts, not {step!r}")
    return Option(name, target)
