"""Which rungs of the ladder have brought plans, over all situations of one planner."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from tutelage.agents.client.request_modes import OUTPUT_MODES, OutputMode, RequestMode

_MOST_IN_A_ROW: Final = 3
"""So many situations one after the other must leave a rung that has brought plans before it is
left for all: one situation's trouble says nothing of the others."""


class Evidence:
    """May be used by many threads at once.

    proven: the output modes that have brought a plan, or are known to be the provider's own.
    """

    def __init__(self, proven: Collection[OutputMode] = ()) -> None:
        self._lock = threading.Lock()
        self._proven = frozenset(proven)
        self._left: Counter[OutputMode] = Counter()

    @property
    def proven(self) -> frozenset[OutputMode]:
        return self._proven

    def next_mode(
        self, before: RequestMode, worked: RequestMode, brought: Iterable[OutputMode]
    ) -> RequestMode:
        """The mode for the situations to come, after one that brought a plan.

        before: the mode so far. worked: the last one that brought a plan there, which may stand
        lower. brought: all output modes that did.
        """
        with self._lock:
            rung = before.output_mode
            is_lower = OUTPUT_MODES.index(worked.output_mode) > OUTPUT_MODES.index(rung)
            self._left[rung] = self._left[rung] + 1 if is_lower else 0
            was_proven = rung in self._proven
            self._proven |= frozenset(brought)
            if is_lower and was_proven and self._left[rung] < _MOST_IN_A_ROW:
                return replace(worked, output_mode=rung)
            return worked
