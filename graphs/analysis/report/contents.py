"""What a report says of one run, read from its folder; apart from how it is drawn.

A run may be unfinished or damaged, and its files may be a stranger's: what can be read is told, and
a note says what could not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tutelage.agents.client.call_record import CACHED, OK
from tutelage.agents.common.invocation import hint
from tutelage.agents.common.redact import redact
from tutelage.graphs.analysis.comparison import stored_fields
from tutelage.graphs.analysis.curves import Panel, panels_of
from tutelage.graphs.analysis.trace_statistics import percentiles
from tutelage.graphs.config.config import ConfigError, RunConfig, flat, parsed
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.shapes import NO_TEACHER, MetricsRow, Summary
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import (
    CallCount,
    EventRecord,
    SituationSummary,
)
from tutelage.rl.errors import UserError
from tutelage.rl.rollouts.results import StudentResult, TeacherResult

CURVES: Final = ("success", "return", "weight", "agreement")
"""The metrics that are drawn (`graphs.analysis.curves.METRICS`)."""
_PLACES: Final = frozenset({"run_dir", "cache", "loggers"})
"""Fields for where a run is stored and logged: they change nothing of what it computes."""
_OPTIONS: Final = ("graph", "env", "provider", "base_url", "seed", "steps")
"""Fields that `run` has an option for."""


@dataclass(frozen=True)
class Field:
    """A field of the configuration, by dotted key. changed: whether it is not the default.

    An argument of a task has no default that is known here, so that each is a change.
    """

    key: str
    value: Any
    default: Any
    changed: bool


@dataclass(frozen=True)
class Traced:
    """What a run's trace holds. situations: where student and teacher disagree most first.

    latency_s: as `graphs.analysis.trace_statistics.percentiles` gives it.
    """

    situations: Sequence[SituationSummary] = ()
    events: Sequence[EventRecord] = ()
    calls: Sequence[CallCount] = ()
    latency_s: Mapping[str, float] | None = None

    @property
    def failures(self) -> Sequence[CallCount]:
        """The calls that were not answered."""
        return [each for each in self.calls if each.status not in (OK, CACHED)]


@dataclass(frozen=True)
class RunContents:
    """All that is told of a run. summary: None for one that has not ended. notes: what is amiss."""

    path: Path
    fields: Sequence[Field]
    versions: Mapping[str, Any]
    summary: Summary | None
    last: MetricsRow | None
    panels: Sequence[Panel]
    traced: Traced
    notes: Sequence[str] = field(default_factory=list)

    def value(self, key: str) -> Any:
        """A field of the configuration, by dotted key; None where it is not there."""
        return next((each.value for each in self.fields if each.key == key), None)

    @property
    def changed(self) -> list[Field]:
        """The fields that are not the default, without those for where the run is stored."""
        return [each for each in self.fields if each.changed and each.key not in _PLACES]

    @property
    def title(self) -> str:
        """What was learned, and from whom."""
        taught = self.summary.provider if self.summary else str(self.value("provider"))
        env = str(self.value("env"))
        if self.summary and self.summary.teacher and not self.summary.student:
            return f"{env}, played by {taught}"
        return f"{env}, taught by {'nobody' if taught == NO_TEACHER else taught}"

    @property
    def tested(self) -> StudentResult | TeacherResult | None:
        """How the student did in the end, or the teacher that acted in its place."""
        return (self.summary.student or self.summary.teacher) if self.summary else None

    @property
    def outcome(self) -> str:
        """What came of the run, in a sentence or two."""
        told = None if self.summary is None else self.summary.outcome
        return _outcome(self) if told is None else told.sentence

    @property
    def removed(self) -> list[int]:
        """The step at which the teacher was removed, if there was one and it was."""
        if self.summary is None or self.summary.provider == NO_TEACHER:
            return []
        step = self.summary.teacher_removed_at_step
        return [] if step is None else [step]

    @property
    def command(self) -> str:
        """The command that makes the run again."""
        return _command(self)


def read_run(path: Path) -> RunContents:
    """All that is to be told of a run. Raises RunFolderError where the folder is none."""
    folder = RunFolder.open(path)
    notes: list[str] = []
    config = folder.read_config()
    versions = config.get("versions")
    summary, rows, panels, traced = None, [], [], Traced()
    try:
        summary = folder.read_summary()
    except UserError as error:
        notes.append(redact(str(error)))
    try:
        rows = folder.read_metrics()
        panels = panels_of([path], CURVES)
    except ConfigError:
        pass  # there is nothing to draw yet
    except UserError as error:
        notes.append(redact(str(error)))
    try:
        traced = _traced(folder.trace)
    except UserError as error:
        notes.append(redact(str(error)))
    return RunContents(
        path,
        _fields(stored_fields(folder)),
        versions if isinstance(versions, dict) else {},
        summary,
        rows[-1] if rows else None,
        panels,
        traced,
        notes,
    )


def in_words(result: StudentResult | TeacherResult) -> str:
    """How many episodes succeeded, and how sure that is."""
    low, high = result.ci95
    return (
        f"{100 * result.success_rate:.1f} % of {result.episodes:,} held-out episodes "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f})"
    )


def typed(value: Any) -> str:
    """A field's value as people type it."""
    if isinstance(value, str) and parsed(value) == value:
        return value
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _traced(file: Path) -> Traced:
    with TraceReader(file) as reader:
        return Traced(
            reader.situations(sort="disagree"),
            reader.events(),
            reader.call_counts(),
            percentiles(reader.latencies()),
        )


def _fields(stored: Mapping[str, Any]) -> list[Field]:
    defaults = flat(RunConfig().model_dump(mode="json"))
    as_json = {
        key: list(value) if isinstance(value, tuple) else value for key, value in stored.items()
    }
    return [
        Field(key, value, defaults.get(key), key not in defaults or value != defaults[key])
        for key, value in as_json.items()
    ]


def _outcome(run: RunContents) -> str:
    summary = run.summary
    if summary is None:
        steps, last = run.value("steps"), run.last
        of = f" of {steps:,}" if isinstance(steps, int) else ""
        return (
            "The run has not ended: it has made no steps yet."
            if last is None
            else f"The run has not ended: it is at {last.env_steps:,}{of} environment steps."
        )
    if summary.student is None and summary.teacher is not None:
        return f"The teacher acts alone: it solves {in_words(summary.teacher)}."
    ended = "" if summary.status == "finished" else "The run was interrupted. "
    if summary.student is None:
        return f"{ended}The student was not tested; it has learned for {summary.env_steps:,} steps."
    alone = f"{ended}The student alone solves {in_words(summary.student)}"
    if summary.provider == NO_TEACHER:
        return f"{alone}; nobody taught it."
    if summary.advice is not None and not summary.advice.followed_steps:
        return f"{alone}; none of the teacher's advice was followed."
    step = summary.teacher_removed_at_step
    left = "was not removed" if step is None else f"was removed at step {step:,}"
    return f"{alone}; its teacher {left}."


def _command(run: RunContents) -> str:
    words: list[str] = []
    changed = {each.key: each.value for each in run.changed}
    for key in _OPTIONS:
        if changed.get(key) is not None:
            words += [f"--{key.replace('_', '-')}", str(changed.pop(key))]
    prompts = RunFolder(run.path).recorded_prompts
    if changed.pop("prompts", None) is not None and prompts is not None:
        words += ["--prompts", str(prompts)]  # as they were, whatever has become of the others
    for key, value in changed.items():
        words += ["--set", f"{key}={typed(value)}"]
    return hint("run", *words)
