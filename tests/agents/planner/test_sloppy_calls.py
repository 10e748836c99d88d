"""Calls with something around them are understood where they can mean one thing only."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from helpers import habits
from helpers.openai_planners import GOOD_PLAN, ask
from helpers.openai_server import plans
from helpers.planners import OFFERED
from tutelage.agents.client.errors import UnusableAnswer
from tutelage.agents.planner.messages import plan_of
from tutelage.agents.planner.option_tools import OptionTools
from tutelage.agents.planner.plan_grammar import read_plan, write_step
from tutelage.agents.planner.sloppy_calls import bare_name
from tutelage.agents.planner.verbaliser import Question
from tutelage.rl.tasks.options import Option

TOOLS = OptionTools(OFFERED)
KEY = {"target": "red key"}


def said(name: str, args: Any, output_mode: Any = "required") -> tuple[Option, ...]:
    """The plan of one call."""
    question = Question((HumanMessage("Well?"),), OFFERED, TOOLS)
    call = {"name": name, "args": args, "id": "1", "type": "tool_call"}
    return plan_of(question, output_mode, AIMessage("", tool_calls=[call]), 5)


@pytest.mark.parametrize(
    "name",
    [
        "go_to<|channel|>commentary",
        "go_to<|channel|>json",
        "functions.go_to",
        "functions.go_to:0",
        "default_api.go_to",
        "tools/go_to",
        "tool:go_to",
        " functions.go_to<|end|> ",
    ],
)
def test_what_stands_around_a_name_is_passed_over(name: str) -> None:
    assert said(name, KEY) == (Option("go_to", "red key"),)
    assert bare_name(name) == "go_to"


@pytest.mark.parametrize(
    "args",
    [
        {"target": "red key", "explanation": "it is near"},
        {"target": "red key", "speed": 2, "note": "not the red door"},
        {"target": "red key", "other": "red door"},
        {"name": "go_to", "arguments": KEY},
        {"name": "functions.go_to", "parameters": KEY},
        {"name": "go_to", "arguments": json.dumps(KEY)},
        {"kwargs": KEY},
        {"kwargs": json.dumps(KEY)},
        {"arguments": {"kwargs": KEY}},
        {"args": {"object": "Red key "}},
        {"object": "red key", "why": "near"},
        {"object": "red key", "target_name": "red key"},
    ],
)
def test_arguments_that_mean_one_thing_are_taken(args: Any) -> None:
    assert said("go_to", args) == (Option("go_to", "red key"),)


@pytest.mark.parametrize("args", [{"kwargs": "date"}, {"explanation": "x"}, {"kwargs": {}}, {}])
def test_what_a_tool_without_targets_is_given_is_passed_over(args: Any) -> None:
    assert said("explore", args) == (Option("explore"),)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("go_to", {"from": "red key", "to": "red door"}),
        ("go_to", {"name": "open", "arguments": {"target": "red door"}}),
        ("go_to", {"arguments": KEY, "kwargs": {"target": "red door"}}),
        ("go_to", {"name": 5, "arguments": KEY}),
        ("pick_up", {"object": "red door"}),
        ("explore", {"object": "red key"}),
        ("explore", {"kwargs": {"target": "red key"}}),
        ("go_to", {"target": ["red key"]}),
        ("go_to", {"target": "blue key", "object": "red key"}),
        ("go_to", {"kwargs": {"kwargs": {"kwargs": {"kwargs": {"kwargs": KEY}}}}}),
        ("go_to", {}),
        ("goto", KEY),
        ("functions.", KEY),
        ("<|channel|>go_to", KEY),
    ],
)
def test_what_could_mean_two_things_or_none_is_sent_back(name: str, args: Any) -> None:
    with pytest.raises(UnusableAnswer) as caught:
        said(name, args)
    assert str(caught.value).isprintable()


around_names = st.sampled_from(
    ["{}", "functions.{}", "{}<|channel|>final", "functions.{}:3", " {} ", "a.b/{}<|x|>y.z"]
)
words = st.text(max_size=12)
extras = st.dictionaries(words.filter(lambda word: word != "target"), st.integers() | words)


@given(st.data())
def test_any_option_on_offer_is_understood_with_anything_around_it(data: st.DataObject) -> None:
    """Extra arguments beside the target, a call or a word around the arguments, marks at names."""
    targets = st.none() | st.text(min_size=1, max_size=9).filter(lambda text: text.strip() == text)
    option = st.builds(Option, st.text(min_size=1, max_size=9), targets)
    offered = data.draw(st.lists(option, min_size=1, max_size=6, unique=True))
    tools = OptionTools(offered)
    tool = data.draw(st.sampled_from([schema["function"]["name"] for schema in tools.schemas]))
    plain = data.draw(st.sampled_from([o.target or "" for o in tools._offers[tool]]))
    meant = tools.plan_of_calls([(tool, {"target": plain})], 1)
    args: Any = {**data.draw(extras), "target": plain}
    wrap = data.draw(st.sampled_from([None, "arguments", "parameters", "args", "kwargs"]))
    if wrap:
        args = {wrap: data.draw(st.sampled_from([args, json.dumps(args)]))}
        if data.draw(st.booleans()):
            args["name"] = data.draw(around_names).format(tool)
    call = {"name": data.draw(around_names).format(tool), "args": args, "id": "1"}
    message = AIMessage("", tool_calls=[{**call, "type": "tool_call"}])
    assert tools.plan_of(message, 1) == meant


@given(st.lists(st.sampled_from(["red key", "red door"]), min_size=2, max_size=4))
def test_of_two_different_targets_none_is_guessed(targets: list[str]) -> None:
    args = {f"argument {place}": target for place, target in enumerate(targets)}
    if len(set(targets)) == 1:
        assert said("go_to", args) == (Option("go_to", targets[0]),)
        return
    with pytest.raises(UnusableAnswer):
        said("go_to", args)


@pytest.mark.parametrize(
    "text",
    [
        "**Plan:** `go_to(red key)`",
        "**Plan**: go_to(red key)",
        "**plan: go_to(red key)**",
        "`plan: go_to(red key)`",
        "### Plan: `go_to(red key)`",
        "> - *Plan:* **go_to(red key)**",
        "I see it.\n\n**Plan:** `functions.go_to(red key)`\n",
    ],
)
def test_markdown_around_a_plan_is_passed_over(text: str) -> None:
    question = Question((HumanMessage("Well?"),), OFFERED, TOOLS)
    assert plan_of(question, "text", AIMessage(text), 5) == (Option("go_to", "red key"),)


steps = st.lists(
    st.tuples(st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True), st.text(max_size=15)),
    min_size=1,
    max_size=4,
)


@given(
    steps,
    st.sampled_from(["", "**", "> ", "# ", "`", "- "]),
    st.sampled_from(["plan:", "Plan**:", "Plan:**", "PLAN`:"]),
    st.sampled_from(["", "`", "**"]),
)
def test_a_plan_reads_the_same_with_marks_around_it(
    plan: list[tuple[str, str]], before: str, word: str, mark: str
) -> None:
    line = "; ".join(f"{mark}{write_step(name, target)}{mark}" for name, target in plan)
    assert read_plan(f"{before}{word} {line}") == plan


@pytest.mark.parametrize(
    "step",
    [
        {"option": "go_to", "target": "red key", "reason": "near"},
        {"option": "functions.go_to", "target": "red key"},
        {"option": "go_to", "arguments": {"target": "red key"}},
        {"name": "go_to", "arguments": {"target": "red key"}},
    ],
)
def test_steps_in_json_are_understood_alike(step: Any) -> None:
    question = Question((HumanMessage("Well?"),), OFFERED, TOOLS)
    text = json.dumps({"plan": [step]})
    assert plan_of(question, "json", AIMessage(text), 5) == (Option("go_to", "red key"),)


@pytest.mark.parametrize(
    "calls",
    [
        [(f"{name}<|channel|>commentary", args) for name, args in habits.CALLS],
        [(f"functions.{name}", {**args, "explanation": "near"}) for name, args in habits.CALLS],
        [(name, {"name": name, "arguments": args}) for name, args in habits.CALLS],
    ],
    ids=["channels", "prefixes and extras", "nested"],
)
def test_a_server_with_such_a_habit_is_asked_once(calls: list[tuple[str, Any]]) -> None:
    answer, bodies = ask(plans(*[calls] * 3))
    assert (answer.failure, answer.output_mode, len(bodies)) == (None, "required", 1)
    assert answer.advice is not None
    assert answer.advice.plans == (GOOD_PLAN,)
