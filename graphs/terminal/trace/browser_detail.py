"""The detail beside the list of a trace's browser: situation, example state, plans, history."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from tutelage.graphs.analysis.browsing import Detail, Example
from tutelage.graphs.terminal.common.decision_view import (
    STUDENT,
    TEACHER,
    ActionBars,
    Beside,
    picture,
    plan_lines,
)
from tutelage.graphs.terminal.common.text import safe
from tutelage.graphs.terminal.trace.show import calls_tree, history_view

Leanings = tuple[float, ...] | None


def state_view(detail: Detail, chosen: int, now: Leanings) -> RenderableType:
    """What the teacher is told, one such state, and the plans there.

    chosen: which of its example states; now: the newest student's probabilities there, None where
    that student cannot be asked.
    """
    if detail.values is None:
        return Group(safe(detail.title, "bold"), Text(), safe(detail.text))
    parts: list[RenderableType] = [_heading("what the teacher is told"), safe(detail.text)]
    example = detail.examples[chosen % len(detail.examples)] if detail.examples else None
    if example is not None:
        place = f"{chosen % len(detail.examples) + 1} of {len(detail.examples)}"
        parts += [_heading(f"a state, {place} [ ], iteration {example.iteration}")]
        # The map beside the bars, or above them.
        parts += [Beside(picture(example.picture, example.inks), _bars(example, now))]
    parts += [_heading("the plans" + (f", from {detail.source}" if detail.source else ""))]
    return Group(*parts, _plans(detail, example))


def record_view(detail: Detail) -> RenderableType:
    """The requests and the history of the situation, the same for all example states."""
    if detail.values is None:
        return Text()
    asked = (_heading("how it was asked"), calls_tree(detail.values, brief=False))
    history = (_heading("history"), history_view(detail.values["history"]))
    return Group(*asked, *history) if detail.title.startswith("call") else Group(*history, *asked)


def _heading(title: str) -> Padding:
    return Padding(Rule(safe(title, "dim"), align="left", style="dim"), (1, 0, 0, 0))


def _bars(example: Example, now: Leanings) -> RenderableType:
    decision, said = example.decision, example.said
    if decision is None:
        return Text("an older program kept no more of it", "dim")
    leaning = now or decision.student
    title = "student now" if now else "student then"
    teacher = said.probs if said is not None and said.coverage > 0 else None
    bars = ActionBars(decision.actions, teacher, leaning, student_title=title)
    if leaning is None:
        note = "this student remembers: one state alone does not tell what it would do"
        return Group(bars, Text(), Text(note, "dim italic"))
    return Group(bars, Text(), _verdict(decision.actions, teacher, leaning, example))


def _verdict(
    actions: Sequence[str],
    teacher: Sequence[float] | None,
    student: Sequence[float],
    example: Example,
) -> Text:
    """Whether both would do the same, in a line."""
    leaning = max(range(len(actions)), key=student.__getitem__)
    if teacher is None:
        what = "no plan can be carried out here" if example.said else "no advice: reward alone"
        return Text(what, "dim italic")
    advice = max(range(len(actions)), key=teacher.__getitem__)
    coverage = f"   coverage {100 * example.said.coverage:.0f} %" if example.said else ""
    if advice == leaning:
        return Text.assemble(
            ("✓ both: ", "green"), safe(actions[advice], "bold"), (coverage, "dim")
        )
    return Text.assemble(
        ("✗ ", "red"),
        safe(actions[advice], f"bold {TEACHER}"),
        (" against ", "dim"),
        safe(actions[leaning], f"bold {STUDENT}"),
        (coverage, "dim"),
    )


def _plans(detail: Detail, example: Example | None) -> RenderableType:
    if not detail.plans:
        return Text("none: these states were learned from reward alone", "dim italic")
    said = example.said if example is not None else None
    return plan_lines(detail.plans, said.steps if said is not None else None)
