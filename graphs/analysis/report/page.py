"""The whole page: a run's report or a comparison's, as one HTML file without outside links.

Its Content-Security-Policy allows the page's own style sheet, by its digest, and nothing else: no
script, no picture by address, no frame, no form. So even markup that slipped in could do nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any, Final

from tutelage.graphs.analysis.report import sections
from tutelage.graphs.analysis.report.charts import Share, shares_chart, swatch
from tutelage.graphs.analysis.report.comparison import ComparisonContents, read_comparison
from tutelage.graphs.analysis.report.contents import RunContents, read_run
from tutelage.graphs.analysis.report.film import SHAPES, film_styles
from tutelage.graphs.analysis.report.limits import Limits
from tutelage.graphs.analysis.report.markup import Html, element, join, short
from tutelage.graphs.analysis.report.played import Played, PlayedEpisode, play
from tutelage.graphs.analysis.report.sections import section, table
from tutelage.graphs.records.trace.names import DASH

MOST_BYTES: Final = 20_000_000
"""Of any report; one that would be larger shows less of everything."""

_HERE: Final = Path(__file__).parent
_OPEN: Final = 8
"""Situations of a run that are not folded."""
_OPEN_IN_SHORT: Final = 3

Tell = Callable[[str], None]


def report_on(path: Path, tell: Tell = lambda _: None) -> str:
    """The page about a run, or about the runs in a folder.

    tell: is called with what is being done. Raises RunFolderError where there is neither.
    """
    tell("reading")
    if (path / "config.json").is_file():
        run = read_run(path)
        tell("playing an episode")
        summary = run.summary
        taught = bool(summary and summary.student and summary.advice)
        played = play(path, with_advice=taught)
        return _within_limits(lambda limits: run_page(run, played, limits))
    comparison = read_comparison(path)
    episodes = []
    for condition, told in comparison.conditions[: Limits().films]:
        tell(f"playing an episode of {short(condition.name, 60)}")
        episodes.append(play(told[0].path, with_advice=False))
    return _within_limits(lambda limits: comparison_page(comparison, episodes, limits))


def run_page(run: RunContents, played: Played, limits: Limits) -> str:
    """The page about one run."""
    parts = {
        "outcome": ("Student and teacher", _outcome(run, played)),
        "curves": ("Learning curves", sections.curves(run.panels, {0: run.removed}, limits)),
        "episode": ("A held-out episode", _episode(played, 1, limits)),
        "check": ("Was the advice any good?", _check(run)),
        "situations": (
            "Situations and advice",
            join(
                [
                    element(
                        "p",
                        "Where student and teacher disagree in most visits comes first.",
                        class_="note",
                    ),
                    sections.situations(run.traced.situations, limits, _OPEN),
                ]
            ),
        ),
        "costs": ("Calls and costs", sections.costs(run, limits)),
        "failures": ("What failed, and what happened", sections.failures(run, limits)),
        "config": ("Configuration", sections.configuration(run, limits)),
    }
    head = [
        element("h1", short(run.title, 200)),
        element("p", short(run.outcome, limits.text), class_="outcome"),
        element("p", _where(run), class_="note"),
        *_warnings(run.notes, limits),
    ]
    return _document(run.title, head, parts, [played.episode])


def comparison_page(
    comparison: ComparisonContents, played: Sequence[Played], limits: Limits
) -> str:
    """The page about several runs. played: of the first conditions, an episode each."""
    shown, runs = [], 0
    for number, (condition, told) in enumerate(comparison.conditions):
        if runs >= limits.runs:
            break
        chosen = told[: limits.runs - runs]
        film = played[number] if number < min(len(played), limits.films) else None
        shown.append((number, condition.name, chosen, film, runs))
        runs += len(chosen)
    parts = {
        "outcome": ("The conditions", _conditions(comparison, limits)),
        "curves": ("Learning curves", _compared_curves(comparison, limits)),
    }
    for number, name, chosen, film, before in shown:
        body = _condition(number, chosen, film, before, limits)
        parts[f"condition-{number + 1}"] = (short(name, 200), body)
    all_runs = sum(len(told) for _, told in comparison.conditions)
    notes = list(comparison.notes)
    if runs < all_runs:
        notes.append(f"{all_runs - runs:,} more runs are left out of this page")
    head = [
        element("h1", comparison.title),
        element("p", short(comparison.outcome, limits.text), class_="outcome"),
        element("p", short(str(comparison.path), limits.text), class_="note"),
        *_warnings(notes, limits),
    ]
    films = [None if film is None else film.episode for _, _, _, film, _ in shown]
    return _document(f"{comparison.path.name}: {comparison.title}", head, parts, films)


# -------------------------------------------------------------------------------- of a run


def _outcome(run: RunContents, played: Played) -> Html:
    if run.summary is None:
        return element("p", "The student has not been tested at the end yet.")
    figures = table("The run in figures", (), sections.figures_of(run.summary))
    return join([sections.results(run, played), figures])


def _episode(played: Played, number: int, limits: Limits) -> Html:
    parts = []
    if played.episode is not None:
        parts.append(sections.episode(played.episode, number, limits))
    parts += [element("p", short(line, limits.text), class_="note") for line in played.problems]
    return join(parts)


def _check(run: RunContents) -> Html:
    if run.summary is None:
        return element("p", "What the teacher check found is known when the run has ended.")
    return sections.check(run.summary)


def _where(run: RunContents) -> str:
    status = run.summary.status if run.summary else "not finished"
    return short(f"{run.path} · {run.value('graph')} · seed {run.value('seed')} · {status}")


def _warnings(notes: Sequence[str], limits: Limits) -> list[Html]:
    return [
        element("p", short(note, limits.text), class_="warning") for note in notes[: limits.rows]
    ]


# -------------------------------------------------------------------------------- of a comparison


def _conditions(comparison: ComparisonContents, limits: Limits) -> Html:
    figures = comparison.figures
    if figures is None:
        return element("p", "There is nothing to compare yet.")
    settings = figures["settings"][: limits.rows]
    shares = [
        Share(row["name"], row["success"]["mean"], *row["success"]["ci95"])
        for row in settings[: limits.curves]
    ]
    headings = (
        *("condition", "seeds", "success", "95 % interval", "likeliest actions", "return"),
        *("length", "95 % reached at", "calls", "cost", "wall time"),
    )
    parts = [
        element("figure", shares_chart("success on held-out episodes", shares)),
        table("Conditions", headings, map(_condition_row, settings), range(2, 11)),
    ]
    differences = figures["differences"][: limits.rows]
    if differences:
        against = short(differences[0]["against"], 200)
        columns = ("condition", "success, points", "95 % interval", "return", "length")
        parts.append(
            table(f"More than {against}", columns, map(_difference_row, differences), range(1, 5))
        )
    parts += [
        element("p", f"{name}: {method}", class_="note")
        for name, method in figures["methods"].items()
    ]
    return join(parts)


def _condition_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = row["success"]["ci95"]
    reached, seeds = row["steps_to_95"], len(row["seeds"])
    steps = DASH if reached["median"] is None else f"{reached['median']:,}"
    argmax, cost = row["argmax_success"], row["cost_usd"]
    return (
        short(row["name"], 200),
        short(", ".join(map(str, row["seeds"])), 200),
        f"{100 * row['success']['mean']:.1f} %",
        f"{100 * low:.1f} to {100 * high:.1f}",
        DASH if argmax is None else f"{100 * argmax['mean']:.1f} %",
        _with_interval(row["return"], "mean", "{:.3f}"),
        _with_interval(row["length"], "mean", "{:.1f}"),
        steps if reached["reached"] == seeds else f"{steps} ({reached['reached']} of {seeds})",
        f"{row['llm_calls']['mean']:,.0f}",
        "not known" if cost is None else f"{cost['mean']:.4f} USD",
        f"{row['wall_s']['mean']:,.0f} s",
    )


def _difference_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = row["success"]["ci95"]
    return (
        short(row["setting"], 200),
        f"{100 * row['success']['difference']:+.1f}",
        f"{100 * low:+.1f} to {100 * high:+.1f}",
        _with_interval(row["return"], "difference", "{:+.3f}"),
        _with_interval(row["length"], "difference", "{:+.1f}"),
    )


def _with_interval(figure: Mapping[str, Any], key: str, form: str) -> str:
    middle = form.format(figure[key])
    if figure["ci95"] is None:
        return middle
    low, high = (form.format(value) for value in figure["ci95"])
    return f"{middle} ({low} to {high})"


def _compared_curves(comparison: ComparisonContents, limits: Limits) -> Html:
    drawn = [
        type(panel)(panel.title, panel.x_title, panel.share, panel.curves[: limits.curves])
        for panel in comparison.panels
    ]
    names = {c.number: (c.name, c.seeds) for panel in drawn for c in panel.curves}
    legend = [
        element(
            "li", swatch(number), f"{short(name, 200)}, {seeds} seed{'s' if seeds != 1 else ''}"
        )
        for number, (name, seeds) in sorted(names.items())
    ]
    said = "Bands: 95 % interval of the mean over seeds (Student's t)."
    if any(comparison.removed.values()):
        said += " Marks at the top: where a teacher was removed."
    return join(
        [
            element("ul", *legend, class_="legend"),
            sections.curves(drawn, comparison.removed, limits),
            element("p", said, class_="note"),
        ]
    )


def _condition(
    number: int, told: Sequence[RunContents], played: Played | None, before: int, limits: Limits
) -> Html:
    links = [
        element("a", f"seed {run.value('seed')}", href=f"#run-{before + i + 1}")
        for i, run in enumerate(told)
    ]
    parts = [element("p", *(part for link in links for part in (link, " ")))]
    if played is not None:
        parts += [element("h3", f"An episode, seed {told[0].value('seed')}")]
        parts.append(_episode(played, number + 1, limits))
    runs = [_in_short(run, before + i + 1, limits) for i, run in enumerate(told)]
    return join([*parts, element("div", *runs, class_="cards")])


def _in_short(run: RunContents, number: int, limits: Limits) -> Html:
    """A run in short; all but its outcome is folded."""
    summary = run.summary
    figures = [] if summary is None else sections.figures_of(summary)
    less = limits.halved().halved()
    return element(
        "article",
        element("h3", short(f"{run.path.name}, seed {run.value('seed')}", 200)),
        element("p", short(run.outcome, limits.text)),
        *_warnings(run.notes, less),
        table("In figures", (), figures) if figures else None,
        None if summary is None else sections.folded("the teacher check", sections.check(summary)),
        sections.folded(
            "situations and advice",
            sections.situations(run.traced.situations, less, _OPEN_IN_SHORT),
        ),
        sections.folded("calls and costs", sections.costs(run, less)),
        sections.folded("what failed, and what happened", sections.failures(run, less)),
        sections.folded("configuration", sections.configuration(run, less)),
        id=f"run-{number}",
    )


# -------------------------------------------------------------------------------- the document


def _document(
    title: str,
    head: Sequence[Html],
    parts: Mapping[str, tuple[str, Html]],
    episodes: Sequence[PlayedEpisode | None],
) -> str:
    """The file. parts: by anchor, the heading and what stands under it. episodes: in the order of
    their numbers, from 1.
    """
    lengths = {
        number: len(episode.film.captions)
        for number, episode in enumerate(episodes, start=1)
        if episode is not None and episode.film is not None
    }
    style = f"{(_HERE / 'page.css').read_text('utf-8')}{film_styles(lengths)}\n"
    links = [
        element("li", element("a", short(name, 60), href=f"#{anchor}"))
        for anchor, (name, _) in parts.items()
    ]
    body = join(
        [
            SHAPES if lengths else None,
            element("header", *head, element("nav", element("ul", *links), aria_label="parts")),
            element("main", *(section(name, part, id=a) for a, (name, part) in parts.items())),
        ]
    )
    # Digests are of the text between the tags, to the letter.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    page = Template((_HERE / "page.html").read_text("utf-8"))
    return page.substitute(policy=policy, title=join([short(title, 200)]), style=style, body=body)


def _within_limits(page: Callable[[Limits], str]) -> str:
    """The page, with as much of everything as keeps it small enough to be opened."""
    limits = Limits()
    while len((text := page(limits)).encode()) > MOST_BYTES and limits != limits.halved():
        limits = limits.halved()
    return text
