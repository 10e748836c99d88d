"""`trace export`: spans to a file or to standard output."""

from __future__ import annotations

from pathlib import Path

from tutelage.agents.common.files import explained, replace_file
from tutelage.graphs.analysis.trace_export import spans
from tutelage.graphs.records.outputs import check_output
from tutelage.graphs.terminal.common.written import tell_written
from tutelage.graphs.terminal.trace.lines import open_trace


def export(run: Path, file: Path | None, force: bool) -> None:
    """Write a run's trace as JSON lines. force: overwrite the file.

    Raises RunFolderError, TraceError or OutputError.
    """
    if file is not None:
        check_output(file, force)
    with open_trace(run) as reader:
        if file is None:
            for line in spans(reader, run):
                print(line)
            return
        count = 0

        def write(path: Path) -> None:
            nonlocal count
            with path.open("w", encoding="utf-8") as out:
                for line in spans(reader, run):
                    out.write(line + "\n")
                    count += 1

        with explained("write", file):
            replace_file(file, write)
    tell_written(file, f"{count:,} spans")
