"""Who advises where the teacher could not: nobody, or the offline script.

What a fallback says is never taken for the model's word: it carries its own source, and it is not
stored in the plan cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from agents.calls import PlannerAnswer
from agents.planner import Planner
from agents.provider_catalogue import OFFLINE
from agents.providers import make_chat_model
from agents.settings import TeacherSettings
from agents.verbaliser import Situations
from prompts.library import PromptLibrary

SOURCE = f"fallback:{OFFLINE}"


def make_fallback(
    task: Situations, library: PromptLibrary, settings: TeacherSettings
) -> Planner | None:
    """The planner that stands in, or None where nobody does. It has no budget: it costs nothing."""
    if settings.fallback == "none":
        return None
    free = settings.model_copy(
        update={"budget_calls": None, "budget_tokens": None, "budget_usd": None}
    )
    provider = replace(make_chat_model(OFFLINE, None, free), name=SOURCE)
    return Planner(task, library, provider, free, source=SOURCE)


def settle(signatures: Iterable[int], fallback: Planner | None) -> list[PlannerAnswer]:
    """The fallback's answers, in the order of the signatures; none where there is no fallback."""
    if fallback is None:
        return []
    return [fallback.ask(signature) for signature in sorted(set(signatures))]
