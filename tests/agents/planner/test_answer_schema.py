"""The JSON schema of an answer allows what is on offer and nothing else."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from helpers import habits
from helpers.openai_planners import ask
from helpers.openai_server import rejects
from helpers.planners import OFFERED
from tutelage.agents.planner.messages import plan_of, schemas_for
from tutelage.agents.planner.option_tools import OptionTools
from tutelage.agents.planner.verbaliser import Question
from tutelage.rl.tasks.options import Option

_STRICT = {"type", "properties", "required", "additionalProperties", "items", "anyOf", "enum"} | {
    "minItems",
    "maxItems",
}
"""What OpenAI's strict mode knows, of what a plan could need."""


def question_about(offered: tuple[Option, ...]) -> Question:
    return Question((HumanMessage("Well?"),), offered, OptionTools(offered))


def schema_for(offered: tuple[Option, ...], max_options: int) -> Any:
    (form,) = schemas_for(question_about(offered), "json", max_options)
    assert form["json_schema"]["strict"]
    return form["json_schema"]["schema"]


def steps_of(schema: Any) -> list[tuple[str, str]]:
    """All steps that a schema allows."""
    forms = [form["properties"] for form in schema["properties"]["plan"]["items"]["anyOf"]]
    pairs = [itertools.product(f["option"]["enum"], f["target"]["enum"]) for f in forms]
    return [pair for each in pairs for pair in each]


def test_each_option_has_its_own_targets() -> None:
    assert steps_of(schema_for(OFFERED, 3)) == [
        ("explore", ""),
        ("go_to", "red key"),
        ("go_to", "red door"),
        ("pick_up", "red key"),
        ("open", "red door"),
    ]


def test_a_plan_has_one_to_max_options_steps() -> None:
    plan = schema_for(OFFERED, 3)["properties"]["plan"]
    assert (plan["type"], plan["minItems"], plan["maxItems"]) == ("array", 1, 3)
    _, bodies = ask(rejects("tools", habits.choices(habits.asked_for, habits.says(habits.IN_JSON))))
    sent = bodies[-1]["response_format"]["json_schema"]["schema"]
    assert sent["properties"]["plan"]["maxItems"] == 5


targets = st.none() | st.text(min_size=1, max_size=9).filter(lambda text: text.strip() == text)
offers = st.lists(
    st.builds(Option, st.text(min_size=1, max_size=9), targets), min_size=1, max_size=8, unique=True
).map(tuple)


@given(offers)
def test_all_that_a_schema_allows_is_on_offer_and_all_on_offer_is_allowed(
    offered: tuple[Option, ...],
) -> None:
    question, steps = question_about(offered), steps_of(schema_for(offered, 2))
    plans = [{"plan": [{"option": option, "target": target}]} for option, target in steps]
    read = {plan_of(question, "json", AIMessage(json.dumps(plan)), 1) for plan in plans}
    assert read == {(option,) for option in offered}
    assert len(steps) == len(offered)


@given(offers)
def test_a_schema_stays_within_openais_strict_mode(offered: tuple[Option, ...]) -> None:
    """Objects are closed and need all their properties; the root is one; no word is unknown."""

    def check(schema: Mapping[str, Any]) -> None:
        assert set(schema) <= _STRICT
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False
            assert schema["required"] == list(schema["properties"])
        for part in (*schema.get("properties", {}).values(), *schema.get("anyOf", ())):
            check(part)
        if "items" in schema:
            check(schema["items"])

    schema = schema_for(offered, 5)
    assert schema["type"] == "object"
    check(schema)
