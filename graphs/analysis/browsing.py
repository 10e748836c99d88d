"""What a browser of a trace shows: rows to choose from, and all that is known of one of them.

A run may be written while it is read, and may come from a stranger: whatever its files hold, rows
and details are made of what can be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from tutelage.agents.common.files import RunFolderError
from tutelage.graphs.analysis.trace_details import details_of
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.names import plan_line
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import SituationSummary
from tutelage.graphs.records.trace.search import CallRow
from tutelage.rl.advice.advice import Advice
from tutelage.rl.advice.decisions import Advised, Decision, advised

Kind = Literal["situations", "calls", "events"]
KINDS: tuple[Kind, ...] = ("situations", "calls", "events")


@dataclass(frozen=True)
class Row:
    """A row of a list. key: the same for the same thing at the next refresh; head, tail: its two
    lines; good: None where that is no question; searched: what a search looks into, casefolded.
    """

    key: tuple[str, int]
    head: str
    tail: str
    good: bool | None
    searched: str


@dataclass(frozen=True)
class Example:
    """A kept state. decision: None where the trace has none that can be read; said: the latest
    advice in that state, None without advice.
    """

    iteration: int
    picture: str
    inks: str | None
    decision: Decision | None
    said: Advised | None


@dataclass(frozen=True)
class Detail:
    """Everything about one row. values: as `trace show --json` gives them, None for an event."""

    title: str
    text: str
    values: dict[str, Any] | None = None
    plans: list[dict[str, Any]] = field(default_factory=list)
    source: str | None = None
    examples: Sequence[Example] = ()


class TraceBook:
    """The trace of a run folder, read again whenever it has changed.

    Raises RunFolderError or TraceError.
    """

    def __init__(self, path: Path) -> None:
        self.folder = RunFolder.open(path)
        self._reader = TraceReader(self.folder.trace)

    def stamp(self) -> tuple[tuple[int, int], ...]:
        """Another one whenever the trace, the student or the run's end was written."""
        log = self.folder.trace.with_name(f"{self.folder.trace.name}-wal")
        files = (self.folder.trace, log, self.folder.student, self.folder.summary)
        return tuple(_stamp(file) for file in files)

    def headline(self) -> str:
        """Which run this is, and how far it is."""
        config, summary = self.folder.read_config(), self.folder.read_summary()
        parts = [str(config.get(name, "?")) for name in ("graph", "env", "provider")]
        if summary is not None:
            return " · ".join([*parts, summary.status, f"{summary.env_steps:,} steps"])
        rows = self.folder.read_metrics()
        steps = f"{rows[-1].env_steps:,} of {config.get('steps') or '?'} steps" if rows else "begun"
        return " · ".join([*parts, steps])

    def ended(self) -> bool:
        """Whether nothing more will be written, unless the run is resumed."""
        return self.folder.summary.exists()

    def rows(self, kind: Kind) -> list[Row]:
        """All rows of a list, in its order: the most visited situations, the latest of the rest."""
        if kind == "situations":
            return [_situation_row(situation) for situation in self._reader.situations()]
        if kind == "calls":
            calls, _ = self._reader.find_calls(sort="id", reverse=True)
            return [_call_row(call) for call in calls]
        return [
            Row(
                ("event", event.id or 0),
                f"{event.kind.replace('_', ' ')}",
                f"iteration {event.iteration} · {event.node} · {event.message}",
                event.kind == "teacher_removed" or None,
                f"{event.kind} {event.node} {event.message}".casefold(),
            )
            for event in reversed(self._reader.events())
        ]

    def detail(self, row: Row) -> Detail:
        """All about a row. Raises TraceError where it is gone."""
        kind, number = row.key
        if kind in ("event", "given up"):
            return Detail(row.head, row.tail)
        values = details_of(self._reader, f"c{number}" if kind == "call" else str(number))
        given = values["advice_given"]
        plans = given[-1]["plans"] if given else []
        title = f"situation {values['id']}" if kind == "situation" else f"call c{number}"
        return Detail(
            title,
            values["text"],
            values,
            plans,
            given[-1]["source"] if given else None,
            [_example(example, plans) for example in values["examples"]],
        )

    def close(self) -> None:
        """Close the trace."""
        self._reader.close()


def in_short(text: str) -> str:
    """A situation's text in a line, its first line, the mission, left out where there are more."""
    lines = text.splitlines()
    return " · ".join(lines[1:] or lines)


def _situation_row(situation: SituationSummary) -> Row:
    sources = ", ".join(situation.sources) or "no advice"
    agree = "" if situation.agreement is None else f" · agree {100 * situation.agreement:.0f} %"
    failed = f" · {situation.failures} failed" if situation.failures else ""
    plans = " ".join(plan_line(row["plan"]) for row in situation.plans or ())
    return Row(
        ("situation", situation.number),
        in_short(situation.text),
        f"{situation.number} · {situation.visits:,} visits{agree} · {sources}{failed}",
        None if not situation.sources and not situation.failures else bool(situation.sources),
        f"{situation.number} {situation.text} {sources} {plans}".casefold(),
    )


def _call_row(call: CallRow) -> Row:
    name = f"c{call.id}" if call.kind == "call" else "given up"
    model = call.model or call.provider or ""
    seconds = "" if call.latency_s is None else f" · {call.latency_s:.2f} s"
    head = f"{name} · {call.status} · {model}{seconds}"
    tail = f"iteration {call.iteration} · {in_short(call.text or '')}"
    searched = f"{head} {call.node} {tail} {call.error or ''}".casefold()
    return Row((call.kind, call.id), head, tail, call.status in ("ok", "cached"), searched)


def _example(values: dict[str, Any], plans: list[dict[str, Any]]) -> Example:
    decision, said = None, None
    try:
        decision = Decision.from_json(values["decision"])
        if plans:
            said = advised(Advice.from_json(plans), decision.options, len(decision.actions))
    except (ValueError, KeyError, TypeError):
        pass  # what can be read is shown
    return Example(values["iteration"], values["picture"], values["inks"], decision, said)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


class StudentOfRun:
    """The newest student of a run, read again whenever its file has changed; for any thread."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._stamp = (0, 0)
        self._student: Any = None
        self._lock = Lock()

    def leanings(self, decision: Decision) -> tuple[float, ...] | None:
        """The student's action probabilities in a kept state; None where it cannot be asked, as
        one that remembers cannot. Imports torch, the first time.
        """
        with self._lock:
            return self._ask(decision)

    def _ask(self, decision: Decision) -> tuple[float, ...] | None:
        from tutelage.rl.policy.policy import PolicyFileError, load_student, softmax

        stamp = _stamp(self._folder.student)
        if stamp != self._stamp:
            self._stamp, self._student = stamp, None
            try:
                self._folder.check()
                self._student = load_student(self._folder.student)
            except (RunFolderError, PolicyFileError):
                return None
        student = self._student
        if student is None or student.network.memory_size or not _fits(student.spec, decision):
            return None
        probs = softmax(student.policy_and_value(decision.observation())[0])[0]
        return tuple(probs.tolist()) if len(probs) == len(decision.actions) else None


def _fits(spec: Any, decision: Decision) -> bool:
    """Whether a student of these eyes can see the state: a stranger's trace may hold anything."""
    sides = (len(decision.codes), len(decision.codes[0]) if decision.codes else 0)
    known = all(code < spec.num_codes for line in decision.codes for code in line)
    seen = sides == (spec.height, spec.width) or not spec.height
    return seen and known and len(decision.features) == spec.features
