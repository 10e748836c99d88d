"""A planner that asks a test server in OpenAI's protocol about a locked door."""

from __future__ import annotations

from typing import Any

from helpers.openai_server import (
    Behaviour,
    OpenAIServer,
)
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.make import make_chat_model
from tutelage.prompts.library import PromptLibrary
from tutelage.rl.minigrid.script import GridScript
from tutelage.rl.tasks.options import Option

GOOD_PLAN = (Option("pick_up", "red key"), Option("open", "red door"))


class Door:
    """Situations that differ in a number."""

    name = "Door"
    teacher_script = GridScript()

    def describe(self, situation_id: int) -> str:
        return (
            f"mission: open the door\ncarrying: nothing\n"
            f"seen: red key; red door (locked)\nunexplored: yes\nnumber: {situation_id}"
        )

    def options(self, situation_id: int) -> tuple[Option, ...]:  # noqa: ARG002  # the protocol's
        return (Option("explore"), Option("pick_up", "red key"), Option("open", "red door"))


def settings(**values: Any) -> TeacherSettings:
    return TeacherSettings(**{"backoff_s": 0.0, "timeout_s": 5.0, "samples": 3, **values})


def planner_for(url: str, **values: Any) -> Planner:
    chosen = settings(**values)
    return Planner(
        Door(), PromptLibrary(None), make_chat_model("openai:test-model", url, chosen), chosen
    )


def ask(*behaviours: Behaviour, **values: Any) -> tuple[PlannerAnswer, list[dict[str, Any]]]:
    """The answer, and the bodies of the requests."""
    with OpenAIServer(*behaviours) as server:
        answer = planner_for(server.base_url, **values).ask(1)
        return answer, [request.body for request in server.requests]


def statuses(answer: PlannerAnswer) -> list[str]:
    return [call.status for call in answer.calls]
