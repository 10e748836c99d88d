"""Traces at the terminal: a table of situations, and everything about one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from graphs.views.text import percent, safe
from rl.runfolder import RunFolder
from rl.trace import CallRecord, SituationSummary, TraceReader


class UnknownSituationError(ValueError):
    """No situation of that number in the trace."""


def open_trace(run: Path) -> TraceReader:
    """The trace of a run folder. Raises RunFolderError or TraceError."""
    return TraceReader(RunFolder.open(run).trace)


def situation_rows(reader: TraceReader) -> list[dict[str, Any]]:
    """Every situation as plain values, numbered from 1, the most visited first."""
    return [
        {"id": number, **_plain(situation)}
        for number, situation in enumerate(reader.situations(), start=1)
    ]


def print_situations(console: Console, rows: list[dict[str, Any]]) -> None:
    """The table of `trace list`."""
    table = Table(title="Situations, the most visited first")
    for name in ("id", "situation", "advice"):
        table.add_column(name, overflow="fold")
    for name in ("from", "calls", "failed", "visits", "m", "agree", "success"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            str(row["id"]),
            safe(row["text"]),
            safe(_plans(row["plans"])),
            safe(", ".join(row["sources"]) or "–"),  # noqa: RUF001 - a dash for people
            f"{row['calls']:,}",
            f"{row['failures']:,}",
            f"{row['visits']:,}",
            percent(row["mass"]),
            percent(row["agreement"]),
            percent(row["successes"] / row["episodes"] if row["episodes"] else None),
        )
    console.print(table)
    console.print(Text("one of them in full: python cli.py trace show RUN ID", style="dim"))


def situation_details(reader: TraceReader, number: int) -> dict[str, Any]:
    """All that the trace holds about one situation.

    number: its id in `trace list`, or its signature, which stays the same while a run goes on.
    Raises UnknownSituationError.
    """
    situations = reader.situations()
    ids = {s.signature: i for i, s in enumerate(situations, start=1)}
    position = ids.get(number, number)
    if not 1 <= position <= len(situations):
        allowed = f"1 to {len(situations)}" if situations else "none, the trace holds no situation"
        raise UnknownSituationError(f"no situation {number} in {reader.path}; allowed: {allowed}")
    situation = situations[position - 1]
    signature = situation.signature
    return {
        "id": position,
        **_plain(situation),
        "examples": [asdict(example) for example in reader.examples(signature)],
        "calls_made": [asdict(call) for call in reader.calls(signature)],
        "advice_given": [asdict(advice) for advice in reader.advice(signature)],
        "history": [asdict(visit) for visit in reader.visits(signature)],
    }


def print_situation(console: Console, details: Mapping[str, Any], brief: bool) -> None:
    """The tree of `trace show`: situation, prompt, answer, tool calls, advice, what came of it.

    brief: leave the prompt out.
    """
    console.print(Rule(safe(f"situation {details['id']}")))
    console.print(Panel(safe(details["text"]), title="what the teacher is told", expand=False))
    for example in details["examples"][:1]:
        title = f"such a state (iteration {example['iteration']})"
        console.print(Panel(safe(example["picture"]), title=title, expand=False))
    for call in details["calls_made"]:
        console.print(_call_tree(CallRecord(**call), brief))
    if not details["calls_made"]:
        console.print(Text("the teacher was not asked about it", style="dim"))
    console.print(_advice_tree(details))
    console.print(_history(details["history"]))


def _call_tree(call: CallRecord, brief: bool) -> Tree:
    tokens = f"{call.prompt_tokens or 0:,} tokens in, {call.completion_tokens or 0:,} out"
    head = (
        f"call {call.id} · iteration {call.iteration} · {call.provider} · try {call.attempt} · "
        f"{call.status} · {call.latency_s:.2f} s · {tokens}"
    )
    tree = Tree(safe(head, "bold green" if call.error is None else "bold red"))
    if call.error:
        tree.add(safe(call.error, "red"))
    if not brief:
        messages = tree.add("messages")
        for message in call.messages:
            messages.add(_message(message))
    tools = ", ".join(_tool_name(tool) for tool in call.tools)
    tree.add(safe(f"tools on offer: {tools or 'none'}"))
    tree.add(safe(f"settings: {json.dumps(call.settings)}"))
    for index, answer in enumerate(call.answers, start=1):
        branch = tree.add(f"answer {index}")
        for line in _answer_lines(answer):
            branch.add(line)
    return tree


def _message(message: Mapping[str, Any]) -> RenderableType:
    return Group(safe(str(message.get("role", "?")), "bold"), safe(str(message.get("content", ""))))


def _tool_name(tool: Mapping[str, Any]) -> str:
    return str(tool.get("function", tool).get("name", "?"))


def _answer_lines(answer: Mapping[str, Any]) -> Iterator[Text]:
    if answer.get("content"):
        yield safe(f"text: {answer['content']}")
    for call in answer.get("tool_calls", []):
        yield safe(f"{call.get('name')}({json.dumps(call.get('args', {}))})", "cyan")
    for key in ("invalid_tool_calls", "refusal"):
        if answer.get(key):
            yield safe(f"{key}: {answer[key]}", "red")


def _advice_tree(details: Mapping[str, Any]) -> Tree:
    tree = Tree("advice", style="bold")
    for given in details["advice_given"]:
        branch = tree.add(
            safe(f"iteration {given['iteration']}, from {given['source']}", "not bold")
        )
        for plan in given["plans"]:
            branch.add(safe(f"{plan['p']:.2f}  {_plan(plan)}", "not bold"))
    if not details["advice_given"]:
        tree.add(Text("none: these states were learned from reward alone", style="not bold"))
    return tree


def _history(visits: list[dict[str, Any]]) -> Table:
    """What came of it, in at most a dozen stretches of iterations."""
    table = Table(title="what came of it", title_justify="left")
    for name in ("iterations", "visits", "m", "agreement", "episodes", "success"):
        table.add_column(name, justify="right")
    size = -(-len(visits) // 12) or 1
    for start in range(0, len(visits), size):
        part = visits[start : start + size]
        episodes = sum(visit["episodes"] for visit in part)
        successes = sum(visit["successes"] for visit in part)
        table.add_row(
            f"{part[0]['iteration']} to {part[-1]['iteration']}",
            f"{sum(visit['visits'] for visit in part):,}",
            percent(_mean(part, "mass")),
            percent(_mean(part, "agreement")),
            f"{episodes:,}",
            percent(successes / episodes if episodes else None),
        )
    return table


def _mean(visits: list[dict[str, Any]], name: str) -> float | None:
    """The mean over visits; None where no stretch has the figure."""
    counted = [visit for visit in visits if visit[name] is not None]
    total = sum(visit["visits"] for visit in counted)
    return sum(visit[name] * visit["visits"] for visit in counted) / total if total else None


def _plain(situation: SituationSummary) -> dict[str, Any]:
    return {**asdict(situation), "sources": dict(situation.sources)}


def _plans(plans: list[dict[str, Any]] | None) -> str:
    if not plans:
        return "–"  # noqa: RUF001 - a dash for people
    return "\n".join(f"{plan['p']:.2f} {_plan(plan)}" for plan in plans)


def _plan(plan: Mapping[str, Any]) -> str:
    return " → ".join(f"{name}({target or ''})" for name, target in plan["plan"])
