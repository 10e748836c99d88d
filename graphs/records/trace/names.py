"""How a trace's situations, calls and plans are named, and written in a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tutelage.graphs.records.trace.schema import TraceError

DASH: Final = "–"  # noqa: RUF001 - a dash for people

_CALL_ID: Final = re.compile(r"c(\d{1,18})")
_SITUATION_ID: Final = re.compile(r"\d{1,19}")


def call_id(number: int | None) -> str:
    """A call as people name it, which tells it from a situation."""
    return f"c{number}"


def read_id(text: str) -> tuple[int | None, int | None]:
    """The (situation, call) that an id names, one of them None. Raises TraceError for another."""
    call = _CALL_ID.fullmatch(text)
    if call:
        return None, int(call[1])
    if _SITUATION_ID.fullmatch(text):
        return int(text), None
    raise TraceError(
        f"{text!r} is no id; allowed: a situation's number or id, as in `trace list RUN`, "
        "or c and a call's number, as in `trace list RUN calls`"
    )


def one_line(text: str | None) -> str:
    """A situation's text in one line."""
    return "; ".join((text or DASH).splitlines())


@dataclass(frozen=True)
class ToldApart:
    """Situations' texts without what they have in common.

    common: the lines that all have, said once. labels: of the values in `parts`, where all texts
    have such values. parts: for each text what tells it from the others, in order.
    """

    common: list[str]
    labels: list[str]
    parts: list[list[str]]


def told_apart(texts: Sequence[str]) -> ToldApart:
    """What tells situations from each other: their texts' lines, but those that all have.

    A text of `label: value` lines keeps the values alone where the labels are those of all others.
    """
    lines = [text.splitlines() for text in texts]
    several = len(set(texts)) > 1
    shared = set.intersection(*map(set, lines)) if several else set()
    common = [line for line in (lines[0] if lines else []) if line in shared]
    parts = [[line for line in each if line not in shared] for each in lines]
    labels = {tuple(line.partition(": ")[0] for line in each if ": " in line) for each in parts}
    alike = all(": " in line for each in parts for line in each) and len(labels) == 1
    if not (several and alike):
        return ToldApart(common, [], parts)
    values = [[line.partition(": ")[2] for line in each] for each in parts]
    return ToldApart(common, list(labels.pop()), values)


def plan_line(steps: Iterable[Sequence[Any]]) -> str:
    """A plan's [option, target] steps in one line."""
    return " → ".join(f"{name}({target or ''})" for name, target in steps)


def plan_lines(plans: Sequence[Mapping[str, Any]] | None) -> str:
    """A distribution over plans, a line each."""
    if not plans:
        return DASH
    return "\n".join(f"{plan['p']:.2f} {plan_line(plan['plan'])}" for plan in plans)
