"""The sections of a report as markup: of a run, whole or in short."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from tutelage.graphs.analysis.curves import Panel
from tutelage.graphs.analysis.report.charts import Share, curves_chart, shares_chart
from tutelage.graphs.analysis.report.contents import Field, RunContents, typed
from tutelage.graphs.analysis.report.film import film_view
from tutelage.graphs.analysis.report.limits import Limits
from tutelage.graphs.analysis.report.markup import Html, element, join, short
from tutelage.graphs.analysis.report.played import Played, PlayedEpisode, Step
from tutelage.graphs.records.shapes import NO_TEACHER, Summary
from tutelage.graphs.records.trace.names import DASH, plan_line
from tutelage.graphs.records.trace.records import CallCount, EventRecord, SituationSummary
from tutelage.rl.rollouts.results import StudentResult, TeacherResult

Item = TypeVar("Item")

UNITS = {
    "held-out success": "share of held-out episodes",
    "training return": "mean return of the training episodes",
    "teacher weight": "factor of the imitation term in the loss",
    "agreement with the teacher": "chance that the student does what the teacher would",
}
"""What is on a panel's upright axis, by its title."""

_NOT_KNOWN = "not known"
_NARROW = 3
"""Columns of a table that always fits."""
_OPEN_STEPS = 16
"""Steps of an episode without a film that are not folded."""
_TABLE_ROWS = 9
"""Rows of the table that says what a curve shows."""


def section(title: str, *children: str | None, id: str) -> Html:
    """A part of the page under a heading, to which a link leads."""
    return element(
        "section",
        element("h2", title, id=f"{id}-title"),
        *children,
        id=id,
        aria_labelledby=f"{id}-title",
    )


def table(
    caption: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    figures: Sequence[int] = (),
) -> Html:
    """A table; the first cell of a row is its heading. figures: the columns of numbers."""

    def cell(i: int, content: str) -> Html:
        look = "figure" if i in figures else None
        if i == 0:
            return element("th", content, scope="row", class_=look)
        return element("td", content, class_=look)

    head = [
        element("th", name, scope="col", class_="figure" if i in figures else None)
        for i, name in enumerate(headings)
    ]
    body = [element("tr", *(cell(i, content) for i, content in enumerate(row))) for row in rows]
    inner = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *head)) if headings else None,
        element("tbody", *body),
    )
    if len(head) <= _NARROW:
        return inner
    # A table that is wider than a phone is scrolled, also by keys.
    return element("div", inner, class_="wide", role="region", aria_label=caption, tabindex=0)


def folded(title: str, *children: str | None) -> Html:
    """What is shown when it is asked for."""
    return element("details", element("summary", title), *children)


def listed(
    items: Sequence[Item], first: int, most: int, what: str, draw: Callable[[Sequence[Item]], Html]
) -> Html:
    """Items: the `first` open, up to `most` folded, and what was left out said."""
    parts = [draw(items[:first])]
    more = items[first:most]
    if more:
        parts.append(folded(f"{len(more):,} more {what}", draw(more)))
    if len(items) > most:
        note = f"{len(items) - most:,} more {what} are left out of this page"
        parts.append(element("p", note, class_="note"))
    return join(parts)


# -------------------------------------------------------------------------------- figures


def figures_of(summary: Summary) -> list[tuple[str, str]]:
    """The figures of a run that ended, by name."""
    reached, removed = summary.steps_to_95, summary.teacher_removed_at_step
    rows = [("environment steps", f"{summary.env_steps:,}")]
    if summary.trial_steps:
        rows += [
            ("steps of the teacher check", f"{summary.trial_steps:,}"),
            ("steps in all", f"{summary.env_steps + summary.trial_steps:,}"),
        ]
    if summary.student is not None:
        rows.append(
            ("95 % first reached at", "not reached" if reached is None else f"step {reached:,}")
        )
        if summary.provider != NO_TEACHER:
            rows.append(
                ("teacher removed at", "not removed" if removed is None else f"step {removed:,}")
            )
    rows.append(("wall time", f"{summary.wall_s:,.1f} s, {summary.steps_per_s:,.0f} steps/s"))
    return rows


