"""The variance of the returns so far: the unit of the value loss.

Advantages are normalised, returns are not. Where success is rare or far away, returns are so small
that the value loss vanished beside the policy's; the values stayed as they were, and with them a
student unlearned what its teacher had taught it. docs/student_network.md has what was measured.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tutelage.rl.tasks.arrays import FloatArray

_SHARE: Final = 0.02
"""The newest rollout's share: some fifty count."""
_LEAST: Final = 1e-4
"""A standard deviation of 0.01: below it returns are noise."""


class ReturnVariance(BaseModel):
    """An exponentially weighted mean of the rollouts' variances.

    total: the weighted sum of the variances; weight: of the weights, 0 before the first rollout.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    total: float = Field(0.0, ge=0)
    weight: float = Field(0.0, ge=0, le=1.0 + 1e-9)

    @property
    def mean(self) -> float:
        """The mean variance, never so small that noise would be blown up; 1 before any."""
        return max(self.total / self.weight, _LEAST) if self.weight else 1.0

    def after(self, returns: FloatArray) -> ReturnVariance:
        """The same with the returns of one more rollout, of any shape.

        Returns that are not finite count for nothing.
        """
        variance = float(np.var(returns, dtype=np.float64))
        if not math.isfinite(variance):
            return self
        return ReturnVariance(
            total=(1 - _SHARE) * self.total + _SHARE * variance,
            weight=(1 - _SHARE) * self.weight + _SHARE,
        )
