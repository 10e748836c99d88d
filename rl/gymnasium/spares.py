"""Environments that were used and can be used again, as to make some takes long.

Evaluations and checks of the teacher want the same number of environments again and again. Each
episode begins with a reset by its own seed, so nothing of earlier ones is left.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Final

from tutelage.rl.gymnasium.environments import Environments

_MOST: Final = 3
"""Sets of environments that are kept: a run evaluates, and checks its teacher in two sizes."""


class SpareEnvironments:
    """Hands out environments, and takes them back; closes what it has when it is gone itself.

    make: makes a number of them.
    """

    def __init__(self, make: Callable[[int], Environments]) -> None:
        self._make = make
        self._spare: deque[tuple[int, Environments]] = deque()
        weakref.finalize(self, _close, self._spare)

    def take(self, num_envs: int) -> Environments:
        """That many environments of one's own. Raises UserError where none can be made."""
        for place, (number, envs) in enumerate(self._spare):
            if number == num_envs:
                del self._spare[place]
                return envs
        return self._make(num_envs)

    def give_back(self, num_envs: int, envs: Environments) -> None:
        """Take environments back that are whole: none of their methods has raised.

        Those that lie longest are closed where there are too many.
        """
        self._spare.append((num_envs, envs))
        if len(self._spare) > _MOST:
            self._spare.popleft()[1].close()


def _close(spare: deque[tuple[int, Environments]]) -> None:
    while spare:
        spare.pop()[1].close()
