"""What a run on a task may need of its teacher, from a short look at the task and one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.agents.client.call_record import Exchange
from tutelage.agents.exam.check import Check

Range = tuple[float, float]
"""The least and the most that is likely."""


@dataclass(frozen=True)
class Need:
    """What a run may ask of a teacher, and what that costs, each from one figure to another.

    situations: those that it asks about. requests: for each of them. tokens_in, tokens_out,
    cost_usd: of the requests on one situation; None where they are not known. most_requests: that
    the run may make; None for no limit.
    """

    situations: tuple[int, int]
    requests: int
    tokens_in: int | None
    tokens_out: int | None
    cost_usd: float | None
    most_requests: int | None

    def over_all(self, each: float | None) -> Range | None:
        """A figure of one situation over all of them."""
        least, most = self.situations
        return None if each is None else (each * least, each * most)

    @property
    def bounded_usd(self) -> float | None:
        """The cost of all requests that the run may make; None where that is not known."""
        if self.most_requests is None or self.cost_usd is None:
            return None
        return self.cost_usd * self.most_requests / self.requests

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        each = {
            "situations": 1,
            "requests": self.requests,
            "prompt_tokens": self.tokens_in,
            "completion_tokens": self.tokens_out,
            "cost_usd": self.cost_usd,
        }
        return {
            **{name: self.over_all(value) for name, value in each.items()},
            "most_requests": self.most_requests,
            "most_usd": self.bounded_usd,
        }


def need_of(
    met: Mapping[int, int], num_envs: int, check: Check, most_requests: int | None
) -> Need | None:
    """What a run may need. None where no request was made, or none has brought advice.

    met: the situations that scouts have met, each with the number of environments
    (`rl.teaching.scouting`), of num_envs.
    """
    mode = check.answer.output_mode
    # What a server had to be asked once to find out its ways is left out.
    made = [c for c in check.requests if c.answers and c.settings["output_mode"] == mode]
    if not (made and met and check.works):
        return None
    return Need(
        situations=(len(met), _likely(met, num_envs)),
        requests=len(made),
        tokens_in=_sum(made, "prompt_tokens"),
        tokens_out=_sum(made, "completion_tokens"),
        cost_usd=None if check.cost_usd is None else sum(c.cost_usd or 0.0 for c in made),
        most_requests=most_requests,
    )


def _sum(made: list[Exchange], figure: str) -> int | None:
    counted: list[int | None] = [getattr(call, figure) for call in made]
    return None if None in counted else sum(count or 0 for count in counted)


def _likely(met: Mapping[int, int], num_envs: int) -> int:
    """How many situations there are, the unseen ones included (Chao 1987, bias-corrected).

    By how many were met in one environment alone, and how many in two.
    """
    counts = list(met.values())
    once, twice = counts.count(1), counts.count(2)
    unseen = (num_envs - 1) / num_envs * once * (once - 1) / (2 * (twice + 1))
    return len(met) + round(unseen)
