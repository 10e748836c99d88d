"""Run folders for reports, with traces of any content, written in a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers.finished_runs import finished_run
from helpers.trace_rows import CALL, visit
from tutelage.graphs.records.trace.records import (
    ADVICE_REJECTED,
    AdviceRecord,
    EventRecord,
)
from tutelage.graphs.records.trace.writer import TraceWriter

HOSTILE = (
    "</script></style></title><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<svg/onload=alert(1)>&lt;b&gt;",
    "evil \u202egnp.exe\u2066\u200e\u061c\u2028\U000e0041 \x00\x1b[31m \ud800 end",
    "]]><!-- --><style>@import 'http://evil.example'</style>",
)
"""Texts as a model, a task or a file's name may hold."""

USE = {
    "followed_steps": 300,
    "verdict": "helps",
    "evidence": "with the student to stand in for it, 9 of 9 episodes succeeded",
    "rejected": 1,
}


def traced_run(
    path: Path,
    texts: Mapping[int, str],
    agreement: Mapping[int, float] | None = None,
    rejected: Mapping[int, str] | None = None,
    word: str = "red key",
    **run: Any,
) -> Path:
    """A run folder with a trace. texts, agreement, rejected: by situation id; word: what is in its
    plans, calls and events; run: as `finished_run` takes it.
    """
    folder = finished_run(path, **{"advice": USE, **run})
    steps = {"iteration": 2, "env_steps": 200}
    with TraceWriter(folder / "trace.sqlite") as writer:
        writer.situations(texts)
        for i, situation_id in enumerate(texts):
            plans = [{"plan": [["pick_up", word], ["explore", None]], "p": 1.0}]
            writer.advice([AdviceRecord(1, 100, situation_id, "model", plans)])
            writer.calls([replace(CALL, iteration=1, situation_id=situation_id, provider=word)])
            shown = (agreement or {}).get(situation_id, 0.5)
            writer.visits([visit(1, situation_id, visits=100 - i, agreement=shown)])
            if situation_id in (rejected or {}):
                said = (rejected or {})[situation_id]
                event = EventRecord(2, 200, "teacher_check", ADVICE_REJECTED, said, situation_id)
                writer.events([event])
        writer.events([EventRecord(**steps, node="assess", kind="budget_spent", message=word)])
        writer.commit()
    return folder
