"""What a run may spend on its teacher, kept by all threads that ask together."""

from __future__ import annotations

import threading

from agents.prices import Price
from agents.settings import TeacherSettings


class Budget:
    """Counts requests and tokens, and says no when a limit is reached.

    The limit on requests is exact. What a request costs in tokens is known only afterwards, so
    those limits can be overrun by the requests under way. Where a server does not say what a
    request has cost, a limit in dollars could not be kept any more: then it counts as reached.

    price: of the model that is asked; None where it is not known.
    """

    def __init__(self, settings: TeacherSettings, price: Price | None = None) -> None:
        self._settings = settings
        self._price = price
        self._lock = threading.Lock()
        self._calls = 0
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._uncounted = 0

    def start_from(
        self, calls: int, prompt_tokens: int, completion_tokens: int, uncounted: int
    ) -> None:
        """Take over what an interrupted run had spent."""
        with self._lock:
            self._calls = calls
            self._prompt_tokens = prompt_tokens
            self._completion_tokens = completion_tokens
            self._uncounted = uncounted

    @property
    def calls(self) -> int:
        """Requests that were made, whether or not they have been answered."""
        with self._lock:
            return self._calls

    def take_call(self) -> bool:
        """Claim one request. False, and nothing claimed, where a limit is reached."""
        with self._lock:
            if self._is_spent():
                return False
            self._calls += 1
            return True

    def is_spent(self) -> bool:
        """Whether no further request may be made."""
        with self._lock:
            return self._is_spent()

    def add_tokens(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Count what a request has cost."""
        with self._lock:
            self._prompt_tokens += prompt_tokens
            self._completion_tokens += completion_tokens

    def add_uncounted(self, calls: int) -> None:
        """Note answers that came without their number of tokens."""
        with self._lock:
            self._uncounted += calls

    @property
    def cost_usd(self) -> float | None:
        """What it has cost so far, in US dollars; None where that is not known."""
        with self._lock:
            return self._cost_usd()

    def _cost_usd(self) -> float | None:
        if self._price is None or (self._uncounted and self._price.cost(1, 1) > 0):
            return None
        return self._price.cost(self._prompt_tokens, self._completion_tokens)

    def _is_spent(self) -> bool:
        limits = self._settings
        cost = self._cost_usd()
        tokens = self._prompt_tokens + self._completion_tokens
        return (
            (limits.budget_calls is not None and self._calls >= limits.budget_calls)
            or (limits.budget_tokens is not None and tokens >= limits.budget_tokens)
            or (limits.budget_usd is not None and (cost is None or cost >= limits.budget_usd))
        )
