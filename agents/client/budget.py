"""The budget of a run: requests, tokens and US dollars, shared by all threads that ask."""

from __future__ import annotations

import threading

from tutelage.agents.client.prices import Price
from tutelage.agents.client.spending import Ledger, Spending
from tutelage.agents.common.settings import TeacherSettings


class Budget:
    """Counts requests, tokens and dollars, and refuses requests when a limit is reached.

    The limit on requests is exact. What a request costs is known only afterwards, so the limits on
    tokens and dollars can be overrun by the requests under way, and by no others. Where a server
    does not say what an answer has cost, a limit in dollars could not be kept any more: then it
    counts as reached. Models of different prices may share a budget. ledger: where the spending is
    written down; what stands there already counts. bounded: whether the settings' bound holds where
    they set no limit, as it does for an LLM. bound: that one; None for none.
    """

    def __init__(
        self, settings: TeacherSettings, ledger: Ledger | None = None, bounded: bool = False
    ) -> None:
        self.bound = settings.default_bound if bounded else None
        self._settings = settings
        self._lock = threading.Lock()
        self._ledger = ledger or Ledger()

    @property
    def calls(self) -> int:
        """Requests that were made, whether or not they have been answered."""
        return self._ledger.total.calls

    @property
    def most_calls(self) -> int | None:
        """The most requests that may be made, those that were made included; None for no limit."""
        return self._settings.calls_of(self.bound is not None)

    def take_call(self) -> bool:
        """Claim one request. False, and nothing claimed, where a limit is reached.

        Raises RunFolderError where it cannot be written down: nothing is spent then.
        """
        with self._lock:
            if self.limit_reached is not None:
                return False
            self._ledger.add(Spending(calls=1))
            return True

    @property
    def limit_reached(self) -> str | None:
        """The limit after which no further request may be made, as it was set; None before."""
        limits, spent = self._settings, self._ledger.total
        tokens = spent.prompt_tokens + spent.completion_tokens
        if limits.budget_calls is not None and spent.calls >= limits.budget_calls:
            return f"budget_calls = {limits.budget_calls}"
        if self.bound is not None and spent.calls >= self.bound:
            return f"calls_without_budget = {self.bound}"
        if limits.budget_tokens is not None and tokens >= limits.budget_tokens:
            return f"budget_tokens = {limits.budget_tokens}"
        if limits.budget_usd is not None and (spent.unpriced or spent.usd >= limits.budget_usd):
            unknown = ", and the cost of an answer is not known" if spent.unpriced else ""
            return f"budget_usd = {limits.budget_usd:g}{unknown}"
        return None

    def add_answer(
        self, prompt_tokens: int | None, completion_tokens: int | None, price: Price | None
    ) -> None:
        """Add the cost of an answered request. None: not known."""
        cost = None if price is None else price.cost(prompt_tokens, completion_tokens)
        self._ledger.add(
            Spending(
                prompt_tokens=prompt_tokens or 0,
                completion_tokens=completion_tokens or 0,
                usd=cost or 0.0,
                unpriced=int(cost is None),
            )
        )

    @property
    def cost_usd(self) -> float | None:
        """The cost so far, in US dollars; None where it is not known."""
        spent = self._ledger.total
        return None if spent.unpriced else spent.usd
