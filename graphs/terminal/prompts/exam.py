"""The teacher's exam at the terminal: progress, a table to compare by, and the mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

from tutelage.agents.exam.exam import Item, Marked
from tutelage.graphs.analysis.exams import (
    ALL,
    METHODS,
    Contender,
    Difference,
    Score,
    contenders,
    differences,
    examine,
    mistakes,
    scores,
    selected,
)
from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.records.trace.names import DASH
from tutelage.graphs.terminal.common.tables import WIDE, new_table
from tutelage.graphs.terminal.common.text import console, percent, print_json, safe

_GOOD, _POOR = 0.95, 0.75
"""Shares of sensible plans from which a score is shown in green, and below which in red."""

_SPARED: Final = frozenset({"requests", "tokens in", "out", "time"})
"""Columns of the table that a narrow terminal goes without."""


def show(
    config: RunConfig,
    providers: Sequence[str],
    folders: Sequence[Path],
    tasks: Sequence[str],
    limit: int | None,
    wrong: bool,
    as_json: bool,
) -> None:
    """Let every contender take the exam and print their scores side by side.

    Raises ConfigError, PromptError or ProviderError.
    """
    asked = selected(tasks, limit)
    marked = _examined(contenders(config, providers, folders, asked), asked, config)
    if as_json:
        print_json(_as_json(marked, len(asked)))
        return
    out = console()
    out.print(_table(marked, out.width >= WIDE))
    out.print(safe("in brackets: the 95 % interval over the situations", "dim"), soft_wrap=True)
    for difference in differences(marked):
        out.print(_difference_line(difference), soft_wrap=True)
    if others := [contender.name for contender, _ in marked if not contender.reads_prompts]:
        out.print(_no_readers_line(others, len(folders)), soft_wrap=True)
    if wrong:
        for contender, marks in marked:
            _print_mistakes(out, contender, mistakes(marks), alone=len(marked) == 1)
    elif any(mistakes(marks) for _, marks in marked):
        out.print(safe("--wrong lists what was not sensible, and why", "dim"))


def _examined(
    entered: Sequence[Contender], asked: Sequence[Item], config: RunConfig
) -> list[tuple[Contender, list[Marked]]]:
    found = []
    err = console(stderr=True)
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        for contender in entered:
            row = progress.add_task(str(safe(contender.name)), total=len(asked))

            def advance(done: int, row: TaskID = row) -> None:
                progress.update(row, completed=done)

            found.append((contender, examine(contender, asked, config, advance)))
    return found


def _as_json(marked: Sequence[tuple[Contender, list[Marked]]], situations: int) -> dict[str, Any]:
    return {
        "situations": situations,
        "methods": METHODS,
        "differences": [asdict(each) for each in differences(marked)],
        "contenders": [
            {
                "name": contender.name,
                "provider": contender.provider.name,
                "model": contender.provider.model_name,
                "reads_prompts": contender.reads_prompts,
                "prompts": {n: str(p) for n, p in contender.library.sources().items()},
                "scores": [asdict(score) for score in scores(marks)],
                "mistakes": mistakes(marks),
            }
            for contender, marks in marked
        ],
    }


def _difference_line(difference: Difference) -> Text:
    """Which of two did better in the same situations, as far as these can tell."""
    low, high = difference.sensible_ci95
    what = "no clear difference" if low <= 0 <= high else "better" if low > 0 else "worse"
    shade = {"better": "green", "worse": "red"}.get(what, "bold")
    figures = f"{100 * difference.sensible:+.1f} points sensible (95 % {100 * low:+.1f} to "
    head = f"{difference.contender} against {difference.against}, the same "
    head += f"{difference.situations:,} situations: "
    return Text.assemble(safe(head), safe(f"{figures}{100 * high:+.1f}): "), (what, shade))


def _no_readers_line(names: Sequence[str], folders: int) -> Text:
    read = "reads" if len(names) == 1 else "read"
    line = (
        f"{', '.join(names)} {read} no prompts, only the situation: nothing here is about prompts"
    )
    once = f"; asked once for all {folders} sets of them" if folders > 1 else ""
    return safe(f"{line}{once}", "magenta")


def _table(marked: Sequence[tuple[Contender, list[Marked]]], wide: bool) -> Table:
    """A row for each task and contender, those of one task below each other."""
    several = len(marked) > 1
    names = ["task", "teacher"] if several else ["task"]
    columns = [(contender, scores(marks)) for contender, marks in marked]
    shown = [name for name in _cells(columns[0][1][0]) if wide or name not in _SPARED]
    table = new_table([*names, *shown], words=names)
    tasks = len(columns[0][1])
    for row in range(tasks):
        for place, (contender, column) in enumerate(columns):
            style = "bold" if column[row].task == ALL else ""
            who = [safe(column[row].task if place == 0 else "")]
            who += [safe(contender.name)] if several else []
            cells = _cells(column[row])
            last = place == len(columns) - 1 and (several or row == tasks - 2)
            figures = (cells[heading] for heading in shown)
            table.add_row(*who, *figures, style=style, end_section=last)
    return table


def _cells(score: Score) -> dict[str, Text]:
    """The cells of a score by their headings. Shares are coloured: they are what is compared."""
    shade = "green" if score.sensible >= _GOOD else "red" if score.sensible < _POOR else "yellow"
    return {
        "n": safe(str(score.situations)),
        "sensible": safe(_with_interval(score.sensible, score.sensible_ci95), shade),
        "no plan": safe(
            _with_interval(score.unusable, score.unusable_ci95), "red" if score.unusable > 0 else ""
        ),
        "requests": safe(f"{score.requests:,}"),
        "tokens in": safe(_count(score.prompt_tokens)),
        "out": safe(_count(score.completion_tokens)),
        "cost": safe("not known" if score.cost_usd is None else f"${score.cost_usd:.4f}"),
        "time": safe(DASH if score.latency_s is None else f"{score.latency_s:.2f} s"),
    }


def _with_interval(share: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{percent(share)} ({100 * low:.0f} to {100 * high:.0f})"


def _count(number: int | None) -> str:
    return DASH if number is None else f"{number:,}"


def _print_mistakes(
    out: Console, contender: Contender, missed: Sequence[Mapping[str, Any]], alone: bool
) -> None:
    """Print each situation with an answer that is not sensible, and what would have been."""
    title = "not sensible" if alone else f"not sensible: {contender.name}"
    out.print(safe(title if missed else f"{title}: nothing", "bold"), soft_wrap=True)
    for row in missed:
        out.print()
        out.print(safe(f"{row['task']}, {percent(row['sensible_share'])} sensible", "cyan"))
        for line in row["situation"].splitlines():
            out.print(safe(f"  {line}", "dim"), soft_wrap=True)
        for answer in row["wrong"]:
            plan = ", ".join(answer["plan"])
            out.print(safe(f"  {percent(answer['share']):>8}  {plan}", "red"))
        if row["unusable_share"] > 0:
            reason = row["error"] or row["failure"] or "no plan"
            share = percent(row["unusable_share"])
            out.print(safe(f"  {share:>8}  no plan: {reason}", "red"))
        good = " or ".join(", ".join(plan) for plan in row["sensible"])
        out.print(safe(f"  sensible  {good}", "green"))
        out.print(safe(f"            {row['why']}"))
