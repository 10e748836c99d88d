"""`trace show` at the terminal: a situation or a call as a tree, down to its history."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text
from rich.tree import Tree

from tutelage.agents.client.call_record import CACHED, NOBODY, STOOD_IN
from tutelage.graphs.analysis.trace_details import (
    content_of,
    details_of,
    mappings,
    mean_over_visits,
    tool_calls_of,
)
from tutelage.graphs.records.trace.names import call_id, plan_line
from tutelage.graphs.records.trace.records import ADVICE_REJECTED
from tutelage.graphs.records.trace.schema import TraceError
from tutelage.graphs.terminal.common.tables import new_table
from tutelage.graphs.terminal.common.text import console, percent, print_json, safe
from tutelage.graphs.terminal.trace.lines import (
    open_trace,
    rejection_line,
    span_line,
    sparkline,
    tokens_line,
)

_STRETCHES: Final = 12
"""Rows of the table of a situation's history."""
_FOLDED: Final = 400
"""Characters from which on a system prompt, or a model's reasoning, is folded."""
_BEGINNING: Final = 160
"""Characters of it that are shown then."""


def show(run: Path, id: str, brief: bool, full: bool, as_json: bool) -> None:
    """Show one situation or one call. brief: leave the prompts out. full: fold nothing.

    Raises RunFolderError or TraceError.
    """
    if brief and full:
        raise TraceError("--brief leaves out what --full shows; give one of them")
    with open_trace(run) as reader:
        details = details_of(reader, id)
    if as_json:
        print_json(details)
    else:
        console().print(tree_of(details, brief, full))


def tree_of(details: Mapping[str, Any], brief: bool, full: bool) -> Tree:
    """The tree of `trace show`. details: as `details_of` gives them; others as in `show`."""
    head = safe(f"situation {details['id']}", "bold")
    if details["rejection"] is not None:
        head.append("  ✗ its advice was rejected", "bold red")
    tree = Tree(head, guide_style="dim")
    panels = [Panel(safe(details["text"]), title="what the teacher is told", expand=False)]
    for example in details["examples"][:1]:
        title = f"such a state (iteration {example['iteration']})"
        panels.append(Panel(safe(example["picture"]), title=title, expand=False))
    tree.add(Group(*panels))
    _add_counts(tree, details["answer_counts"])
    _add_calls(tree, details, brief, full)
    _add_advice(tree, details)
    tree.add(Group(Text("history", style="bold"), history_view(details["history"])))
    return tree


def calls_tree(details: Mapping[str, Any], brief: bool) -> Tree:
    """Only how the teacher was asked, nothing folded; arguments as in `tree_of`."""
    tree = Tree(Text(), guide_style="dim", hide_root=True)
    _add_calls(tree, details, brief, full=True)
    return tree


def _add_counts(tree: Tree, counts: Sequence[Mapping[str, Any]]) -> None:
    """How often which plan was the answer."""
    if not counts:
        return
    asked = counts[0]["of_askings"]
    times = "once" if asked == 1 else f"{asked:,} times"
    branch = tree.add(Text(f"its answers, asked {times}", style="bold"))
    for count in counts:
        how_often = f"{count['samples']:,} of {count['of_samples']:,} samples"
        if asked > 1:
            how_often += f", in {count['askings']:,} of {asked:,} askings"
        plan = count["plan"]
        read = "no plan" if plan is None else plan_line(plan)
        branch.add(safe(f"{how_often}: {read}", "red" if plan is None else ""))


def _add_calls(tree: Tree, details: Mapping[str, Any], brief: bool, full: bool) -> None:
    before: list[Any] = []
    for call in details["calls_made"]:
        _add_call(tree, call, before, brief, full)
        before = [call["id"], *mappings(call["messages"])]
    if not details["calls_made"]:
        tree.add(Text("the teacher was not asked about it", style="dim"))
    for event in details["events"]:
        if event["kind"] != ADVICE_REJECTED:
            what = f"gave up, {event['kind']}"
            if event["kind"] in (STOOD_IN, NOBODY):
                what = f"{event['kind']}, {event['message']}"
            tree.add(safe(f"iteration {event['iteration']}: {event['node']}: {what}", "red"))


