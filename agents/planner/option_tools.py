"""Options as tools: what a model may call, and the plan that its calls make.

Options of one name become one tool; what they may be aimed at becomes its argument `target`, an
enumeration. Whatever comes back is data: it is looked up in what was on offer, never evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage

from tutelage.agents.client.errors import UnusableAnswer
from tutelage.agents.planner.sloppy_calls import (
    AmbiguousArgumentsError,
    bare_name,
    folded,
    target_in,
)
from tutelage.agents.planner.text_tool_calls import calls_in
from tutelage.rl.tasks.options import Option, Plan

_MAX_TOOL_NAME: Final = 64
"""The longest function name that OpenAI's protocol allows."""


def calls_of(message: AIMessage) -> list[tuple[str, Any]]:
    """A message's tool calls as (bare tool name, arguments), also those written as text.

    Raises UnusableAnswer for one whose arguments are broken.
    """
    if message.invalid_tool_calls:
        name = message.invalid_tool_calls[0].get("name")
        raise UnusableAnswer(f"malformed arguments for tool {_shown(name)}", shapeless=True)
    if message.tool_calls:
        return [(bare_name(call["name"]), call["args"]) for call in message.tool_calls]
    return [(bare_name(name), args) for name, args in calls_in(str(message.text))]


def option_help(options: Sequence[Option]) -> str:
    """A line for each name among the options, with what it does.

    Where that depends on the target, a line for each target follows.
    """
    named: dict[str, list[Option]] = {}
    for option in options:
        named.setdefault(option.name, []).append(option)
    return "\n".join(
        f"- {name}({'target' if any(o.target is not None for o in alike) else ''}): {_help(alike)}"
        for name, alike in named.items()
    )


def closed_object(properties: Mapping[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    """The JSON schema of an object that has these properties and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def tool_schema(
    name: str,
    description: str,
    properties: Mapping[str, Any] | None = None,
    required: Sequence[str] = (),
) -> dict[str, Any]:
    """A tool in OpenAI's form. properties: of its arguments, none unless given."""
    parameters = closed_object(properties or {}, required)
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


class OptionTools:
    """The options on offer in one situation, as tools.

    schemas: the tools in OpenAI's form, in the order in which the names first appear.
    """

    def __init__(self, options: Sequence[Option]) -> None:
        self._offers: dict[str, list[Option]] = {}
        tool_of: dict[str, str] = {}
        for option in options:
            if option.name not in tool_of:
                tool_of[option.name] = tool_name(option.name, self._offers)
            self._offers.setdefault(tool_of[option.name], []).append(option)
        self.schemas = [_schema(tool, offered) for tool, offered in self._offers.items()]

    def plan_of(self, message: AIMessage, max_options: int) -> Plan:
        """The plan that a message's tool calls make. Raises UnusableAnswer."""
        return self.plan_of_calls(calls_of(message), max_options)

    def plan_of_calls(self, calls: Sequence[tuple[str, Any]], max_options: int) -> Plan:
        """The plan that (bare tool name, arguments) pairs make, repeats in a row counted once.

        Raises UnusableAnswer where there is none, one is not on offer, or there are too many.
        """
        steps: list[Option] = []
        for name, args in calls:
            option = self._option(name, args)
            if not steps or steps[-1] != option:
                steps.append(option)
        if not steps:
            raise UnusableAnswer("no tool call", shapeless=True)
        if len(steps) > max_options:
            raise UnusableAnswer(f"{len(steps)} options; allowed: at most {max_options}")
        return tuple(steps)

    def _option(self, name: str, args: Any) -> Option:
        """The option on offer that a call names. Case and outer blanks of a target are ignored.

        Models often send an empty target to a tool that takes none: that counts as none. See
        `sloppy_calls` for what else is understood.
        """
        offered = self._offers.get(name)
        if offered is None:
            raise UnusableAnswer(f"unknown tool {_shown(name)}; allowed: {', '.join(self._offers)}")
        elsewhere = [t for tool in self._offers if tool != name for t in self._targets(tool)]
        try:
            target = target_in(args, name, self._targets(name), elsewhere)
        except AmbiguousArgumentsError:
            raise UnusableAnswer(
                f"malformed arguments for tool {_shown(name)}: {_shown(args)}"
            ) from None
        if target is not None and not isinstance(target, str):
            raise UnusableAnswer(f"malformed target for tool {_shown(name)}: {_shown(target)}")
        matches = [option for option in offered if (option.target or "") == (target or "")]
        matches += [option for option in offered if folded(option.target) == folded(target)]
        if matches:
            return matches[0].bare()
        allowed = ", ".join(option.target or "none" for option in offered)
        raise UnusableAnswer(
            f"unknown target {_shown(target)} for tool {name}; allowed: {allowed}",
            shapeless=target is None,
        )

    def _targets(self, tool: str) -> list[str]:
        return [option.target for option in self._offers[tool] if option.target is not None]


def tool_name(name: str, taken: Collection[str] = ()) -> str:
    """An option's name as a function name that the protocol allows and that is not taken."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_MAX_TOOL_NAME] or "option"
    unique, count = plain, 1
    while unique in taken:
        count += 1
        suffix = f"_{count}"
        unique = plain[: _MAX_TOOL_NAME - len(suffix)] + suffix
    return unique


def _schema(tool: str, offered: Sequence[Option]) -> dict[str, Any]:
    """One tool in OpenAI's form."""
    targets = [option.target for option in offered if option.target is not None]
    target = {
        "type": "string",
        "enum": targets,
        "description": "What the option is aimed at.",
    }
    return tool_schema(
        tool,
        _help(offered),
        {"target": target} if targets else {},
        required=["target"] if len(targets) == len(offered) else [],
    )


def _help(alike: Sequence[Option]) -> str:
    """What options of one name do: in one line where they have one help, else one per target."""
    told = {option: " ".join(option.help.split()) for option in alike}
    different = list(dict.fromkeys(said for said in told.values() if said))
    general = f"Carry out the task's option '{alike[0].name}'."
    if len(different) < 2:
        return different[0] if different else general
    lines = [f"  {_aimed_at(option)}: {said}" for option, said in told.items() if said]
    return "\n".join((general, *lines))


def _aimed_at(option: Option) -> str:
    return "without a target" if option.target is None else " ".join(option.target.split())


def _shown(value: object) -> str:
    """A value from outside, short and without control characters."""
    return repr(value)[:80]
