"""Checks a teacher: asks about one real situation and reports requests, cost and advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tutelage.agents.client.call_record import CACHED, Exchange
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.planner.planner import Planner
from tutelage.agents.planner.verbaliser import Situations
from tutelage.agents.providers.replay import Provider, RecordedPlanner, Recording
from tutelage.prompts.library import PromptLibrary


@dataclass(frozen=True)
class Check:
    """The result of a check. cost_usd: None where it is not known."""

    provider: str
    model: str
    situation: str
    answer: PlannerAnswer
    cost_usd: float | None
    price_source: str | None

    @property
    def works(self) -> bool:
        """Whether advice came out."""
        return self.answer.advice is not None

    @property
    def requests(self) -> tuple[Exchange, ...]:
        """The requests that were sent, in order; none for a recording."""
        return tuple(call for call in self.answer.calls if call.status != CACHED)

    @property
    def latency_s(self) -> float:
        """Seconds of all requests together."""
        return sum(call.latency_s for call in self.requests)

    def tokens(self) -> tuple[int | None, int | None]:
        """Tokens in and out of all requests; None where the provider counted none."""
        counted = [call for call in self.requests if call.prompt_tokens is not None]
        if self.requests and not counted:
            return None, None
        return (
            sum(call.prompt_tokens or 0 for call in counted),
            sum(call.completion_tokens or 0 for call in counted),
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        tokens_in, tokens_out = self.tokens()
        advice = self.answer.advice
        return {
            "provider": self.provider,
            "model": self.model,
            "works": self.works,
            "output_mode": self.answer.output_mode if self.works and self.requests else None,
            "failure": self.answer.failure,
            "latency_s": round(self.latency_s, 3),
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "cost_usd": self.cost_usd,
            "price_from": self.price_source,
            "requests": [
                {
                    "status": call.status,
                    "latency_s": round(call.latency_s, 3),
                    "error": call.error,
                    **call.settings,
                }
                for call in self.requests
            ],
            "situation": self.situation,
            "advice": None if advice is None else advice.to_json(),
        }


def check(
    task: Situations,
    situation_id: int,
    library: PromptLibrary,
    provider: Provider,
    settings: TeacherSettings,
) -> Check:
    """Ask a teacher about one situation, given by its id. Raises PromptError."""
    gaps: list[str] = []
    asker: Planner | RecordedPlanner
    if isinstance(provider, Recording):
        asker = RecordedPlanner(task, provider, gaps.append)
    else:
        asker = Planner(task, library, provider, settings)
    answer = asker.ask(situation_id)
    known = provider.price is not None and not any(call.is_unpriced for call in answer.calls)
    return Check(
        provider=provider.name,
        model=provider.model_name,
        situation=task.describe(situation_id),
        answer=answer,
        cost_usd=sum(call.cost_usd or 0.0 for call in answer.calls) if known else None,
        price_source=provider.price.source if provider.price else None,
    )
