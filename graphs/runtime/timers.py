"""Where a run's time goes: seconds for each phase, always on and cheap enough to be."""

from __future__ import annotations

from contextlib import AbstractContextManager
from time import perf_counter
from types import TracebackType
from typing import Final, Literal, get_args

Phase = Literal["import", "collect", "advice", "update", "evaluate", "graph", "record"]
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)


class PhaseTimers:
    """Counts the seconds of each phase. Of nested phases, only the innermost one counts.

    So the phases' seconds never sum to more than the wall time. For one thread at a time.
    """

    def __init__(self) -> None:
        self._seconds: dict[Phase, float] = dict.fromkeys(PHASES, 0.0)
        self._entered: list[Phase] = []
        self._counted_until = 0.0
        self._scopes = {name: _Scope(self, name) for name in PHASES}

    def phase(self, name: Phase) -> AbstractContextManager[None]:
        """`with timers.phase("collect"):` counts the block's time. KeyError: unknown name."""
        return self._scopes[name]

    def add(self, name: Phase, seconds: float) -> None:
        """Count time that was measured elsewhere, e.g. before a resume. KeyError: unknown name."""
        self._seconds[name] += seconds

    def seconds(self) -> dict[str, float]:
        """The seconds so far as `{"import_s": ..., ...}`, open phases included."""
        self._count()
        return {f"{name}_s": seconds for name, seconds in self._seconds.items()}

    def _enter(self, name: Phase) -> None:
        self._count()
        self._entered.append(name)

    def _exit(self) -> None:
        self._count()
        self._entered.pop()

    def _count(self) -> None:
        """Give the time since the last count to the innermost open phase, if there is one."""
        now = perf_counter()
        if self._entered:
            self._seconds[self._entered[-1]] += now - self._counted_until
        self._counted_until = now


class _Scope(AbstractContextManager[None]):
    """Enters and leaves one phase; holds no state, so it can be nested in itself."""

    def __init__(self, timers: PhaseTimers, name: Phase) -> None:
        self._timers = timers
        self._name = name

    def __enter__(self) -> None:
        self._timers._enter(self._name)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timers._exit()
