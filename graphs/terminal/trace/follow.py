"""`trace follow` at the terminal: a line or two for whatever happens in a run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from rich.text import Text

from tutelage.graphs.analysis.trace_following import Item, follow
from tutelage.graphs.records.trace.names import call_id, one_line, plan_line
from tutelage.graphs.records.trace.records import ADVICE_REJECTED, TEACHER_REJECTED
from tutelage.graphs.terminal.common.text import console, percent, safe
from tutelage.graphs.terminal.trace.lines import tokens_line
from tutelage.graphs.terminal.trace.listing import status_text

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


def show(run: Path, last: int, as_json: bool) -> int:
    """Show what happens until the run ends; the exit code, 0 or 130 after Ctrl-C."""
    out = console()
    try:
        for item in follow(run, last, time.sleep):
            if as_json:
                print(json.dumps(item, default=str), flush=True)
            else:
                for line in lines_of(item):
                    out.print(line, soft_wrap=True)
                out.file.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def lines_of(item: Item) -> Iterator[Text]:
    """What people see of one thing that happened."""
    if item["type"] == "call":
        yield from _call_lines(item)
    elif item["type"] == "event":
        rejected = item["kind"] in (ADVICE_REJECTED, TEACHER_REJECTED)
        head = f"iteration {item['iteration']} · {item['node']}: "
        kind = status_text(item["kind"]).plain if rejected else item["kind"]
        yield safe(f"{head}{kind}, {item['message']}", "red" if rejected else "magenta")
        if item["situation"] is not None:
            yield safe(f"    {item['situation']}: {one_line(item['text'])}", "dim")
    elif item["type"] == "iteration":
        yield safe(
            f"iteration {item['iteration']} · {item['visits']:,} visits · "
            f"coverage {percent(item['coverage'])} · agreement {percent(item['agreement'])}",
            "dim",
        )
    else:
        yield safe(item["message"], "bold")


def _call_lines(call: Item) -> Iterator[Text]:
    head = Text(f"{call_id(call['id'])} ", style="bold")
    head.append_text(status_text(call["status"]))
    head.append_text(
        safe(
            f" · iteration {call['iteration']} · {call['node']} · {call['provider']} · "
            f"{call['latency_s']:.2f} s · tokens "
            f"{tokens_line(call['prompt_tokens'], call['completion_tokens'])}"
        )
    )
    yield head
    yield safe(f"    {call['situation']}: {one_line(call['text'])}", "dim")
    if call["error"]:
        yield safe(f"    {one_line(call['error'])}", "red")
    plans = call["plans"] if isinstance(call["plans"], list) else []
    read = [plan_line(plan) for plan in plans if plan is not None]
    for plan in dict.fromkeys(read):
        yield safe(f"    {read.count(plan)} of {len(plans)}  {plan}", "cyan")