def results(run: RunContents, played: Played) -> Html:
    """Student against teacher, with their intervals."""
    tested: list[tuple[str, StudentResult | TeacherResult]] = []
    summary = run.summary
    if summary is not None and summary.student is not None:
        tested.append(("student", summary.student))
    if summary is not None and summary.teacher is not None:
        tested.append(("teacher", summary.teacher))
    elif played.advice is not None:
        tested.append(("teacher's advice", played.advice))
    if not tested:
        return element("p", "Nobody was tested on held-out episodes.")
    rows = [_result_row(name, result) for name, result in tested]
    shares = [Share(name, r.success_rate, *r.ci95) for name, r in tested]
    if summary is not None and summary.student is not None:
        argmax = summary.student.argmax_success_rate
        if argmax is not None:
            rows.append(("student, likeliest actions", _percent(argmax), "", "", "", ""))
            shares.append(Share("likeliest actions", argmax))
    notes = []
    if played.advice is not None:
        notes.append(
            "The teacher's advice: what this run's trace holds of it, carried out by the "
            f"options for this report; it says nothing in {_percent(played.unadvised)} of the "
            "steps, in which the actions are drawn at random. Nobody was asked anew."
        )
    headings = ("who acts", "success", "95 % interval", "episodes", "mean return", "mean length")
    return join(
        [
            element("figure", shares_chart("success on held-out episodes", shares)),
            table("Success on held-out episodes", headings, rows, range(1, 6)),
            *(element("p", note, class_="note") for note in notes),
        ]
    )


def _result_row(name: str, result: StudentResult | TeacherResult) -> tuple[str, ...]:
    low, high = result.ci95
    return (
        name,
        _percent(result.success_rate),
        f"{100 * low:.1f} to {100 * high:.1f}",
        f"{result.episodes:,}",
        f"{result.mean_return:.3f}",
        f"{result.mean_length:.1f}",
    )


def curves(panels: Sequence[Panel], removed: dict[int, list[int]], limits: Limits) -> Html:
    """A chart for each panel, with a table of what it shows."""
    if not panels:
        return element("p", "There are no learning curves yet.")
    # The same in all, so that they can be read together.
    furthest = max(float(curve.x[-1]) for panel in panels for curve in panel.curves) or 1.0
    drawn = []
    for panel in panels:
        unit = UNITS.get(panel.title, "")
        drawn.append(
            element(
                "figure",
                element("figcaption", element("strong", panel.title), f" {unit}"),
                curves_chart(panel, removed, furthest),
                folded("the figures", _curve_table(panel, limits)),
            )
        )
    return element("div", *drawn, class_="charts")


def _curve_table(panel: Panel, limits: Limits) -> Html:
    form = _percent if panel.share else (lambda value: f"{value:.4g}")
    rows = []
    several = len(panel.curves) > 1
    for curve in panel.curves[: limits.curves]:
        last = len(curve.x) - 1
        chosen = sorted({round(i * last / (_TABLE_ROWS - 1)) for i in range(_TABLE_ROWS)})
        name = [short(curve.name, 80)] if several else []
        rows += [(*name, f"{curve.x[i]:,.0f}", form(float(curve.mean[i]))) for i in chosen]
    headings = (*(["condition"] if several else []), panel.x_title, panel.title)
    return table(panel.title, headings, rows, range(len(headings) - 2, len(headings)))


# -------------------------------------------------------------------------------- the teacher


def check(summary: Summary) -> Html:
    """What the teacher check found, with its figures."""
    use = summary.advice
    if use is None:
        return element("p", "There was no advice to check.")
    verdicts = {
        "helps": "The teacher helps: its advice was followed.",
        "no help": "The teacher is no help: none of its advice is followed any more.",
        "undecided": "It is undecided whether the teacher helps.",
        "unchecked": "This schedule checks no advice.",
    }
    rows = [
        ("verdict", use.verdict),
        ("what was seen", use.evidence or DASH),
        ("followed in", f"{use.followed_steps:,} of {summary.env_steps:,} environment steps"),
        ("rejected for itself", f"the advice on {use.rejected:,} situations"),
        ("steps of the check", f"{summary.trial_steps:,}, not among the environment steps"),
    ]
    return join([element("p", verdicts[use.verdict]), table("The teacher check", (), rows)])


