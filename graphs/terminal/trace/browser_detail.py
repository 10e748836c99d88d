"""The detail beside the list of a trace's browser: situation, example state, plans, history."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from tutelage.graphs.analysis.actions import Actions, Targets
from tutelage.graphs.analysis.browsing import Detail, Example
from tutelage.graphs.terminal.common.decision_view import (
    STUDENT,
    TEACHER,
    Beside,
    actions_view,
    picture,
    plan_lines,
)
from tutelage.graphs.terminal.common.text import safe
from tutelage.graphs.terminal.trace.browser_look import BAD, GOOD, verdict_text
from tutelage.graphs.terminal.trace.lines import rejection_line
from tutelage.graphs.terminal.trace.show import calls_tree, history_view

Leanings = Targets | None


def state_view(detail: Detail, chosen: int, now: Leanings) -> RenderableType:
    """What the teacher is told, one such state, and the plans there.

    chosen: which of its example states; now: the newest student's policy there as targets, None
    where that student cannot be asked.
    """
    if detail.values is None:
        return Group(safe(detail.title, "bold"), Text(), safe(detail.text))
    parts: list[RenderableType] = [*_check_lines(detail)]
    parts += [_heading("what the teacher is told"), safe(detail.text)]
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


def _check_lines(detail: Detail) -> list[Text]:
    """Why the plans are not followed, with the figures of the teacher check."""
    rejection = (detail.values or {}).get("rejection")
    if detail.verdict not in ("rejected", "withheld"):
        return []
    line = verdict_text(detail.verdict)
    if rejection is not None:
        what = rejection_line(rejection).removeprefix("rejected: ")
        line.append(f" in iteration {rejection['iteration']}: {safe(what).plain}")
    elif detail.teacher is not None:
        where = f" with the whole teacher in iteration {detail.teacher.iteration}: "
        line.append(where + safe(detail.teacher.message).plain)
    return [line]


def _heading(title: str) -> Padding:
    return Padding(Rule(safe(title, "dim"), align="left", style="dim"), (1, 0, 0, 0))


def _bars(example: Example, now: Leanings) -> RenderableType:
    actions, decision, said = example.actions, example.decision, example.said
    if decision is None or actions is None:
        return Text("an older program kept no more of it", "dim")
    leaning = now or decision.student
    title = "student now" if now else "student then"
    teacher = said.targets if said is not None and said.coverage > 0 else None
    bars = actions_view(actions, teacher, leaning, student_title=title)
    if leaning is None:
        note = "this student remembers: one state alone does not tell what it would do"
        return Group(bars, Text(), Text(note, "dim italic"))
    return Group(bars, Text(), _verdict(actions, teacher, leaning, example))


def _verdict(actions: Actions, teacher: Targets | None, student: Targets, example: Example) -> Text:
    """Whether both would do the same, in a line."""
    said = example.said
    if teacher is None or said is None:
        what = "no plan can be carried out here" if said else "no advice: reward alone"
        return Text(what, "dim italic")
    advice, leaning = (actions.words(actions.likeliest(each)) for each in (teacher, student))
    coverage = f"   coverage {100 * said.coverage:.0f} %"
    if actions.agree(teacher, student):
        return Text.assemble(("✓ both: ", GOOD), safe(advice, "bold"), (coverage, "dim"))
    return Text.assemble(
        ("✗ ", BAD),
        safe(advice, f"bold {TEACHER}"),
        (" against ", "dim"),
        safe(leaning, f"bold {STUDENT}"),
        (coverage, "dim"),
    )


def _plans(detail: Detail, example: Example | None) -> RenderableType:
    if not detail.plans:
        return Text("none: these states were learned from reward alone", "dim italic")
    said = example.said if example is not None else None
    return plan_lines(detail.plans, said.steps if said is not None else None)