def _add_call(
    tree: Tree, call: Mapping[str, Any], before: Sequence[Any], brief: bool, full: bool
) -> None:
    """A request as a branch. before: the previous one's id and messages, not to be repeated."""
    head = (
        f"call {call_id(call['id'])} · iteration {call['iteration']} · {call['node']} · "
        f"{call['provider']} · try {call['attempt']} · {call['status']} · "
        f"{call['latency_s']:.2f} s · "
        f"tokens {tokens_line(call['prompt_tokens'], call['completion_tokens'])}{_cost(call)}"
    )
    branch = tree.add(safe(head, "bold green" if call["error"] is None else "bold red"))
    if call["error"]:
        branch.add(safe(call["error"], "red"))
    if not brief:
        _add_prompt(branch, mappings(call["messages"]), before, full)
    offered = ", ".join(_tool_name(tool) for tool in mappings(call["tools"]))
    branch.add(safe(f"tools on offer: {offered or 'none'}"))
    branch.add(safe(f"settings: {json.dumps(call['settings'])}"))
    _add_answers(branch, call, full)


def _cost(call: Mapping[str, Any]) -> str:
    """What a call that was answered cost; a replayed one made no request."""
    if call["status"] == CACHED or not call["answers"]:
        return ""
    known = call["cost_usd"]
    return " · cost not known" if known is None else f" · {known:.4f} USD"


def _add_answers(branch: Tree, call: Mapping[str, Any], full: bool) -> None:
    """The answers of a call; those that are the same are told once, and how many they are."""
    answers = mappings(call["answers"])
    plans = call["plans"] if isinstance(call["plans"], list) else []
    same: dict[tuple[str, ...], list[int]] = {}
    for i, answer in enumerate(answers):
        plan = json.dumps(plans[i]) if i < len(plans) else ""
        thoughts = str(call["reasoning"][i]) if full else ""
        lines = (line.plain for line in _answer_lines(answer))
        key = (plan, thoughts, str(call["finish_reasons"][i]), *lines)
        same.setdefault(key, []).append(i)
    for places in same.values():
        first = places[0]
        answered = branch.add(safe(_answers_title(places, len(answers))))
        if call["reasoning"][first] is not None:
            answered.add(_folded("reasoning", call["reasoning"][first], full))
        for line in _answer_lines(answers[first]):
            answered.add(line)
        if call["finish_reasons"][first] is not None:
            answered.add(safe(f"finish reason: {call['finish_reasons'][first]}", "dim"))
        if first < len(plans):
            plan = plans[first]
            read = "no plan" if plan is None else f"plan: {plan_line(plan)}"
            answered.add(safe(read, "red" if plan is None else "bold"))


def _answers_title(places: Sequence[int], count: int) -> str:
    named = ", ".join(str(place + 1) for place in places)
    if len(places) == 1:
        return f"answer {named}"
    if len(places) == count:
        return f"answers 1 to {count}: all {count} the same"
    return f"answers {named}: {len(places)} of {count} the same"


def _add_prompt(
    branch: Tree, messages: list[Mapping[str, Any]], before: Sequence[Any], full: bool
) -> None:
    """The messages, of which those that the previous call had too are only pointed to."""
    same = 0
    while same < min(len(messages), len(before) - 1) and messages[same] == before[same + 1]:
        same += 1
    prompt = branch.add("prompt")
    if same:
        what = "message 1" if same == 1 else f"messages 1 to {same}"
        prompt.add(Text(f"{what} as in {call_id(before[0])}", style="dim"))
    for message in messages[same:]:
        if message.get("role") == "system":
            prompt.add(_folded("system", content_of(message), full))
        else:
            prompt.add(Group(*_message_lines(message)))


def _folded(title: str, text: str, full: bool) -> RenderableType:
    """A text that is as long as a page, folded: how it begins, and how to see all of it."""
    if full or len(text) <= _FOLDED:
        return Group(safe(title, "bold"), safe(text))
    lines = "a line" if "\n" not in text else f"{len(text.splitlines()):,} lines"
    begins = " ".join(text[:_FOLDED].split())[:_BEGINNING].rstrip()
    size = f"{len(text):,} characters in {lines}; --full shows them"
    return Group(
        Text.assemble(safe(title, "bold"), (f"  {size}", "dim")), safe(f"{begins} …", "dim")
    )


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


def _add_advice(tree: Tree, details: Mapping[str, Any]) -> None:
    given, rejection = details["advice_given"], details["rejection"]
    branch = tree.add(Text("advice", style="bold"))
    for advice in given:
        source = branch.add(safe(f"iteration {advice['iteration']}, from {advice['source']}"))
        for plan in advice["plans"]:
            source.add(safe(f"{plan['p']:.2f}  {plan_line(plan['plan'])}"))
    if not given:
        branch.add(Text("none: these states were learned from reward alone"))
    if rejection is not None:
        line = f"✗ {rejection_line(rejection)}; not followed since iteration "
        branch.add(safe(f"{line}{rejection['iteration']}", "bold red"))


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