def situations(found: Sequence[SituationSummary], limits: Limits, first: int) -> Html:
    """Each situation with its advice; the `first` of them open."""
    if not found:
        return element("p", "The trace holds no situations.")
    return listed(
        found,
        first,
        limits.situations,
        "situations",
        lambda some: element("div", *(_situation(s, limits) for s in some), class_="cards"),
    )


def _situation(record: SituationSummary, limits: Limits) -> Html:
    plans = record.plans if isinstance(record.plans, list) else []
    success = f"{_percent(record.successes / record.episodes)}" if record.episodes else DASH
    facts = [
        ("visits", f"{record.visits:,}"),
        ("agreement", _percent(record.agreement)),
        ("coverage", _percent(record.coverage)),
        ("success", success),
        (
            "calls",
            f"{record.calls:,}" + (f", {record.failures:,} failed" if record.failures else ""),
        ),
        ("from", ", ".join(f"{name} {n:,}" for name, n in record.sources.items()) or "nobody"),
    ]
    mark = None
    if record.rejection is not None:
        said = f"rejected: {short(record.rejection.message, limits.text)}"
        mark = element("p", said, class_="rejected")
    return element(
        "article",
        element("h3", f"situation {record.number}"),
        element("pre", short(record.text, limits.text)),
        mark,
        _plans(plans, limits),
        element("dl", *(element("div", element("dt", n), element("dd", v)) for n, v in facts)),
    )


def _plans(plans: Sequence[Any], limits: Limits) -> Html:
    """The distribution over plans; a stranger's trace may hold anything in its place."""
    if not plans:
        return element("p", "no advice", class_="note")
    rows = []
    for plan in plans[: limits.plans]:
        try:
            share, line = f"{float(plan['p']):.2f}", plan_line(plan["plan"])
        except (TypeError, ValueError, KeyError):
            share, line = "?", json.dumps(plan)
        rows.append(element("li", element("b", share), " ", short(line, limits.text)))
    if len(plans) > limits.plans:
        rows.append(element("li", f"and {len(plans) - limits.plans:,} more plans"))
    return element("ul", *rows, class_="plans")


# -------------------------------------------------------------------------------- costs


def costs(run: RunContents, limits: Limits) -> Html:
    """What was asked, and what it cost; what is not known is said to be so."""
    parts = []
    if run.summary is not None:
        llm = run.summary.llm
        cost = _NOT_KNOWN if llm.cost_usd is None else f"{llm.cost_usd:.4f} USD"
        rows = [
            ("situations asked about", f"{llm.situations:,}"),
            ("calls", f"{llm.calls:,}"),
            ("from the cache", f"{llm.cache_hits:,}"),
            ("failed", f"{llm.failures:,}"),
            ("settled by the fallback", f"{llm.fallbacks:,}"),
            ("tokens in", f"{llm.prompt_tokens:,}"),
            ("tokens out", f"{llm.completion_tokens:,}"),
            ("cost", cost),
        ]
        parts.append(table("What the teacher took", (), rows, (1,)))
    calls = run.traced.calls
    if calls:
        headings = ("who was asked", "by", "came to", "calls", "tokens in", "tokens out", "cost")
        drawn = [_call_row(each, limits) for each in calls[: limits.rows]]
        parts.append(table("The calls, as the trace has them", headings, drawn, range(3, 7)))
    if run.traced.latency_s is not None:
        said = ", ".join(f"{name} {value:.2f}" for name, value in run.traced.latency_s.items())
        parts.append(element("p", f"Seconds of a call: {said}."))
    return join(parts) if parts else element("p", "Nothing is known of any calls.")


def _call_row(each: CallCount, limits: Limits) -> tuple[str, ...]:
    cost = f"{each.cost_usd:.4f} USD" if each.cost_usd is not None else _NOT_KNOWN
    if each.unpriced:
        cost = f"{cost} and more" if each.cost_usd else _NOT_KNOWN
    return (
        short(f"{each.provider} {each.model}".strip(), limits.text),
        each.node,
        each.status.replace("_", " "),
        f"{each.calls:,}",
        f"{each.prompt_tokens:,}",
        f"{each.completion_tokens:,}",
        cost,
    )


