"""Following a trace while a run writes it: what is new, in order, until the run ends.

The trace is opened anew for each look. So it does not matter whether it is there yet, is replaced
by a new one, or is cut back because the run was killed and resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tutelage.agents.client.call_record import CallRecord
from tutelage.agents.common.invocation import hint
from tutelage.graphs.records.lock import in_use
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.records import EventRecord
from tutelage.graphs.records.trace.schema import TraceNotBegunError

LOOK_EVERY_S: Final = 0.5
_MOST: Final = 1000
"""Calls that one look takes in: their conversations are read with them."""

Item = dict[str, Any]
"""What happened, by its `type`: call, event, iteration or notice (a `message` to people)."""


def follow(run: Path, last: int, pause: Callable[[float], object]) -> Iterator[Item]:
    """What happens in a run, as it happens; ends when the run does.

    last: how many of the calls, events and iterations that are there already come first. pause: is
    called with the seconds between two looks; it may end the wait by raising. Raises
    RunFolderError or TraceError for damaged files.
    """
    follower = _Follower(run, last)
    waiting = False
    while True:
        # Checked before the trace is read: so nothing that a run writes at its end is missed.
        running = in_use(run)
        begun = follower.begun()
        if begun:
            yield from follower.look()
        elif not waiting:
            waiting = True
            yield _notice(f"waiting for {run} to begin")
        if begun and not running:
            yield _notice(_end(run))
            return
        pause(LOOK_EVERY_S)


class _Follower:
    """The position up to which a trace has been followed."""

    def __init__(self, run: Path, last: int) -> None:
        self._folder = RunFolder(run)
        self._last = last
        self._event = self._iteration = -1
        self._calls: list[tuple[int, float]] = []
        self._first = True
        self._told: set[str] = set()

    def begun(self) -> bool:
        """Whether there is a trace that can be read."""
        if not self._folder.config.is_file():
            return False
        self._folder.check()
        try:
            TraceReader(self._folder.trace).close()
        except TraceNotBegunError:
            return False
        return True

    def look(self) -> Iterator[Item]:
        """What is new since the last look: calls and failures, then what the iterations came to."""
        with TraceReader(self._folder.trace) as reader:
            if self._first:
                self._skip(reader)
            elif self._step_back(reader):
                yield _notice(f"the run was resumed after iteration {self._iteration}")
            names = reader.names()
            while calls := reader.news(CallRecord, self._call, _MOST):
                for call in calls:
                    self._calls.append((call.id or 0, call.started_at))
                    yield _call_item(call, names)
            for event in reader.news(EventRecord, self._event, _MOST):
                self._event = event.id or 0
                yield _event_item(event, names)
            for iteration in reader.iterations(self._iteration):
                self._iteration = iteration.iteration
                yield {"type": "iteration", **asdict(iteration)}
            for line in reader.passed_over():
                if line not in self._told:
                    self._told.add(line)
                    yield _notice(f"passed over: {line}")

    @property
    def _call(self) -> int:
        return self._calls[-1][0] if self._calls else 0

    def _skip(self, reader: TraceReader) -> None:
        """Begin with the last few of what is there."""
        self._first = False
        start = max(reader.last_id(CallRecord) - self._last, 0)
        if start:
            self._calls.append((start, reader.call(start).started_at))
        self._event = max(reader.last_id(EventRecord) - self._last, 0)
        totals = reader.iterations()
        skipped = totals[: max(len(totals) - self._last, 0)]
        self._iteration = skipped[-1].iteration if skipped else -1

    def _step_back(self, reader: TraceReader) -> bool:
        """Where the trace was cut, go back to what is left of it; whether it was."""
        before = len(self._calls), self._event, self._iteration
        while self._calls and not _is_there(reader, *self._calls[-1]):
            self._calls.pop()
        self._event = min(self._event, reader.last_id(EventRecord))
        newest = reader.iterations(self._iteration - 1)
        if self._iteration >= 0 and not newest:
            self._iteration = max((t.iteration for t in reader.iterations()), default=-1)
        return (len(self._calls), self._event, self._iteration) != before


def _is_there(reader: TraceReader, id: int, started_at: float) -> bool:
    """Whether a call is still the one that it was: numbers are given anew after a cut."""
    found = reader.news(CallRecord, id - 1, 1)
    return bool(found) and (found[0].id, found[0].started_at) == (id, started_at)


def _call_item(call: CallRecord, names: dict[int, tuple[int, str]]) -> Item:
    number, text = names.get(call.situation_id, (None, None))
    return {"type": "call", "situation": number, "text": text, **asdict(call)}


def _event_item(event: EventRecord, names: dict[int, tuple[int, str]]) -> Item:
    """situation, text: None for what is not about one situation."""
    number, text = names.get(-1 if event.situation_id is None else event.situation_id, (None, None))
    return {"type": "event", "situation": number, "text": text, **asdict(event)}


def _notice(message: str) -> Item:
    return {"type": "notice", "message": message}


def _end(run: Path) -> str:
    summary = RunFolder.open(run).read_summary()
    if summary is not None and summary.status == "finished":
        return f"the run has finished after {summary.env_steps:,} steps"
    how = "was interrupted" if summary is not None else "does not go on"
    return f"the run {how}; go on with it: {hint('resume', run)}"
