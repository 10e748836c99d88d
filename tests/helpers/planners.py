"""A task of locked doors, and teachers that are asked about it."""

from __future__ import annotations

from typing import Any

from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.providers.make import make_chat_model
from tutelage.agents.providers.offline import OfflineTeacher
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.agents.teacher.fallback import make_models
from tutelage.agents.teacher.teacher import Teacher
from tutelage.prompts.library import PromptLibrary
from tutelage.rl.minigrid.script import GridScript
from tutelage.rl.tasks.options import Option

LIBRARY = PromptLibrary(None)

OFFERED = (
    Option("explore"),
    Option("go_to", "red key"),
    Option("go_to", "red door"),
    Option("pick_up", "red key"),
    Option("open", "red door"),
)


class Doors:
    """Situations 0, 1, 2, ... which differ in their mission; one that has nothing on offer: 99."""

    name = "Doors"
    teacher_script = GridScript()

    def describe(self, situation_id: int) -> str:
        return (
            f"mission: open the door {situation_id}\ncarrying: nothing\n"
            "seen: red key; red door (locked)\nunexplored: yes"
        )

    def options(self, situation_id: int) -> tuple[Option, ...]:
        return () if situation_id == 99 else OFFERED


TASK = Doors()


def settings(**values: Any) -> TeacherSettings:
    """Settings that do not make a test wait."""
    return TeacherSettings(**{"backoff_s": 0.01, "timeout_s": 5.0, **values})


def teacher(chosen: TeacherSettings, cache: PlanCache | None = None, url: str = "") -> Teacher:
    name = "openai:test-model" if url else "offline"
    provider = make_chat_model(name, url or None, chosen, TASK)
    return Teacher(TASK, LIBRARY, provider, chosen, cache, models=make_models(chosen, TASK))


def make_own(chosen: TeacherSettings) -> Any:
    """A provider of one's own, as `helpers.planners:make_own`."""
    return OfflineTeacher(script=GridScript(), seed=chosen.seed, max_options=chosen.max_options)


def run_once(chosen: Teacher, situations: list[int], iteration: int = 0) -> dict[int, Any]:
    chosen.submit(situations, iteration)
    return {answer.situation_id: answer for answer in chosen.harvest(wait_for_all=True)}