def failures(run: RunContents, limits: Limits) -> Html:
    """What failed, and what else happened once."""
    parts = []
    failed = run.traced.failures
    if failed:
        said = ", ".join(f"{e.calls:,} {e.status.replace('_', ' ')}" for e in failed)
        parts.append(element("p", f"Calls that were not answered: {short(said, limits.text)}."))
    else:
        parts.append(element("p", "No call failed."))
    if run.traced.events:
        parts.append(
            listed(run.traced.events, 8, limits.rows, "events", lambda some: _events(some, limits))
        )
    return join(parts)


def _events(events: Sequence[EventRecord], limits: Limits) -> Html:
    rows = [
        element(
            "li",
            element(
                "b",
                f"{short(event.kind.replace('_', ' '), 80)}, iteration {event.iteration:,}, "
                f"step {event.env_steps:,}",
            ),
            element("p", short(event.message, limits.text)),
        )
        for event in events
    ]
    return element("ul", *rows, class_="events")


# -------------------------------------------------------------------------------- the episode


def episode(played: PlayedEpisode, number: int, limits: Limits) -> Html:
    """A held-out episode: a film where the task can be drawn, and a table of its steps."""
    ended = {True: "succeeds", False: "fails", None: "does not end"}[played.success]
    last = played.steps[-1].number
    said = f"The student, alone, {ended} after {last:,} steps; return {played.return_:.3f}."
    parts = [element("p", said)]
    open_steps = limits.steps if played.film is not None else _OPEN_STEPS
    steps = listed(played.steps, open_steps, limits.steps, "steps", _steps)
    if played.film is None:
        parts.append(steps)
    else:
        parts.append(film_view(played.film, number, f"a held-out episode of {last:,} steps"))
        if len(played.film.captions) < len(played.steps):
            shown = f"The film shows {len(played.film.captions):,} of {len(played.steps):,} frames."
            parts.append(element("p", shown, class_="note"))
        parts.append(folded(f"the {len(played.steps):,} steps in words", steps))
    if played.aliases:
        renamed = "; ".join(f"{own} is called {called}" for own, called in played.aliases.items())
        said = f"What the teacher is told names things otherwise: {renamed}."
        parts.append(element("p", short(said, limits.text), class_="note"))
    return join(parts)


def _steps(steps: Sequence[Step]) -> Html:
    agreed = {True: "yes", False: "no", None: DASH}
    rows = [
        (
            f"{step.number:,}",
            short(step.situation, 300),
            short(step.plan, 200) or DASH,
            short(step.teacher, 80) or DASH,
            short(step.action or "the end", 80),
            agreed[step.agree],
        )
        for step in steps
    ]
    headings = ("step", "situation", "likeliest plan", "teacher", "student does", "agree")
    return table("The steps of the episode", headings, rows, (0,))


# -------------------------------------------------------------------------------- the configuration


def configuration(run: RunContents, limits: Limits) -> Html:
    """What differs from the default, all of it, and how the run is made again."""
    changed = run.changed
    versions = [
        (short(str(name), 80), _NOT_KNOWN if value is None else short(str(value), 80))
        for name, value in list(run.versions.items())[: limits.rows]
    ]
    return join(
        [
            _fields_table("What differs from the default", changed, limits)
            if changed
            else element("p", "All fields have their defaults."),
            folded("all fields", _fields_table("All fields", run.fields, limits)),
            element("h3", "The same run again"),
            element("pre", element("code", short(run.command, limits.text)), class_="command"),
            element(
                "p",
                "steps, task.engine and ppo.gamma stand here as the task has settled them. A "
                "language model may answer differently the next time; scripts, and answers in the "
                "cache, do not.",
                class_="note",
            ),
            table("Seeds and versions", (), [("seed", typed(run.value("seed"))), *versions]),
        ]
    )


def _fields_table(caption: str, fields: Sequence[Field], limits: Limits) -> Html:
    rows = []
    for each in fields[: limits.rows]:
        value = short(typed(each.value), limits.text)
        shown = element("mark", value) if each.changed else value
        rows.append((short(each.key, 200), shown, short(typed(each.default), limits.text)))
    return table(caption, ("field", "value", "default"), rows)


def _percent(share: float | None) -> str:
    return DASH if share is None else f"{100 * share:.1f} %"
