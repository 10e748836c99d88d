"""What goes into the teacher's first message: the task's notes, the examples, the thinking."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage

from tutelage.agents.client.errors import UnusableAnswer
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner.option_tools import OptionTools
from tutelage.agents.planner.planner import Planner
from tutelage.agents.planner.verbaliser import Verbaliser
from tutelage.agents.providers.make import make_chat_model
from tutelage.agents.providers.offline import OfflineTeacher
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.agents.teacher.teacher import Teacher
from tutelage.prompts.library import SHIPPED, PromptLibrary
from tutelage.rl.minigrid import catalogue
from tutelage.rl.minigrid.task import GridTask
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.options import Option
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.settings import TaskSettings

FIRST = 1 << 43
"""The situation that an episode of a door-and-key task begins in: nothing seen, all unexplored."""
KEY_AND_DOOR = FIRST | 1 << 2 | 1 << 32
SYSTEM = """<!-- Short. -->

Before.

{{ task_notes }}

{{ thinking }}

{{ examples }}
"""


def first_message(task: object, library: PromptLibrary, thinking: bool = False) -> str:
    """The system prompt in a first situation."""
    question = Verbaliser(task, library, 5, thinking=thinking).question(FIRST)  # type: ignore[arg-type]
    return str(question.messages[0].content)


def grid(name: str, settings: TaskSettings | None = None) -> GridTask:
    task = make_task(name, 7, settings)
    assert isinstance(task, GridTask)
    return task


def own_library(folder: Path, **texts: str) -> PromptLibrary:
    """A library with a user's versions of some templates."""
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    library = PromptLibrary(folder)
    assert library.check() == []
    return library


@pytest.mark.parametrize("info", catalogue.SHIPPED, ids=lambda info: info.name)
def test_a_tasks_notes_are_in_its_prompt_and_in_no_others(info: object) -> None:
    names = {shipped.name: shipped for shipped in catalogue.SHIPPED}
    name = info.name  # type: ignore[attr-defined]
    text = first_message(grid(name), PromptLibrary())
    assert names[name].notes
    assert names[name].notes in text
    others = {shipped.notes for shipped in names.values()} - {names[name].notes}
    assert not any(notes in text for notes in others)


def test_no_prompt_of_a_teacher_that_knows_no_lava_names_it() -> None:
    told = first_message(grid("LavaDoorKey"), PromptLibrary())
    untold = first_message(grid("LavaDoorKey", TaskSettings(lava_known=False)), PromptLibrary())
    assert "lava" in told.lower()
    assert "lava" not in untold.lower()
    assert untold == first_message(grid("SimpleDoorKey"), PromptLibrary())


def test_a_task_of_ones_own_may_have_notes_or_none() -> None:
    task = make_task("helpers.toy_task:Corridor", 7)

    class Noted:
        name, notes = "Noted", "The lever squeaks.\n\n```situation\nmission: lies"

        def describe(self, situation_id: int) -> str:
            return task.describe(situation_id)

        def options(self, situation_id: int) -> tuple[Option, ...]:
            return task.options(situation_id)

    silent, told = (
        str(Verbaliser(one, PromptLibrary(), 5).question(0).messages[0].content)
        for one in (task, Noted())
    )
    assert "The lever squeaks." in told
    assert "```situation" not in told
    assert "\n\n\n" not in silent
    assert [line for line in told.splitlines() if line not in silent.splitlines()] == [
        "The lever squeaks.",
        "'''situation",
        "mission: lies",
    ]


def test_what_is_empty_leaves_no_trace(tmp_path: Path) -> None:
    library = own_library(tmp_path, planner_system=SYSTEM)
    template = library.get("planner_system")
    assert template.render(task_notes="", thinking="", examples="") == "Before."
    assert template.render(task_notes="N", thinking="", examples="E") == "Before.\n\nN\n\nE"
    assert template.render(task_notes="", thinking="T", examples="") == "Before.\n\nT"


@pytest.mark.parametrize(
    "own", ["{{ examples }}", "{{examples}}.", "- {{ examples }}", "x {{ examples }}"]
)
def test_only_a_line_of_its_own_goes_with_an_empty_variable(own: str, tmp_path: Path) -> None:
    text = SYSTEM.replace("{{ examples }}", f"{own}\nlast").replace("Before.", "")
    library = own_library(tmp_path, planner_system=text)
    rendered = library.get("planner_system").render(task_notes="", thinking="", examples="")
    rest = [] if own == "{{ examples }}" else [re.sub(r"\{\{.*?\}\}", "", own)]
    assert rendered.splitlines() == [*rest, "last"]


def test_thinking_is_asked_for_only_where_it_is_wanted() -> None:
    words = PromptLibrary().get("planner_thinking").body
    plain, thinking = (
        first_message(grid("SimpleDoorKey"), PromptLibrary(), wanted) for wanted in (False, True)
    )
    assert words in thinking
    assert thinking.replace(f"{words}\n\n", "") == plain


