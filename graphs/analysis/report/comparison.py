"""What a report says of several runs: conditions against each other, and each of their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.agents.common.redact import redact
from tutelage.graphs.analysis.comparison import (
    Condition,
    RunRecord,
    compare,
    conditions_of,
    find_runs,
    stored_fields,
)
from tutelage.graphs.analysis.curves import Panel, panels_of
from tutelage.graphs.analysis.report.contents import CURVES, RunContents, read_run
from tutelage.graphs.config.config import ConfigError
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.rl.errors import UserError


@dataclass(frozen=True)
class ComparisonContents:
    """All that is told of several runs.

    conditions: each with what is told of its runs, in the order of its seeds. figures: as
    `graphs.analysis.comparison.compare` gives them; None where no run has ended.
    """

    path: Path
    conditions: Sequence[tuple[Condition[RunRecord], Sequence[RunContents]]]
    panels: Sequence[Panel]
    figures: Mapping[str, Any] | None
    notes: Sequence[str]

    @property
    def title(self) -> str:
        """What was compared, in short."""
        runs = sum(len(told) for _, told in self.conditions)
        several = len(self.conditions) != 1
        return f"{len(self.conditions)} condition{'s' if several else ''}, {runs} runs"

    @property
    def outcome(self) -> str:
        """How the conditions did, in a sentence or two."""
        if self.figures is None:
            return "No run with a student has ended yet."
        base, *_ = self.figures["settings"]
        mean, ci95 = base["success"]["mean"], _interval(base["success"], "{:.1f}")
        said = f"{base['name']} solves {100 * mean:.1f} % of its held-out episodes ({ci95})."
        for row in self.figures["differences"]:
            difference, (low, high) = row["success"]["difference"], row["success"]["ci95"]
            more = "more" if difference >= 0 else "fewer"
            chance = "" if low > 0 or high < 0 else ", which may be chance"
            said += (
                f" {row['setting']} solves {100 * abs(difference):.1f} points {more} "
                f"({_interval(row['success'], '{:+.1f}')}){chance}."
            )
        return said

    @property
    def removed(self) -> dict[int, list[int]]:
        """By a condition's number, the steps at which its runs' teachers were removed."""
        return {
            number: [step for run in told for step in run.removed]
            for number, (_, told) in enumerate(self.conditions)
        }


def read_comparison(path: Path) -> ComparisonContents:
    """All that is to be told of the runs in a folder. Raises RunFolderError where there are none.

    A run that cannot be read is a note.
    """
    notes, records, told, panels, figures = [], [], {}, [], None
    for run in find_runs([path]):
        try:
            records.append(RunRecord(run, stored_fields(RunFolder.open(run))))
            told[run] = read_run(run)
        except UserError as error:
            notes.append(redact(str(error)))
    paths = list(told)
    conditions, repeated = conditions_of([record for record in records if record.path in told])
    notes += [f"{run}: left out, same seed again" for run in repeated]
    try:
        panels = panels_of(paths, CURVES) if paths else []
        figures = compare(paths)
    except ConfigError:
        pass  # nothing to draw yet, or no run has ended
    except UserError as error:
        notes.append(redact(str(error)))
    if figures is not None:
        notes += [f"{run}: not finished" for run in figures["unfinished"]]
        notes += [f"{run}: it trained no student" for run in figures["without_student"]]
    both = [(condition, [told[run.path] for run in condition.runs]) for condition in conditions]
    return ComparisonContents(path, both, panels, figures, notes)


def _interval(figure: Mapping[str, Any], form: str) -> str:
    low, high = (form.format(100 * value) for value in figure["ci95"])
    return f"95 % interval {low} to {high}"
