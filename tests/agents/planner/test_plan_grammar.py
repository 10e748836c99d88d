"""The grammar of plans in plain text: what is written is read back, and nothing else is a plan."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from tutelage.agents.client.errors import UnusableAnswer
from tutelage.agents.planner.messages import messages_for, plan_of
from tutelage.agents.planner.option_tools import OptionTools
from tutelage.agents.planner.plan_grammar import Step, read_plan, write_step
from tutelage.agents.planner.verbaliser import Question
from tutelage.rl.tasks.options import Option

names = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
targets = st.text(max_size=15)
steps = st.lists(st.tuples(names, targets), min_size=1, max_size=6)
thoughts = st.text(max_size=80).map(lambda text: text + "\n")


def line_of(steps: list[Step]) -> str:
    """A plan's line."""
    return "plan: " + "; ".join(write_step(name, target) for name, target in steps)


@given(steps, thoughts, st.sampled_from(["", "\n", "\n\n  \n", "\n```", "\n```\n"]))
@example([("open", 'a "b"; (c)\\')], "", "")
@example([("go_to", " red key ")], "plan: fly()\n", "")
@example([("go_to", "plan: x\u2028\r\n")], "```\n", "\n```")
def test_what_is_written_is_read_back(plan: list[tuple[str, str]], before: str, after: str) -> None:
    assert read_plan(before + line_of(plan) + after) == plan


@given(steps)
def test_a_plan_is_one_line(plan: list[tuple[str, str]]) -> None:
    assert len(line_of(plan).splitlines()) == 1


@given(st.text() | st.text(alphabet='plan: ();"\\\nx').map(lambda tail: "plan:" + tail))
@example("plan:")
@example("plan: explore")
@example("plan: explore();")
@example("plan: explore() drop()")
@example("plan: explore().")
@example("my plan: explore()")
@example("plan: explore()\nThat is all.")
@example('plan: go_to("red key)')
@example('plan: go_to("\\x")')
@example("plan: go_to(red (key))")
@example("plan: __import__('os')")
def test_any_text_is_a_plan_or_unusable(text: str) -> None:
    """What is read as a plan is one: written down again it reads the same."""
    try:
        found = read_plan(text)
    except UnusableAnswer:
        return
    assert found
    assert all(name and not any(c.isspace() or c in '"();\\' for c in name) for name, _ in found)
    assert read_plan(line_of(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plan:",
        "plan: explore",
        "plan: explore();",
        "plan: ; explore()",
        "plan: explore() drop()",
        "plan: explore().",
        "my plan: explore()",
        "plan: explore()\nThat is all.",
        'plan: go_to("red key)',
        "plan: go_to(red (key))",
        '{"plan": [{"option": "explore"}]}',
    ],
)
def test_what_is_not_quite_a_plan_is_none(text: str) -> None:
    with pytest.raises(UnusableAnswer) as caught:
        read_plan(text)
    assert caught.value.shapeless
    assert str(caught.value).isprintable()


def test_a_plan_may_be_written_a_little_loosely() -> None:
    assert read_plan("Plan:pick_up( red key ) ;open(red door)") == [
        ("pick_up", "red key"),
        ("open", "red door"),
    ]


offers = st.lists(
    st.builds(
        Option,
        st.text(min_size=1, max_size=20),
        st.none() | st.text(min_size=1, max_size=20).filter(lambda text: text.strip() == text),
    ),
    min_size=1,
    max_size=8,
    unique=True,
)


@given(offers)
def test_every_step_that_the_question_lists_can_be_given_back(offered: list[Option]) -> None:
    """Whatever a task calls its options and targets."""
    tools = OptionTools(offered)
    question = Question((HumanMessage("Well?"),), tuple(offered), tools)
    text = str(messages_for(question, "text")[-1].text)
    listed = text.split("just as it stands here:\n", 1)[1].split("\n")
    assert len(listed) == len(offered)
    plans = {plan_of(question, "text", AIMessage(f"plan: {step}"), 1) for step in listed}
    assert plans == {(option,) for option in offered}


def test_a_bare_target_stays_bare() -> None:
    assert write_step("pick_up", "red key") == "pick_up(red key)"
    assert write_step("explore", "") == "explore()"
    assert write_step("go_to", "x (y)") == 'go_to("x (y)")'
