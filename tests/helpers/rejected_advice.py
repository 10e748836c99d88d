"""A run folder whose trace tells of advice that the teacher check rejected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from helpers.trace_rows import ADVICE, CALL, visit
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.records import ADVICE_REJECTED, AdviceRecord, EventRecord
from tutelage.graphs.records.trace.writer import TraceWriter
from tutelage.rl.teaching.success_counts import MixedPlayOutcome, SuccessCount

TEXTS = {
    10: "mission: open the door\ncarrying: nothing\nseen: red key; red door (locked)",
    20: "mission: open the door\ncarrying: red key\nseen: red door (locked)",
    30: "mission: open the door\ncarrying: nothing\nseen: nothing",
}
REJECTED = 20
FOUND = MixedPlayOutcome(
    taught=SuccessCount(successes=0, episodes=48), own=SuccessCount(successes=5, episodes=54)
)
"""Of mixed play in the situation whose advice was rejected."""
MESSAGE = f"advice does worse than the student: {FOUND.summary()}"
IN_WORDS = "0 of 48 episodes succeeded with it, 5 of 54"


def make_rejected_run(path: Path) -> RunFolder:
    """Three situations, numbered from 1; the advice on the second was rejected in iteration 2."""
    folder = RunFolder.create(path)
    folder.write_config({})
    with TraceWriter(folder.trace) as writer:
        writer.situations(TEXTS)
        writer.calls([replace(CALL, situation_id=s) for s in TEXTS])
        writer.advice([AdviceRecord(1, 64, s, "model", ADVICE.to_json()) for s in TEXTS])
        writer.events([EventRecord(2, 128, "teacher_check", ADVICE_REJECTED, MESSAGE, REJECTED)])
        writer.visits([visit(1, 10, 100, agreement=0.9), visit(1, 20, 50, coverage=0.0)])
        writer.visits([visit(1, 30, 4, agreement=0.0)])
        writer.commit()
    return folder
