"""How a situation is put to a model in each output mode, and how its answer is read.

Called directly, and not through `invoke`, a model gives all `n` answers instead of the first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from tutelage.agents.client.errors import UnusableAnswer
from tutelage.agents.client.request_modes import WITH_TOOLS, OutputMode, output_modes_for
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner import logprobs
from tutelage.agents.planner.option_tools import OptionTools, closed_object
from tutelage.agents.planner.plan_grammar import read_plan, write_step
from tutelage.agents.planner.sloppy_calls import bare_name
from tutelage.agents.planner.text_tool_calls import without_thoughts
from tutelage.agents.planner.verbaliser import Question, plain
from tutelage.rl.tasks.options import Plan

_JSON_FORMAT: Final = """\
There are no tools to call. Answer with JSON alone, no other words:
{"plan": [{"option": "...", "target": "..."}, ...]}
The steps stand in order. "target" is "" for an option that takes none. Allowed:
"""

_TEXT_FORMAT: Final = """\
There are no tools to call. Write the plan as the last line of your answer, its steps in order:
plan: step; step
A step is one of these lines, just as it stands here:
"""

_BACK: Final = """\
Your last answer was:
{answer}
It cannot be used: {reason}. Answer once more, in the form that was asked for."""

_LONGEST_QUOTE: Final = 500


def output_modes_of(question: Question, settings: TeacherSettings) -> tuple[OutputMode, ...]:
    """The output modes in which the question can be put, the first to try first."""
    modes = output_modes_for(settings)
    fits = len(question.options) <= len(logprobs.LETTERS)
    return modes if fits else tuple(mode for mode in modes if mode != "logprobs")


def messages_for(question: Question, output_mode: OutputMode) -> list[BaseMessage]:
    """The question's messages; without tools they end with what was looked up and how to answer."""
    if output_mode in WITH_TOOLS:
        return list(question.messages)
    *before, last = question.messages
    parts = [last.text, question.lookups.as_text(), _how_to_answer(question, output_mode)]
    return [*before, HumanMessage("\n\n".join(part for part in parts if part))]


def schemas_for(
    question: Question, output_mode: OutputMode, max_options: int
) -> list[dict[str, Any]]:
    """The schemas that go with the messages: of the tools, or of the answer.

    max_options: the most steps of a plan.
    """
    if output_mode in WITH_TOOLS:
        return question.lookups.schemas + question.tools.schemas
    return [_answer_schema(question.tools, max_options)] if output_mode == "json" else []


def sent_back(messages: Sequence[BaseMessage], answer: str, reason: str) -> list[BaseMessage]:
    """The messages again, with an answer that cannot be used and why.

    Within the last message where that is the question: some models' templates refuse two in a row.
    """
    note = _BACK.format(answer=plain(answer), reason=plain(reason))
    *before, last = messages
    if isinstance(last, HumanMessage):
        return [*before, HumanMessage(f"{last.text}\n\n{note}")]
    return [*messages, HumanMessage(note)]


def quoted(message: AIMessage) -> str:
    """The beginning of an answer as text, its tool calls included."""
    calls = [*message.tool_calls, *message.invalid_tool_calls]
    written = [f"{call['name']}({_written(call['args'])})" for call in calls]
    said = "\n".join([part for part in (str(message.text), *written) if part])
    return said[:_LONGEST_QUOTE] or "(nothing)"


def plan_of(
    question: Question, output_mode: OutputMode, message: AIMessage, max_options: int
) -> Plan:
    """The plan that an answer holds. Raises UnusableAnswer where it holds none."""
    if output_mode in WITH_TOOLS:
        return question.tools.plan_of(message, max_options)
    answer = without_thoughts(str(message.text))
    if output_mode == "json":
        return question.tools.plan_of_calls(_calls_in_json(answer), max_options)
    steps = [(bare_name(name), {"target": target}) for name, target in read_plan(answer)]
    return question.tools.plan_of_calls(steps, max_options)


def _how_to_answer(question: Question, output_mode: OutputMode) -> str:
    if output_mode == "logprobs":
        return logprobs.question_with_letters(question.options)
    functions = _functions(question.tools)
    if output_mode == "json":
        allowed = [f"{f['name']}: {', '.join(_targets(f)) or 'no target'}" for f in functions]
        return _JSON_FORMAT + "\n".join(allowed)
    steps = [write_step(f["name"], target) for f in functions for target in _aims(f)]
    return _TEXT_FORMAT + "\n".join(steps)


def _calls_in_json(text: str) -> list[tuple[str, Any]]:
    """The (tool, arguments) pairs of a JSON answer."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnusableAnswer("the answer is not JSON", shapeless=True) from error
    steps = answer.get("plan") if isinstance(answer, Mapping) else None
    if not isinstance(steps, list):
        raise UnusableAnswer('the answer has no list "plan"', shapeless=True)
    return [_call_in(step) for step in steps]


def _call_in(step: Any) -> tuple[str, Any]:
    if not isinstance(step, Mapping):
        raise UnusableAnswer("a step of the plan is not an option and a target", shapeless=True)
    name = step.get("option", step.get("name"))
    if not isinstance(name, str):
        raise UnusableAnswer("a step of the plan names no option", shapeless=True)
    return bare_name(name), {key: step[key] for key in step if key != "option"}


def _answer_schema(tools: OptionTools, max_options: int) -> dict[str, Any]:
    """The JSON schema of an answer, in the form of OpenAI's `response_format`.

    It allows plans of what is on offer alone, and uses what OpenAI's strict mode knows alone.
    """
    plan = {
        "type": "array",
        "items": {"anyOf": [_step_schema(function) for function in _functions(tools)]},
        "minItems": 1,
        "maxItems": max_options,
    }
    schema = closed_object({"plan": plan}, required=["plan"])
    return {
        "type": "json_schema",
        "json_schema": {"name": "plan", "strict": True, "schema": schema},
    }


def _step_schema(function: Mapping[str, Any]) -> dict[str, Any]:
    """One option with its own targets."""
    named = {
        "option": {"type": "string", "enum": [function["name"]]},
        "target": {"type": "string", "enum": _aims(function)},
    }
    return closed_object(named, required=list(named))


def _functions(tools: OptionTools) -> list[dict[str, Any]]:
    return [schema["function"] for schema in tools.schemas]


def _targets(function: Mapping[str, Any]) -> list[str]:
    return list(function["parameters"]["properties"].get("target", {}).get("enum", []))


def _aims(function: Mapping[str, Any]) -> list[str]:
    """All that a tool can be called with, empty for no target."""
    free = [] if "target" in function["parameters"]["required"] else [""]
    return free + _targets(function)


def _written(args: Any) -> str:
    return args if isinstance(args, str) else json.dumps(args, default=str)
