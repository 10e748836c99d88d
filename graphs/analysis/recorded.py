"""The answers behind a run, out of its trace: the run folder alone is enough to share a teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tutelage.agents.client.call_record import CACHED, OK, CallRecord
from tutelage.agents.providers.replay import SOURCE
from tutelage.agents.store.recordings import RecordedAnswer
from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.runtime.run import stored_config
from tutelage.rl.advice.advice import Advice

_TAUGHT = frozenset({"model", "cache", SOURCE})
"""Where a teacher's own word comes from; a fallback's is not recorded as the model's."""


def answers_behind(run: Path) -> list[RecordedAnswer]:
    """The advice of a run's teacher with the requests behind it, the most visited situation first.

    Raises ConfigError, RunFolderError or TraceError.
    """
    folder = RunFolder.open(run)
    config = stored_config(folder)
    with TraceReader(folder.trace) as trace:
        return list(_answers(trace, config))


def _answers(trace: TraceReader, config: RunConfig) -> Iterator[RecordedAnswer]:
    for situation in trace.situations():
        given = [row for row in trace.advice(situation.situation_id) if row.source in _TAUGHT]
        if not given:
            continue
        last = given[-1]
        try:
            advice = Advice.from_json(last.plans)
        except (ValueError, KeyError, TypeError):
            continue  # a trace may hold what no teacher has said
        calls = trace.calls(situation.situation_id)
        brought = [call for call in calls if call.status in (OK, CACHED)]
        yield RecordedAnswer(
            situation=situation.text,
            advice=advice,
            env=config.env,
            provider=brought[-1].provider if brought else config.provider,
            model=brought[-1].model if brought else None,
            date=_date(brought),
            # What was hardened for this run is not what the model said.
            key=last.cache_key if config.teacher.soft else None,
            prompt_tokens=sum(call.prompt_tokens or 0 for call in calls),
            completion_tokens=sum(call.completion_tokens or 0 for call in calls),
            calls=tuple(call.exchange() for call in brought),
        )


def _date(calls: Sequence[CallRecord]) -> str | None:
    """When the model answered, in UTC; None where the run found the answer in the cache."""
    asked = [call.started_at for call in calls if call.status == OK]
    return datetime.fromtimestamp(asked[-1], UTC).isoformat(timespec="seconds") if asked else None
