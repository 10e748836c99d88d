"""Counts of successes and returns, and how surely one is above another: what a check goes by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

_ROUNDING: Final = 1e-6

Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number of things, as it may be read from a file: no arithmetic on it overflows."""


class SuccessCount(BaseModel):
    """Successes among episodes; fractions, as old episodes may count in part.

    returns, squares: the sums of the episodes' returns and of their squares, for tasks in which the
    return tells more than the success does (`rl.tasks.base.Task.scored`); else 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    successes: float = 0.0
    episodes: float = 0.0
    returns: float = 0.0
    squares: float = 0.0

    @property
    def mean_return(self) -> float | None:
        """The mean return, None without episodes."""
        return self.returns / self.episodes if self.episodes else None

    @property
    def rate(self) -> float | None:
        """The success rate, None without episodes."""
        return self.successes / self.episodes if self.episodes else None

    def plus(
        self, successes: float, episodes: float, returns: Sequence[float] = ()
    ) -> SuccessCount:
        return SuccessCount(
            successes=self.successes + successes,
            episodes=self.episodes + episodes,
            returns=self.returns + math.fsum(returns),
            squares=self.squares + math.fsum(r * r for r in returns),
        )

    def summary(self) -> str:
        """Both in words, for the trace."""
        return f"{self.successes:.0f} of {self.episodes:.0f} episodes succeeded"

    def halved(self) -> SuccessCount:
        return SuccessCount(
            successes=self.successes / 2,
            episodes=self.episodes / 2,
            returns=self.returns / 2,
            squares=self.squares / 2,
        )

    def above(self, other: SuccessCount) -> float:
        """How many standard errors its rate is above another's; 0 where either is unknown.

        The pooled two-proportion statistic, one success and one failure added to the pool.
        """
        if not (self.episodes and other.episodes):
            return 0.0
        pool = (self.successes + other.successes + 1) / (self.episodes + other.episodes + 2)
        error = math.sqrt(pool * (1 - pool) * (1 / self.episodes + 1 / other.episodes))
        return (self.successes / self.episodes - other.successes / other.episodes) / error

    def above_in_return(self, other: SuccessCount) -> float:
        """How many standard errors its mean return is above another's (Welch); 0 where unknown.

        Returns that never vary have an error too, a millionth of them: else two such could not be
        told apart, or would be by a rounding error.
        """
        if min(self.episodes, other.episodes) < 2:
            return 0.0
        mean, other_mean = self.returns / self.episodes, other.returns / other.episodes
        variance = self._return_variance / self.episodes + other._return_variance / other.episodes
        error = max(math.sqrt(variance), _ROUNDING * max(abs(mean), abs(other_mean)))
        return (mean - other_mean) / error if error > 0 else 0.0

    def strongest(self, other: SuccessCount) -> float:
        """How many standard errors it is above another, by success or by return: what tells more.

        By success where both tell as much, and where the task is not scored.
        """
        by_success, by_return = self.above(other), self.above_in_return(other)
        return by_success if abs(by_success) >= abs(by_return) else by_return

    @property
    def _return_variance(self) -> float:
        mean = self.returns / self.episodes
        return max(self.squares / self.episodes - mean * mean, 0.0)


class MixedPlayOutcome(BaseModel):
    """Outcomes of mixed play in one situation.

    taught: of the episodes in which the teacher acted there; own: in which the student did.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    taught: SuccessCount = SuccessCount()
    own: SuccessCount = SuccessCount()

    def plus(self, taught: bool, success: bool, returns: Sequence[float] = ()) -> MixedPlayOutcome:
        name = "taught" if taught else "own"
        return self.model_copy(update={name: getattr(self, name).plus(success, 1, returns)})

    def summary(self) -> str:
        """In words, for the trace."""
        return f"{self.taught.summary()} with it, {self.own.summary()} without"

    def halved(self) -> MixedPlayOutcome:
        return MixedPlayOutcome(taught=self.taught.halved(), own=self.own.halved())
