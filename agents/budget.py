"""What a run may spend on its teacher, kept by all threads that ask together."""

from __future__ import annotations

import threading

from agents.settings import TeacherSettings


class Budget:
    """Counts requests and tokens, and says no when a limit is reached.

    The limit on requests is exact. What a request costs in tokens is known only afterwards, so
    those limits can be overrun by the requests under way.
    """

    def __init__(self, settings: TeacherSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._calls = 0
        self._prompt_tokens = 0
        self._completion_tokens = 0

    def start_from(self, calls: int, prompt_tokens: int, completion_tokens: int) -> None:
        """Take over what an interrupted run had spent."""
        with self._lock:
            self._calls = calls
            self._prompt_tokens = prompt_tokens
            self._completion_tokens = completion_tokens

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

    def _is_spent(self) -> bool:
        limits = self._settings
        cost = limits.cost_usd(self._prompt_tokens, self._completion_tokens)
        tokens = self._prompt_tokens + self._completion_tokens
        return (
            (limits.budget_calls is not None and self._calls >= limits.budget_calls)
            or (limits.budget_tokens is not None and tokens >= limits.budget_tokens)
            or (limits.budget_usd is not None and cost is not None and cost >= limits.budget_usd)
        )
