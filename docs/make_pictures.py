"""Makes the README's pictures from runs: python docs/make_pictures.py runs/first runs/compared

The first is a run, the second a folder of runs for the learning curves (`compare --dir`).

docs/run.svg: the live view in the middle of the run, and the table at its end. docs/curves.svg: the
learning curves of the second. docs/trace.svg: the list of situations, and one of them in full.
docs/trace_open.svg: the full-screen browser.
"""

from __future__ import annotations

import asyncio
import re
import sys
from io import StringIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".package"))

from rich.console import Console
from rich.text import Text

from tutelage.graphs.analysis.comparison import find_runs
from tutelage.graphs.analysis.curves import panels_of
from tutelage.graphs.analysis.trace_details import details_of, situation_row
from tutelage.graphs.config.events import IterationDone, RunStarted
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.terminal.common.figures import write_figure
from tutelage.graphs.terminal.run.live import LiveProgress
from tutelage.graphs.terminal.run.summary import print_summary
from tutelage.graphs.terminal.trace.browser import TraceBrowser
from tutelage.graphs.terminal.trace.lines import open_trace
from tutelage.graphs.terminal.trace.listing import situations_table
from tutelage.graphs.terminal.trace.show import tree_of

DOCS = Path(__file__).resolve().parent


def recording_console(width: int) -> Console:
    """A console that writes nowhere and remembers everything."""
    return Console(record=True, width=width, file=StringIO(), force_terminal=True, highlight=False)


def save(console: Console, name: str, title: str) -> None:
    """Keep what was printed as SVG."""
    write(console.export_svg(title=title), name)


def write(svg: str, name: str) -> None:
    """Keep a picture, with the viewer's own monospace font."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (DOCS / name).write_text(svg.replace("Fira Code", "monospace"), encoding="utf-8")


def draw_run(run: Path) -> None:
    """The live view half-way through, then the end."""
    folder = RunFolder.open(run)
    rows, config, summary = folder.read_metrics(), folder.read_config(), folder.read_summary()
    if summary is None:
        sys.exit(f"{run} has not ended")
    console = recording_console(96)
    command = f"$ python cli.py run --graph {summary.graph} --run-dir {run}"
    console.print(Text(command, style="bold"))
    view = LiveProgress(Console(file=StringIO()))
    started = RunStarted(str(run), summary.env, summary.provider, summary.graph, config["steps"], 0)
    view.on_event(started)
    for row in rows[: len(rows) // 2]:
        view.on_event(IterationDone(row.model_dump()))
    # Rows are replayed at once here, so the speed is the run's own.
    view.show_rate(summary.steps_per_s)
    console.print(view.panel())
    console.print(Text("…\n", style="dim"))
    print_summary(console, str(run), summary)
    save(console, "run.svg", "python cli.py run")


def draw_curves(runs: Path) -> None:
    """How well the student did, and how much the teacher had to say, as training went on."""
    panels = panels_of(find_runs([runs]), ["success", "weight"])
    write_figure(panels, DOCS / "curves.svg")


def draw_trace(run: Path) -> None:
    """The most visited situations, and a telling one of them."""
    console = recording_console(118)
    with open_trace(run) as reader:
        rows = [situation_row(situation) for situation in reader.situations()]
        console.print(Text(f"$ python cli.py trace list {run}", style="bold"))
        console.print(situations_table(rows[:3], console.width))
        telling = next((row["id"] for row in rows if row["plans"] and len(row["plans"]) > 1), 1)
        console.print(Text(f"\n$ python cli.py trace show {run} {telling} --brief", style="bold"))
        console.print(tree_of(details_of(reader, str(telling)), brief=True))
    save(console, "trace.svg", "python cli.py trace")


async def draw_browser(run: Path) -> None:
    """The browser on a situation in which teacher and student may differ."""
    app = TraceBrowser(run)
    async with app.run_test(size=(132, 38)) as pilot:
        await pilot.pause()
        await pilot.press("slash", *"key; red", "enter")
        await app.workers.wait_for_complete()
        await pilot.pause(0.2)
        write(app.export_screenshot(title=f"python cli.py trace open {run}"), "trace_open.svg")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    one, several = map(Path, sys.argv[1:])
    sys.argv[0] = "cli.py"  # the hints in the pictures are those of a checkout
    draw_run(one)
    draw_curves(several)
    draw_trace(one)
    asyncio.run(draw_browser(one))