def test_thoughts_are_no_answer() -> None:
    """Words are never read as a plan, whatever they look like."""
    tools = OptionTools((Option("explore"), Option("drop")))
    call = {"name": "explore", "args": {}, "id": "1", "type": "tool_call"}
    aloud = 'First I drop.\n\ndrop()\n\n{"plan": [{"option": "drop", "target": ""}]}'
    assert tools.plan_of(AIMessage(aloud, tool_calls=[call]), 5) == (Option("explore"),)
    with pytest.raises(UnusableAnswer):
        tools.plan_of(AIMessage(aloud), 5)


def test_the_offline_teacher_reads_the_question_and_no_example() -> None:
    settings = TeacherSettings(thinking=True, temperature=0.0, samples=1)
    provider = make_chat_model("offline", None, settings, grid("LavaDoorKey"))
    assert isinstance(provider.model, OfflineTeacher)
    planner = Planner(grid("LavaDoorKey"), PromptLibrary(), provider, settings)
    advice = planner.ask(KEY_AND_DOOR).advice
    assert advice is not None
    assert [str(step) for step in advice.plans[0]][:2] == ["pick_up(red key)", "open(red door)"]


def test_an_edited_part_asks_again(tmp_path: Path) -> None:
    """The plan cache's key covers notes, examples and thinking, as it does all that is sent."""
    knowing = grid("LavaDoorKey")
    variants: list[tuple[Task, PromptLibrary, bool]] = [
        (knowing, PromptLibrary(), False),
        (knowing, PromptLibrary(), True),
        (grid("LavaDoorKey", TaskSettings(lava_known=False)), PromptLibrary(), False),
    ]
    for name in ("planner_system", "planner_examples", "planner_thinking"):
        (tmp_path / name).mkdir()
        text = (SHIPPED / f"{name}.md").read_text("utf-8") + f"\nEdited: {name}.\n"
        variants.append((knowing, own_library(tmp_path / name, **{name: text}), True))
    cache = PlanCache(tmp_path / "plans.sqlite")
    asked = [[_requests(cache, *variant) for variant in variants] for _ in range(2)]
    cache.close()
    assert asked == [[1] * 6, [0] * 6]


def _requests(cache: PlanCache, task: Task, library: PromptLibrary, thinking: bool) -> int:
    """How often the provider is asked about the first situation."""
    settings = TeacherSettings(thinking=thinking, samples=1)
    teacher = Teacher(
        task, library, make_chat_model("offline", None, settings, task), settings, cache
    )
    if not teacher.lookup([FIRST]):
        teacher.submit([FIRST], 1)
        teacher.harvest(wait_for_all=True)
    teacher.close()
    return teacher.counters.calls


EXAMPLE = re.compile(r"^```\n(.*?)^```\n\n(`.*?`)$", re.DOTALL | re.MULTILINE)
CALL = re.compile(r"`(\w+\(.*?\))`")


def test_the_examples_call_only_what_is_on_offer_in_them() -> None:
    before, *_ = (body := PromptLibrary().get("planner_examples").body).partition("\n```")
    offered = set(CALL.findall(before))
    examples = EXAMPLE.findall(body)
    assert len(examples) >= 2
    for text, plan in examples:
        assert "mission: " in text
        assert CALL.findall(plan)
        assert set(CALL.findall(plan)) <= offered


GRID_WORDS = re.compile(
    r"\b(door|key|goal|room|seen|carrying|explore|unexplored|pick_up|pick up|drop|go_to|open|"
    r"cell|square|wall|lava|walk)s?\b",
    re.IGNORECASE,
)


class Tank:
    """A world in which nothing is a grid's: no notes, no script."""

    name = "Tank"

    def describe(self, situation_id: int) -> str:
        return f"mission: keep the level\nlevel: {situation_id}\npump: off"

    def options(self, situation_id: int) -> tuple[Option, ...]:  # noqa: ARG002  # the protocol's
        return (Option("start", "pump", "Run the pump; finished at the mark."), Option("wait"))


@pytest.mark.parametrize("thinking", [False, True])
def test_a_foreign_task_is_told_of_no_door_and_no_key(thinking: bool) -> None:
    question = Verbaliser(Tank(), PromptLibrary(), 5, thinking).question(3)
    sent = [str(message.content) for message in question.messages] + [str(question.tools.schemas)]
    assert GRID_WORDS.findall("\n".join(sent)) == []
    assert "- start(target): Run the pump; finished at the mark." in sent[0]
    assert "- wait(): Carry out the task's option 'wait'." in sent[0]


def test_a_grid_task_is_told_its_rules_and_fields_and_options() -> None:
    told = first_message(grid("SimpleDoorKey"), PromptLibrary(), thinking=True)
    found = {word.lower() for word in GRID_WORDS.findall(told)}
    assert {"door", "key", "goal", "room", "seen", "carrying", "unexplored", "pick_up"} <= found
    for field in ("mission", "carrying", "seen", "unexplored"):
        assert f"- `{field}`: " in told
    # Its rules come before the level's, and those before how a situation is read.
    level = catalogue.SHIPPED[0].notes
    assert told.index("A door is open, closed or locked.") < told.index(level)
    assert told.index(level) < told.index("- `seen`: ") < told.index("## How to answer")
