"""What a browser of a trace shows: rows to choose from, and all that is known of one of them.

A run may be written while it is read, and may come from a stranger: whatever its files hold, rows
and details are made of what can be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from tutelage.agents.common.files import RunFolderError
from tutelage.agents.common.redact import redact
from tutelage.graphs.analysis.actions import Actions
from tutelage.graphs.analysis.browsing_rows import Kind, Row, Verdict, event_name, verdict_of
from tutelage.graphs.analysis.trace_details import details_of
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import EventRecord, teacher_verdict
from tutelage.rl.advice.advice import Advice
from tutelage.rl.advice.decisions import Advised, Decision, advised
from tutelage.rl.tasks.action_targets import action_targets


def in_short(text: str) -> str:
    """A situation's text in a line, its first line, the mission, left out where there are more."""
    lines = text.splitlines()
    return " · ".join(lines[1:] or lines)


@dataclass(frozen=True)
class Example:
    """A kept state. decision, actions: the student's and its actions; None where the trace has none
    that can be read. said: the latest advice in that state, None without advice.
    """

    iteration: int
    picture: str
    inks: str | None
    decision: Decision | None
    actions: Actions | None
    said: Advised | None


@dataclass(frozen=True)
class Detail:
    """Everything about one row.

    values: as `trace show --json` gives them, None for an event. verdict: of its situation.
    teacher: what the check found of the teacher, where that is why.
    """

    title: str
    text: str
    values: dict[str, Any] | None = None
    plans: list[dict[str, Any]] = field(default_factory=list)
    source: str | None = None
    examples: Sequence[Example] = ()
    verdict: Verdict | None = None
    teacher: EventRecord | None = None


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
        """Which run this is, and how far it is; where its files are damaged, what is wrong."""
        try:
            return self._headline()
        except RunFolderError as error:
            return redact(str(error))

    def _headline(self) -> str:
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
            teacher = teacher_verdict(self._reader.events())
            found = self._reader.situations()
            return [Row(kind, each, verdict_of(each, teacher)) for each in found]
        records: Sequence[Any]
        if kind == "calls":
            records, _ = self._reader.find_calls(sort="id", reverse=True)
        else:
            records = self._reader.events()[::-1]
        return [Row(kind, record) for record in records]

    def texts(self) -> list[str]:
        """What the teacher is told, of each situation."""
        return [text for _, text in self._reader.names().values()]

    def detail(self, row: Row) -> Detail:
        """All about a row. Raises TraceError where it is gone."""
        kind, number = row.key
        if kind in ("event", "given up"):
            record = row.record
            what = record.message if kind == "event" else in_short(record.text or "")
            name = record.kind if kind == "event" else record.status
            return Detail(
                event_name(name), f"iteration {record.iteration} · {record.node} · {what}"
            )
        values = details_of(self._reader, f"c{number}" if kind == "call" else str(number))
        given = values["advice_given"]
        plans = given[-1]["plans"] if given else []
        title = f"situation {values['id']}" if kind == "situation" else f"call c{number}"
        teacher = teacher_verdict(self._reader.events())
        verdict = verdict_of(self._reader.situation(values["id"]), teacher)
        alone = values["rejection"] is not None or verdict not in ("rejected", "withheld")
        return Detail(
            title,
            values["text"],
            values,
            plans,
            given[-1]["source"] if given else None,
            [_example(example, plans) for example in values["examples"]],
            verdict,
            None if alone else teacher,
        )

    def passed_over(self) -> list[str]:
        """The damaged rows, a line each. Raises TraceError."""
        return self._reader.passed_over()

    def close(self) -> None:
        """Close the trace."""
        self._reader.close()


def _example(values: dict[str, Any], plans: list[dict[str, Any]]) -> Example:
    decision, actions, said = None, None, None
    try:
        read = Decision.from_json(values["decision"])
        actions = Actions(read.space, read.action_names)
        decision = read
        if plans:
            said = advised(Advice.from_json(plans), read.options, action_targets(read.space))
    except (ValueError, KeyError, TypeError):
        pass  # what can be read is shown
    return Example(values["iteration"], values["picture"], values["inks"], decision, actions, said)


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
        """The student's policy in a kept state, as targets; None where it cannot be asked, as one
        that remembers cannot. Imports torch, the first time.
        """
        with self._lock:
            return self._ask(decision)

    def _ask(self, decision: Decision) -> tuple[float, ...] | None:
        from tutelage.rl.policy.policy import PolicyFileError, load_student

        stamp = _stamp(self._folder.student)
        if stamp != self._stamp:
            self._stamp, self._student = stamp, None
            try:
                self._folder.check()
                self._student = load_student(self._folder.student)
            except (RunFolderError, PolicyFileError):
                return None
        student = self._student
        if student is None or student.network.memory_size:
            return None
        # A stranger's trace may hold anything.
        observation = decision.observed(student.spec.observation_space)
        if observation is None or student.spec.action_space != decision.space:
            return None
        mask = None
        if student.spec.masks_actions and decision.student is not None:
            mask = (
                np.array([decision.student]) > 0
            )  # what is not allowed there has no chance at all
        params, _ = student.policy_and_value(observation, mask=mask)
        return tuple(student.head.as_targets(params)[0].tolist())
