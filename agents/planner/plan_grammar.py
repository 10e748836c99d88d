"""A plan in plain text, for models that know neither tools nor JSON: one line, strictly read.

    answer = { line } plan                     the last line that is neither blank nor a fence
    plan   = "plan:" step { ";" step }         the word in any case
    step   = name "(" [ target ] ")"
    name   = bare
    target = bare | a JSON string              for a target that `bare` cannot hold
    bare   = characters other than " ( ) ; \\ and line breaks, no blank at either end

A name holds no blanks and none of Markdown's marks but `_`. Lines before the plan are the model's
own thoughts: they are not read. Markdown around the line, the word or a step is passed over, as in
**Plan:** `go_to(red key)`.
"""

from __future__ import annotations

import json
import re
from typing import Final

from tutelage.agents.client.errors import UnusableAnswer

Step = tuple[str, str]
"""A tool's name and its target, empty for none."""

_PLAN: Final = re.compile(r"[ \t>#*_`-]*plan[*_`]*:(.*)\Z", re.IGNORECASE | re.DOTALL)
_STEP: Final = re.compile(
    r"""[ \t*`]*([^\s"();\\*`]+)[ \t]*\("""
    r"""[ \t]*("(?:[^"\\]|\\.)*"|[^"();\\\r\n]*?)[ \t]*\)[ \t*`]*(;|_*[ \t]*\Z)"""
)
_FENCE: Final = re.compile(r"\s*```\w*\s*\Z")
_BARE: Final = re.compile(r"[^\s\"();\\](?:[^\"();\\\r\n]*[^\s\"();\\])?")


def write_step(name: str, target: str) -> str:
    """A step as the grammar has it; the target quoted where it has to be."""
    needs_quotes = target and (not _BARE.fullmatch(target) or not target.isprintable())
    return f"{name}({json.dumps(target) if needs_quotes else target})"


def read_plan(text: str) -> list[Step]:
    """The steps of an answer's plan, at least one. Raises UnusableAnswer."""
    lines = [line for line in text.split("\n") if line.strip() and not _FENCE.match(line)]
    found = _PLAN.match(lines[-1].rstrip()) if lines else None
    if found is None:
        raise UnusableAnswer('the last line is no plan; it must begin with "plan:"', shapeless=True)
    return _steps(found[1])


def _steps(line: str) -> list[Step]:
    steps: list[Step] = []
    place, more = 0, True
    while more:
        found = _STEP.match(line, place)
        if found is None:
            raise UnusableAnswer(
                f"step {len(steps) + 1} of the plan is not of the form name(target)", shapeless=True
            )
        steps.append((found[1], _target(found[2])))
        place, more = found.end(), found[3] == ";"
    return steps


def _target(written: str) -> str:
    if not written.startswith('"'):
        return written
    try:
        return str(json.loads(written))
    except ValueError:
        raise UnusableAnswer("a quoted target is no JSON string", shapeless=True) from None
