"""`trace show` at the terminal: a situation or a call as a tree, down to its history."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Group
from rich.panel import Panel
from rich.text import Text
from rich.tree import Tree

from tutelage.agents.client.call_record import CallRecord
from tutelage.graphs.analysis.trace_details import (
    content_of,
    details_of,
    mappings,
    mean_over_visits,
    tool_calls_of,
)
from tutelage.graphs.records.trace.names import call_id, plan_line
from tutelage.graphs.terminal.common.tables import new_table
from tutelage.graphs.terminal.common.text import console, percent, print_json, safe
from tutelage.graphs.terminal.trace.lines import open_trace, span_line, sparkline, tokens_line

_STRETCHES: Final = 12
"""Rows of the table of a situation's history."""


def show(run: Path, id: str, brief: bool, as_json: bool) -> None:
    """Show one situation or one call. brief: leave the prompts out.

    Raises RunFolderError or TraceError.
    """
    with open_trace(run) as reader:
        details = details_of(reader, id)
    if as_json:
        print_json(details)
    else:
        console().print(tree_of(details, brief))


def tree_of(details: Mapping[str, Any], brief: bool) -> Tree:
    """The tree of `trace show`. details: as `details_of` gives them; brief: without the prompts."""
    tree = Tree(safe(f"situation {details['id']}", "bold"), guide_style="dim")
    panels = [Panel(safe(details["text"]), title="what the teacher is told", expand=False)]
    for example in details["examples"][:1]:
        title = f"such a state (iteration {example['iteration']})"
        panels.append(Panel(safe(example["picture"]), title=title, expand=False))
    tree.add(Group(*panels))
    _add_calls(tree, details, brief)
    _add_advice(tree, details["advice_given"])
    tree.add(Group(Text("history", style="bold"), history_view(details["history"])))
    return tree


def calls_tree(details: Mapping[str, Any], brief: bool) -> Tree:
    """Only how the teacher was asked; arguments as in `tree_of`."""
    tree = Tree(Text(), guide_style="dim", hide_root=True)
    _add_calls(tree, details, brief)
    return tree


def _add_calls(tree: Tree, details: Mapping[str, Any], brief: bool) -> None:
    before: list[Any] = []
    for values in details["calls_made"]:
        call = CallRecord(**values)
        _add_call(tree, call, before, brief)
        before = [call.id, *mappings(call.messages)]
    if not details["calls_made"]:
        tree.add(Text("the teacher was not asked about it", style="dim"))
    for event in details["events"]:
        line = f"iteration {event['iteration']}: {event['node']} gave up, {event['kind']}"
        tree.add(safe(line, "red"))


def _add_call(tree: Tree, call: CallRecord, before: Sequence[Any], brief: bool) -> None:
    """A request as a branch. before: the previous one's id and messages, not to be repeated."""
    head = (
        f"call {call_id(call.id)} · iteration {call.iteration} · {call.node} · {call.provider} · "
        f"try {call.attempt} · {call.status} · {call.latency_s:.2f} s · "
        f"tokens {tokens_line(call.prompt_tokens, call.completion_tokens)}"
    )
    branch = tree.add(safe(head, "bold green" if call.error is None else "bold red"))
    if call.error:
        branch.add(safe(call.error, "red"))
    if not brief:
        _add_prompt(branch, mappings(call.messages), before)
    offered = ", ".join(_tool_name(tool) for tool in mappings(call.tools))
    branch.add(safe(f"tools on offer: {offered or 'none'}"))
    branch.add(safe(f"settings: {json.dumps(call.settings)}"))
    plans = call.plans if isinstance(call.plans, list) else []
    for index, answer in enumerate(mappings(call.answers)):
        answered = branch.add(f"answer {index + 1}")
        for line in _answer_lines(answer):
            answered.add(line)
        if index < len(plans):
            plan = plans[index]
            read = "no plan" if plan is None else f"plan: {plan_line(plan)}"
            answered.add(safe(read, "red" if plan is None else "bold"))


def _add_prompt(branch: Tree, messages: list[Mapping[str, Any]], before: Sequence[Any]) -> None:
    """The messages, of which those that the previous call had too are only pointed to."""
    same = 0
    while same < min(len(messages), len(before) - 1) and messages[same] == before[same + 1]:
        same += 1
    prompt = branch.add("prompt")
    if same:
        what = "message 1" if same == 1 else f"messages 1 to {same}"
        prompt.add(Text(f"{what} as in {call_id(before[0])}", style="dim"))
    for message in messages[same:]:
        prompt.add(Group(*_message_lines(message)))


def _message_lines(message: Mapping[str, Any]) -> Iterator[Text]:
    """One message: who speaks, what is said, which tools are called, what a tool gave back."""
    yield safe(str(message.get("role", "?")), "bold")
    if content := content_of(message):
        yield safe(content)
    for _, name, arguments in tool_calls_of(message):
        yield safe(f"{name}({arguments})", "cyan")


def _tool_name(tool: Mapping[str, Any]) -> str:
    inner = tool.get("function", tool)
    return str(inner.get("name", "?")) if isinstance(inner, Mapping) else "?"


def _answer_lines(answer: Mapping[str, Any]) -> Iterator[Text]:
    if content := content_of(answer):
        yield safe(f"text: {content}")
    for _, name, arguments in tool_calls_of(answer):
        yield safe(f"{name}({arguments})", "cyan")
    for key in ("invalid_tool_calls", "refusal"):
        if answer.get(key):
            yield safe(f"{key}: {answer[key]}", "red")


def _add_advice(tree: Tree, given: Sequence[Mapping[str, Any]]) -> None:
    branch = tree.add(Text("advice", style="bold"))
    for advice in given:
        source = branch.add(safe(f"iteration {advice['iteration']}, from {advice['source']}"))
        for plan in advice["plans"]:
            source.add(safe(f"{plan['p']:.2f}  {plan_line(plan['plan'])}"))
    if not given:
        branch.add(Text("none: these states were learned from reward alone"))


def history_view(visits: Sequence[Mapping[str, Any]]) -> Group:
    """Visits, agreement and success, in at most a dozen stretches of iterations."""
    size = -(-len(visits) // _STRETCHES) or 1
    stretches = [visits[start : start + size] for start in range(0, len(visits), size)]
    headings = ("iterations", "visits", "coverage", "agreement", "episodes", "success")
    table = new_table(headings, words=())
    agreements, successes = [], []
    for part in stretches:
        episodes = sum(visit["episodes"] for visit in part)
        won = sum(visit["successes"] for visit in part)
        agreements.append(mean_over_visits(part, "agreement"))
        successes.append(won / episodes if episodes else None)
        table.add_row(
            span_line(part[0]["iteration"], part[-1]["iteration"]),
            f"{sum(visit['visits'] for visit in part):,}",
            percent(mean_over_visits(part, "coverage")),
            percent(agreements[-1]),
            f"{episodes:,}",
            percent(successes[-1]),
        )
    if not stretches:
        return Group(Text("it was not visited"))
    bars = f"agreement {sparkline(agreements)}   success {sparkline(successes)}"
    return Group(Text(bars, style="cyan"), table)
